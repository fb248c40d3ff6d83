#include "controllers/deployment/deployment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"
#include "controllers/deployment/conditions.h"
#include "controllers/deployment/revisions.h"
#include "controllers/deployment/rollout.h"
#include "controllers/history/template_hash.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::Deployment;
using api::apps::v1::ReplicaSet;
using api::testing::FromYaml;
using client::ReconcilerHarness;

constexpr char kWeb[] = R"(
metadata: {name: web, namespace: default, generation: 1}
spec:
  replicas: 4
  progressDeadlineSeconds: 600
  revisionHistoryLimit: 2
  selector: {matchLabels: {app: web}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web:1"}]}
)";

class DeploymentTest : public ::testing::Test {
 protected:
  // Plays the replica set controller: what is wanted is there, `ready` of it available.
  void SetPods(const std::string& set, int ready) {
    api::Ref<ReplicaSet> found = harness_.client().Peek<ReplicaSet>("default", set);
    if (!found) return;  // cleaned up meanwhile
    ReplicaSet copy = *found;
    copy.mutable_status()->set_replicas(copy.spec().replicas());
    copy.mutable_status()->set_ready_replicas(ready);
    copy.mutable_status()->set_available_replicas(ready);
    copy.mutable_status()->set_observed_generation(copy.metadata().generation());
    harness_.Put(std::move(copy));
    harness_.Settle();
  }
  // All pods of all sets become available, again and again, until nothing moves any more.
  void RunToEnd() {
    for (int round = 0; round < 50; ++round) {
      for (const auto& set : Sets())
        SetPods(set->metadata().name(), set->spec().replicas());
    }
  }
  std::vector<api::Ref<ReplicaSet>> Sets() { return harness_.client().All<ReplicaSet>(); }
  // "web-abc" of the template with this image; null when there is none.
  api::Ref<ReplicaSet> SetOf(const std::string& image) {
    for (const auto& set : Sets()) {
      if (set->spec().template_().spec().containers(0).image() == image) return set;
    }
    return {};
  }
  api::Ref<Deployment> Web() { return harness_.client().Peek<Deployment>("default", "web"); }
  void SetImage(const std::string& image) {
    Deployment copy = *Web();
    copy.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->set_image(
        image);
    copy.mutable_metadata()->set_generation(copy.metadata().generation() + 1);
    harness_.Put(std::move(copy));
    harness_.Settle();
  }
  std::string ReasonOf(const std::string& type) {
    const DeploymentCondition* condition = FindCondition(Web()->status(), type);
    return condition ? condition->status() + " " + condition->reason() : "absent";
  }

  ReconcilerHarness harness_{MakeDeploymentController()};
};

TEST_F(DeploymentTest, CreatesOneSetWithAllReplicasAndTheHashOfItsTemplate) {
  harness_.Put(FromYaml<Deployment>(kWeb));
  harness_.Settle();
  ASSERT_EQ(Sets().size(), 1u);
  const ReplicaSet& set = *Sets()[0];
  const std::string hash = set.metadata().labels().at("pod-template-hash");
  EXPECT_EQ(set.metadata().name(), "web-" + hash);
  EXPECT_EQ(set.spec().replicas(), 4);
  EXPECT_EQ(set.spec().selector().match_labels().at("pod-template-hash"), hash);
  EXPECT_EQ(set.metadata().annotations().at("deployment.kubernetes.io/revision"), "1");
  EXPECT_EQ(set.metadata().annotations().at("deployment.kubernetes.io/max-replicas"), "5");
  EXPECT_EQ(Web()->metadata().annotations().at("deployment.kubernetes.io/revision"), "1");
  EXPECT_THAT(harness_.events(),
              ::testing::Contains("Normal ScalingReplicaSet Scaled up replica set web-" + hash +
                                  " from 0 to 4"));
  EXPECT_EQ(ReasonOf("Available"), "False MinimumReplicasUnavailable");
}

TEST_F(DeploymentTest, IsCompleteWhenAllPodsAreAvailable) {
  harness_.Put(FromYaml<Deployment>(kWeb));
  harness_.Settle();
  RunToEnd();
  EXPECT_EQ(ReasonOf("Available"), "True MinimumReplicasAvailable");
  EXPECT_EQ(ReasonOf("Progressing"), "True NewReplicaSetAvailable");
  EXPECT_EQ(Web()->status().available_replicas(), 4);
  EXPECT_EQ(Web()->status().observed_generation(), 1);
}

