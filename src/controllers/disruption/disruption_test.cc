#include "controllers/disruption/disruption.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/policy/v1/disruption_budget.pb.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::Deployment;
using api::apps::v1::ReplicaSet;
using api::core::v1::Pod;
using api::policy::v1::PodDisruptionBudget;
using api::testing::FromYaml;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::IsEmpty;

class DisruptionTest : public ::testing::Test {
 protected:
  void PutBudget(const std::string& spec) {
    harness_.Put(FromYaml<PodDisruptionBudget>(
        "{metadata: {name: web, namespace: default, generation: 3}, spec: {selector: {matchLabels: "
        "{app: web}}, " +
        spec + "}}"));
  }
  // A deployment of `replicas` with `pods` pods, of which `ready` are.
  void PutDeployment(int replicas, int pods, int ready) {
    harness_.Put(
        FromYaml<Deployment>("{metadata: {name: web, namespace: default, uid: d}, spec: "
                             "{replicas: " +
                             std::to_string(replicas) + "}}"));
    harness_.Put(FromYaml<ReplicaSet>(
        "{metadata: {name: web-1, namespace: default, uid: s, ownerReferences: [{kind: Deployment, "
        "name: web, uid: d, controller: true}]}, spec: {replicas: 1}}"));
    for (int i = 0; i < pods; ++i)
      PutPod("p" + std::to_string(i), i < ready,
             "ownerReferences: [{kind: ReplicaSet, name: web-1, uid: s, controller: true}]");
  }
  void PutPod(const std::string& name, bool ready, const std::string& owners) {
    harness_.Put(FromYaml<Pod>("{metadata: {name: " + name +
                               ", namespace: default, labels: {app: web}, " + owners +
                               "}, status: {phase: Running, conditions: [{type: Ready, status: '" +
                               (ready ? "True" : "False") + "'}]}}"));
  }
  api::Ref<PodDisruptionBudget> Budget() {
    return harness_.client().Peek<PodDisruptionBudget>("default", "web");
  }

  client::ReconcilerHarness harness_{MakeDisruptionController()};
};

TEST_F(DisruptionTest, CountsWhatMayGo) {
  const struct {
    const char* spec;
    int replicas, pods, ready;
    int expected, desired, allowed;
  } rows[] = {
      {"minAvailable: 2", 4, 4, 4, 4, 2, 2},     {"minAvailable: 2", 4, 4, 2, 4, 2, 0},
      {"minAvailable: 2", 4, 4, 1, 4, 2, 0},     {"minAvailable: 50%", 5, 5, 5, 5, 3, 2},
      {"maxUnavailable: 1", 4, 4, 4, 4, 3, 1},   {"maxUnavailable: 1", 4, 3, 3, 4, 3, 0},
      {"maxUnavailable: 30%", 4, 4, 4, 4, 2, 2}, {"maxUnavailable: 9", 4, 4, 2, 4, 0, 2},
      {"minAvailable: 100%", 4, 4, 4, 4, 4, 0},  {"minAvailable: 0", 4, 0, 0, 0, 0, 0},
  };
  for (const auto& row : rows) {
    for (const auto& pod : harness_.client().All<Pod>())
      harness_.Remove<Pod>("default", pod->metadata().name());
    PutDeployment(row.replicas, row.pods, row.ready);
    PutBudget(row.spec);
    harness_.Settle();
    const auto& status = Budget()->status();
    EXPECT_EQ(status.current_healthy(), row.ready) << row.spec;
    EXPECT_EQ(status.expected_pods(), row.expected) << row.spec;
    EXPECT_EQ(status.desired_healthy(), row.desired) << row.spec;
    EXPECT_EQ(status.disruptions_allowed(), row.allowed) << row.spec;
    EXPECT_EQ(status.observed_generation(), Budget()->metadata().generation());
    ASSERT_EQ(status.conditions_size(), 1);
    EXPECT_EQ(status.conditions(0).reason(), row.allowed ? "SufficientPods" : "InsufficientPods");
    EXPECT_EQ(status.conditions(0).status(), row.allowed ? "True" : "False");
  }
}