TEST_F(DeploymentTest, RollingUpdateStaysWithinSurgeAndAvailability) {
  harness_.Put(FromYaml<Deployment>(kWeb));
  harness_.Settle();
  RunToEnd();
  SetImage("web:2");
  // One more than wanted may run, and one may be missing.
  EXPECT_EQ(SetOf("web:2")->spec().replicas(), 2);
  EXPECT_EQ(SetOf("web:1")->spec().replicas(), 3);
  for (int round = 0; round < 50 && SetOf("web:1")->spec().replicas() > 0; ++round) {
    for (const auto& set : Sets())
      SetPods(set->metadata().name(), set->spec().replicas());
    EXPECT_LE(TotalReplicas(Sets()), 5);
    EXPECT_GE(AvailableReplicas(Sets()), 3);
  }
  RunToEnd();
  EXPECT_EQ(SetOf("web:1")->spec().replicas(), 0);
  EXPECT_EQ(SetOf("web:2")->spec().replicas(), 4);
  EXPECT_EQ(Web()->metadata().annotations().at("deployment.kubernetes.io/revision"), "2");
  EXPECT_EQ(ReasonOf("Progressing"), "True NewReplicaSetAvailable");
}

TEST_F(DeploymentTest, GoingBackReusesTheOldSetAsANewRevision) {
  harness_.Put(FromYaml<Deployment>(kWeb));
  harness_.Settle();
  RunToEnd();
  const std::string first = SetOf("web:1")->metadata().name();
  SetImage("web:2");
  RunToEnd();
  SetImage("web:1");
  RunToEnd();
  EXPECT_EQ(SetOf("web:1")->metadata().name(), first);
  EXPECT_EQ(SetOf("web:1")->spec().replicas(), 4);
  EXPECT_EQ(SetOf("web:1")->metadata().annotations().at("deployment.kubernetes.io/revision"), "3");
  EXPECT_EQ(
      SetOf("web:1")->metadata().annotations().at("deployment.kubernetes.io/revision-history"),
      "1");
  EXPECT_EQ(Sets().size(), 2u);
}

TEST_F(DeploymentTest, ATemplateThatIsWrittenOutIsTheSameTemplate) {
  harness_.Put(FromYaml<Deployment>(kWeb));
  harness_.Settle();
  RunToEnd();
  SetImage("web:2");
  RunToEnd();
  // As kubectl rollout undo writes it: with all that JSON shows of what is empty.
  Deployment undone = *Web();
  auto* pod_template = undone.mutable_spec()->mutable_template_();
  pod_template->mutable_spec()->mutable_containers(0)->set_image("web:1");
  pod_template->mutable_spec()->mutable_containers(0)->mutable_resources();
  pod_template->mutable_metadata()->mutable_creation_timestamp();
  harness_.Put(std::move(undone));
  harness_.Settle();
  RunToEnd();
  EXPECT_EQ(Sets().size(), 2u);
  EXPECT_EQ(SetOf("web:1")->metadata().annotations().at("deployment.kubernetes.io/revision"), "3");
}

TEST_F(DeploymentTest, OldSetsBeyondTheHistoryLimitGo) {
  harness_.Put(FromYaml<Deployment>(kWeb));
  harness_.Settle();
  RunToEnd();
  for (int version = 2; version <= 5; ++version) {
    SetImage("web:" + std::to_string(version));
    RunToEnd();
  }
  EXPECT_EQ(Sets().size(), 3u);
  EXPECT_FALSE(SetOf("web:1"));
  EXPECT_TRUE(SetOf("web:3"));
}

TEST_F(DeploymentTest, ABrokenVersionLeavesTheOldOneServingAndRunsIntoTheDeadline) {
  harness_.Put(FromYaml<Deployment>(kWeb));
  harness_.Settle();
  RunToEnd();
  SetImage("web:broken");
  for (int round = 0; round < 10; ++round) {
    SetPods(SetOf("web:1")->metadata().name(), SetOf("web:1")->spec().replicas());
    SetPods(SetOf("web:broken")->metadata().name(), 0);
  }
  EXPECT_EQ(SetOf("web:1")->spec().replicas(), 3);
  EXPECT_EQ(SetOf("web:broken")->spec().replicas(), 2);
  EXPECT_EQ(ReasonOf("Available"), "True MinimumReplicasAvailable");
  harness_.Advance(std::chrono::seconds(620));
  EXPECT_EQ(ReasonOf("Progressing"), "False ProgressDeadlineExceeded");
}