TEST_F(DisruptionTest, FollowsThePods) {
  PutDeployment(2, 2, 2);
  PutBudget("minAvailable: 1");
  harness_.Settle();
  EXPECT_EQ(Budget()->status().disruptions_allowed(), 1);
  PutPod("p0", false,
         "ownerReferences: [{kind: ReplicaSet, name: web-1, uid: s, controller: true}]");
  harness_.Settle();
  EXPECT_EQ(Budget()->status().disruptions_allowed(), 0);
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

TEST_F(DisruptionTest, AnEvictionCountsUntilItsPodGoesOrForTwoMinutes) {
  PutDeployment(3, 3, 3);
  PutBudget("minAvailable: 1");
  harness_.Settle();
  PodDisruptionBudget budget = *Budget();
  api::SetTime(harness_.env().Now(), &(*budget.mutable_status()->mutable_disrupted_pods())["p0"]);
  api::SetTime(harness_.env().Now(), &(*budget.mutable_status()->mutable_disrupted_pods())["gone"]);
  harness_.Put(budget);
  harness_.Settle();
  EXPECT_EQ(Budget()->status().disrupted_pods_size(), 1);
  EXPECT_EQ(Budget()->status().current_healthy(), 2);
  harness_.Advance(seconds(121));
  EXPECT_EQ(Budget()->status().disrupted_pods_size(), 0);
  EXPECT_EQ(Budget()->status().current_healthy(), 3);
  EXPECT_THAT(harness_.events(), Contains("Warning NotDeleted Pod was expected by PDB default/web "
                                          "to be deleted but it wasn't"));
}

TEST_F(DisruptionTest, SaysWhatItCannotCount) {
  PutBudget("maxUnavailable: 1");
  harness_.Settle();
  EXPECT_THAT(harness_.events(), Contains("Normal NoPods No matching pods found"));
  PutPod("own", true, "ownerReferences: []");
  harness_.Settle();
  EXPECT_THAT(harness_.events(),
              Contains(::testing::StartsWith(
                  "Warning UnmanagedPods Pods selected by this PodDisruptionBudget (selector: "
                  "&LabelSelector{MatchLabels:map[string]string{app: "
                  "web,},MatchExpressions:[]LabelSelectorRequirement{},}) were found")));
  PutPod("strange", true, "ownerReferences: [{kind: Thing, name: t, uid: t, controller: true}]");
  harness_.Settle();
  EXPECT_THAT(harness_.events(),
              Contains("Warning CalculateExpectedPodCountFailed Failed to calculate the number of "
                       "expected pods: found no controllers for pod \"strange\""));
  EXPECT_EQ(Budget()->status().conditions(0).reason(), "SyncFailed");
}

TEST(StaleDisruption, APodThatWasNotDeletedIsNoTargetAnyMore) {
  const struct {
    const char* phase;
    const char* reason;
    const char* after;  // the condition's status after two minutes
  } rows[] = {
      {"Running", "EvictionByEvictionAPI", "False"},
      {"Running", "TerminationByKubelet", "True"},
      {"Failed", "EvictionByEvictionAPI", "True"},
  };
  for (const auto& row : rows) {
    client::ReconcilerHarness harness(MakeStaleDisruptionController());
    Pod pod = FromYaml<Pod>(
        std::string("{metadata: {name: p, namespace: default}, status: {phase: ") + row.phase +
        ", conditions: [{type: DisruptionTarget, status: 'True', reason: " + row.reason + "}]}}");
    api::SetTime(harness.env().Now(),
                 pod.mutable_status()->mutable_conditions(0)->mutable_last_transition_time());
    harness.Put(std::move(pod));
    auto status = [&] {
      return harness.client().Peek<Pod>("default", "p")->status().conditions(0).status();
    };
    harness.Advance(seconds(110));
    EXPECT_EQ(status(), "True");
    harness.Advance(seconds(15));
    EXPECT_EQ(status(), row.after) << row.phase << " " << row.reason;
    EXPECT_THAT(harness.Restless(), IsEmpty());
  }
}

}  // namespace
}  // namespace gantry::controllers