TEST_F(DeploymentTest, APausedDeploymentScalesButDoesNotRollOut) {
  harness_.Put(FromYaml<Deployment>(kWeb));
  harness_.Settle();
  RunToEnd();
  Deployment paused = *Web();
  paused.mutable_spec()->set_paused(true);
  paused.mutable_spec()->set_replicas(6);
  paused.mutable_metadata()->set_generation(2);
  harness_.Put(std::move(paused));
  harness_.Settle();
  SetImage("web:2");
  RunToEnd();
  EXPECT_FALSE(SetOf("web:2"));
  EXPECT_EQ(SetOf("web:1")->spec().replicas(), 6);
  EXPECT_EQ(ReasonOf("Progressing"), "Unknown DeploymentPaused");
}

TEST_F(DeploymentTest, RecreateStopsTheOldBeforeItStartsTheNew) {
  Deployment web = FromYaml<Deployment>(kWeb);
  web.mutable_spec()->mutable_strategy()->set_type("Recreate");
  web.mutable_spec()->mutable_strategy()->clear_rolling_update();
  harness_.Put(std::move(web));
  harness_.Settle();
  RunToEnd();
  SetImage("web:2");
  EXPECT_EQ(SetOf("web:1")->spec().replicas(), 0);
  RunToEnd();
  EXPECT_EQ(SetOf("web:2")->spec().replicas(), 4);
}

TEST_F(DeploymentTest, ANewRolloutStartsTheDeadlineAnewAlsoWhenNothingMoves) {
  Deployment web = FromYaml<Deployment>(kWeb);
  web.mutable_spec()
      ->mutable_strategy()
      ->mutable_rolling_update()
      ->mutable_max_unavailable()
      ->set_str_val("0%");
  harness_.Put(std::move(web));
  harness_.Settle();
  RunToEnd();
  ASSERT_EQ(ReasonOf("Progressing"), "True NewReplicaSetAvailable");
  SetImage("web:2");
  const std::string created = SetOf("web:2")->metadata().name();
  const DeploymentCondition* progressing = FindCondition(Web()->status(), "Progressing");
  EXPECT_EQ(progressing->reason(), "NewReplicaSetCreated");
  EXPECT_EQ(progressing->message(), "Created new replica set \"" + created + "\"");
  // The new set cannot make a single pod.
  harness_.Advance(std::chrono::seconds(602));
  progressing = FindCondition(Web()->status(), "Progressing");
  EXPECT_EQ(progressing->reason(), "ProgressDeadlineExceeded");
  EXPECT_EQ(progressing->message(), "ReplicaSet \"" + created + "\" has timed out progressing.");
}

TEST_F(DeploymentTest, AFailureOfASetIsShownOnceAndGoesWithIt) {
  harness_.Put(FromYaml<Deployment>(kWeb));
  harness_.Settle();
  ReplicaSet set = *Sets()[0];
  auto* failure = set.mutable_status()->add_conditions();
  failure->set_type("ReplicaFailure");
  failure->set_status("True");
  failure->set_reason("FailedCreate");
  failure->set_message("exceeded quota");
  failure->mutable_last_transition_time()->set_seconds(77);
  harness_.Put(set);
  harness_.Settle();
  EXPECT_EQ(ReasonOf("ReplicaFailure"), "True FailedCreate");
  EXPECT_EQ(FindCondition(Web()->status(), "ReplicaFailure")->last_update_time().seconds(), 77);
  const size_t writes = harness_.client().writes().size();
  harness_.Advance(std::chrono::seconds(60));
  EXPECT_THAT(harness_.Restless(), ::testing::IsEmpty());
  EXPECT_EQ(harness_.client().writes().size(), writes);
  set = *Sets()[0];
  set.mutable_status()->clear_conditions();
  harness_.Put(set);
  harness_.Settle();
  EXPECT_EQ(ReasonOf("ReplicaFailure"), "absent");
}

TEST_F(DeploymentTest, PausingIsATransition) {
  harness_.Put(FromYaml<Deployment>(kWeb));
  harness_.Settle();
  RunToEnd();
  const auto before = FindCondition(Web()->status(), "Progressing")->last_transition_time();
  harness_.Advance(std::chrono::seconds(30));
  Deployment paused = *Web();
  paused.mutable_spec()->set_paused(true);
  harness_.Put(std::move(paused));
  harness_.Settle();
  EXPECT_GT(FindCondition(Web()->status(), "Progressing")->last_transition_time().seconds(),
            before.seconds());
}

TEST_F(DeploymentTest, ANameThatIsTakenGivesAnother) {
  const Deployment web = FromYaml<Deployment>(kWeb);
  const std::string taken = "web-" + TemplateHash(web.spec().template_(), 0);
  harness_.Put(FromYaml<ReplicaSet>("{metadata: {name: " + taken + ", namespace: default}}"));
  harness_.Put(web);
  harness_.Settle();
  harness_.Advance(std::chrono::seconds(1));
  EXPECT_EQ(Web()->status().collision_count(), 1);
  ASSERT_EQ(Sets().size(), 2u);
  const std::string next = "web-" + TemplateHash(web.spec().template_(), 1);
  EXPECT_TRUE(harness_.client().Peek<ReplicaSet>("default", next));
}

TEST_F(DeploymentTest, ASetThatCannotBeMadeIsSaid) {
  harness_.client().SetFault([](const client::FakeClient::Call& call) {
    return call.verb == "create" ? Status(Code::kForbidden, "exceeded quota: q") : Status();
  });
  harness_.Put(FromYaml<Deployment>(kWeb));
  harness_.Settle(1);
  const std::string name = "web-" + TemplateHash(Web()->spec().template_(), 0);
  const std::string message =
      "Failed to create new replica set \"" + name + "\": exceeded quota: q";
  EXPECT_THAT(harness_.events(),
              ::testing::ElementsAre("Warning ReplicaSetCreateError " + message));
  EXPECT_EQ(ReasonOf("Progressing"), "False ReplicaSetCreateError");
  EXPECT_EQ(FindCondition(Web()->status(), "Progressing")->message(), message);
}

TEST_F(DeploymentTest, WithoutHistoryOldSetsGoWhenTheRolloutIsOver) {
  Deployment web = FromYaml<Deployment>(kWeb);
  web.mutable_spec()->set_revision_history_limit(0);
  harness_.Put(std::move(web));
  harness_.Settle();
  RunToEnd();
  SetImage("web:2");
  EXPECT_TRUE(SetOf("web:1"));
  RunToEnd();
  EXPECT_FALSE(SetOf("web:1"));
}

TEST_F(DeploymentTest, ScalingInTheMiddleOfARolloutIsShared) {
  Deployment web = FromYaml<Deployment>(kWeb);
  web.mutable_spec()->set_replicas(10);
  harness_.Put(std::move(web));
  harness_.Settle();
  RunToEnd();
  SetImage("web:broken");
  for (int round = 0; round < 5; ++round) {
    SetPods(SetOf("web:1")->metadata().name(), SetOf("web:1")->spec().replicas());
    SetPods(SetOf("web:broken")->metadata().name(), 0);
  }
  ASSERT_EQ(SetOf("web:1")->spec().replicas(), 8);
  ASSERT_EQ(SetOf("web:broken")->spec().replicas(), 5);
  Deployment scaled = *Web();
  scaled.mutable_spec()->set_replicas(20);
  harness_.Put(std::move(scaled));
  harness_.Settle();
  // 12 more of 25 allowed, in proportion 8:5.
  EXPECT_EQ(SetOf("web:1")->spec().replicas(), 15);
  EXPECT_EQ(SetOf("web:broken")->spec().replicas(), 10);
}

struct BoundsRow {
  int replicas;
  const char* surge;
  const char* unavailable;
  int max_surge, max_unavailable;
};

TEST(Rollout, BoundsRoundAsKubernetesDoes) {
  const BoundsRow rows[] = {
      {10, "25%", "25%", 3, 2}, {1, "25%", "25%", 1, 0}, {4, "0", "0", 0, 1}, {4, "1", "0", 1, 0},
      {3, "100%", "0", 3, 0},   {2, "0", "50%", 0, 1},   {0, "1", "1", 1, 0},
  };
  for (const BoundsRow& row : rows) {
    Deployment deployment = FromYaml<Deployment>(
        "spec: {replicas: " + std::to_string(row.replicas) +
        ", strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: " + row.surge +
        ", maxUnavailable: " + row.unavailable + "}}}");
    EXPECT_EQ(MaxSurge(deployment), row.max_surge) << row.replicas << " " << row.surge;
    EXPECT_EQ(MaxUnavailable(deployment), row.max_unavailable)
        << row.replicas << " " << row.unavailable;
  }
}

}  // namespace
}  // namespace gantry::controllers
