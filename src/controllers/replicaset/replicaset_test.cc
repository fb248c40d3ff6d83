#include "controllers/replicaset/replicaset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/apps/v1/replica_set.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"
#include "controllers/replicaset/victims.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::ReplicaSet;
using api::core::v1::Pod;
using api::testing::FromYaml;
using client::ReconcilerHarness;

constexpr char kSet[] = R"(
metadata: {name: web, namespace: default, generation: 1}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web:1"}]}
)";

class ReplicaSetTest : public ::testing::Test {
 protected:
  void Scale(int replicas) {
    ReplicaSet copy = *harness_.client().Peek<ReplicaSet>("default", "web");
    copy.mutable_spec()->set_replicas(replicas);
    harness_.Put(std::move(copy));
    harness_.Settle();
  }
  std::vector<api::Ref<Pod>> Pods() { return harness_.client().All<Pod>(); }
  const api::apps::v1::ReplicaSetStatus& Status() {
    set_ = harness_.client().Peek<ReplicaSet>("default", "web");
    return set_->status();
  }

  ReconcilerHarness harness_{MakeReplicaSetController()};
  api::Ref<ReplicaSet> set_;
};

TEST_F(ReplicaSetTest, MakesOwnedPodsOfItsTemplateAndCountsThem) {
  harness_.Put(FromYaml<ReplicaSet>(kSet));
  harness_.Settle();
  ASSERT_EQ(Pods().size(), 3u);
  const auto& owner = Pods()[0]->metadata().owner_references(0);
  EXPECT_EQ(owner.kind(), "ReplicaSet");
  EXPECT_EQ(owner.name(), "web");
  EXPECT_TRUE(owner.controller());
  EXPECT_THAT(Pods()[0]->metadata().name(), ::testing::StartsWith("web-"));
  EXPECT_EQ(Status().replicas(), 3);
  EXPECT_EQ(Status().ready_replicas(), 0);
  EXPECT_THAT(harness_.events(), ::testing::Contains("Normal SuccessfulCreate Created pod: " +
                                                     Pods()[0]->metadata().name()));
}

TEST_F(ReplicaSetTest, ReplacesAPodThatFailedOrIsBeingDeleted) {
  harness_.Put(FromYaml<ReplicaSet>(kSet));
  harness_.Settle();
  Pod failed = *Pods()[0];
  failed.mutable_status()->set_phase("Failed");
  harness_.Put(std::move(failed));
  harness_.Settle();
  EXPECT_EQ(Pods().size(), 4u);
  EXPECT_EQ(Status().replicas(), 3);
}

// A template that no node takes must not fill the cluster with failed pods.
TEST_F(ReplicaSetTest, PodsThatAreRefusedAreReplacedSlowly) {
  const auto refuse_all = [this] {
    for (const auto& pod : Pods()) {
      if (pod->status().phase() == "Failed") continue;
      Pod failed = *pod;
      failed.mutable_status()->set_phase("Failed");
      harness_.Put(std::move(failed));
    }
    harness_.Settle();
  };
  harness_.Put(FromYaml<ReplicaSet>(kSet));
  harness_.Settle();
  for (int i = 0; i < 20; ++i)
    refuse_all();
  EXPECT_LE(Pods().size(), 13u);
  harness_.Advance(std::chrono::seconds(12));
  harness_.Settle();
  EXPECT_EQ(Status().replicas(), 3);
}

TEST_F(ReplicaSetTest, ScalesDownToZero) {
  harness_.Put(FromYaml<ReplicaSet>(kSet));
  harness_.Settle();
  Scale(0);
  for (const auto& pod : Pods())
    EXPECT_TRUE(pod->metadata().has_deletion_timestamp());
  EXPECT_EQ(Status().replicas(), 0);
}

TEST_F(ReplicaSetTest, AdoptsOrphansAndReleasesPodsThatNoLongerMatch) {
  harness_.Put(
      FromYaml<Pod>("{metadata: {name: stray, namespace: default, labels: {app: web}}, status: "
                    "{phase: Running}}"));
  harness_.Put(FromYaml<ReplicaSet>(kSet));
  harness_.Settle();
  EXPECT_EQ(Pods().size(), 3u);
  EXPECT_EQ(harness_.client().Peek<Pod>("default", "stray")->metadata().owner_references_size(), 1);
  Pod other = *harness_.client().Peek<Pod>("default", "stray");
  (*other.mutable_metadata()->mutable_labels())["app"] = "debug";
  harness_.Put(std::move(other));
  harness_.Settle();
  EXPECT_EQ(harness_.client().Peek<Pod>("default", "stray")->metadata().owner_references_size(), 0);
  EXPECT_EQ(Pods().size(), 4u);
}

TEST_F(ReplicaSetTest, TakesNothingBackThatItsDeletionLeftBehind) {
  const char* const orphan =
      "{metadata: {name: left, namespace: default, labels: {app: web}}, status: {phase: Running}}";
  harness_.Put(FromYaml<ReplicaSet>(kSet));
  harness_.Settle();
  // From here on it hears of pods, and no more of sets.
  harness_.client().SetFault([](const client::FakeClient::Call& call) {
    return call.kind->kind == "ReplicaSet" && (call.verb == "watch" || call.verb == "list")
               ? gantry::Status(Code::kUnavailable, "cut")
               : gantry::Status();
  });
  harness_.client().BreakWatches(gantry::Status(Code::kUnavailable, "cut"));
  harness_.Advance(std::chrono::seconds(5));
  ReplicaSet leaving = *harness_.client().Peek<ReplicaSet>("default", "web");
  leaving.mutable_metadata()->mutable_deletion_timestamp()->set_seconds(1);
  leaving.mutable_metadata()->add_finalizers("orphan");
  harness_.Put(std::move(leaving));
  harness_.Put(FromYaml<Pod>(orphan));
  ASSERT_FALSE(harness_.informers()
                   .For<ReplicaSet>()
                   .Get("default", "web")
                   ->meta()
                   .has_deletion_timestamp());
  Result<client::Plan> plan = harness_.Reconcile({"default", "web"});
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan->actions.empty());
  EXPECT_EQ(plan->look_again_at.size(), 1u);
}

TEST_F(ReplicaSetTest, TellsInItsStatusThatPodsCannotBeMade) {
  harness_.client().SetFault([](const client::FakeClient::Call& call) {
    return call.verb == "create" && call.kind->kind == "Pod"
               ? gantry::Status(Code::kForbidden, "exceeded quota: tiny")
               : gantry::Status();
  });
  harness_.Put(FromYaml<ReplicaSet>(kSet));
  harness_.Settle(3);
  ASSERT_EQ(Status().conditions_size(), 1);
  EXPECT_EQ(Status().conditions(0).reason(), "FailedCreate");
  EXPECT_EQ(Status().conditions(0).message(), "exceeded quota: tiny");
  EXPECT_THAT(harness_.events(),
              ::testing::Contains("Warning FailedCreate Error creating: exceeded quota: tiny"));
}

TEST(Victims, WhatServesLeastGoesFirst) {
  const WallTime now = WallTime(std::chrono::hours(24 * 365 * 50));
  auto pod = [&](const char* name, const char* extra) {
    return api::testing::RefFromYaml<Pod>(std::string("{metadata: {name: ") + name +
                                          ", uid: " + name + "}, " + extra + "}");
  };
  const char* ready =
      "spec: {nodeName: node}, status: {phase: Running, conditions: [{type: Ready, status: "
      "\"True\", "
      "lastTransitionTime: \"2019-12-01T00:00:00Z\"}]}";
  std::vector<api::Ref<Pod>> pods = {
      pod("ready", ready),
      pod("pending", "spec: {nodeName: node}, status: {phase: Pending}"),
      pod("unassigned", "status: {phase: Pending}"),
      pod("not-ready", "spec: {nodeName: node}, status: {phase: Running}"),
  };
  std::vector<std::string> order;
  for (const auto& victim : ChooseVictims(pods, 3, {}, now))
    order.push_back(victim->metadata().name());
  EXPECT_THAT(order, ::testing::ElementsAre("unassigned", "pending", "not-ready"));
}

TEST(Victims, AmongEqualsTheMostCrowdedNodeThenTheYoungest) {
  const WallTime now = WallTime(std::chrono::seconds(1'000'000));
  auto pod = [&](const char* name, const char* node, int64_t ready_for, int restarts = 0) {
    Pod made = FromYaml<Pod>(
        std::string("{metadata: {name: ") + name + ", uid: " + name + "}, spec: {nodeName: " +
        node + "}, status: {phase: Running, containerStatuses: [{name: c, restartCount: " +
        std::to_string(restarts) + "}], conditions: [{type: Ready, status: 'True'}]}}");
    for (auto* time :
         {made.mutable_metadata()->mutable_creation_timestamp(),
          made.mutable_status()->mutable_conditions(0)->mutable_last_transition_time()})
      time->set_seconds(1'000'000 - ready_for);
    return api::Ref<Pod>::Of(std::move(made));
  };
  auto first = [&](std::vector<api::Ref<Pod>> pods, std::map<std::string, int> crowd) {
    return ChooseVictims(std::move(pods), 1, crowd, now)[0]->metadata().name();
  };
  EXPECT_EQ(first({pod("a", "n1", 5), pod("b", "n2", 5000)}, {{"n1", 1}, {"n2", 2}}), "b");
  EXPECT_EQ(first({pod("a", "n1", 5000), pod("b", "n1", 5)}, {{"n1", 2}}), "b");
  // Ready for about as long: the one that restarted more.
  EXPECT_EQ(first({pod("a", "n1", 5000), pod("b", "n1", 5100, 2)}, {{"n1", 2}}), "b");
}

TEST_F(ReplicaSetTest, ScalesDownWhereThePodsOfItsSiblingsCrowd) {
  ReplicaSet set = FromYaml<ReplicaSet>(kSet);
  auto* owner = set.mutable_metadata()->add_owner_references();
  owner->set_uid("deployment");
  owner->set_controller(true);
  set.mutable_spec()->set_replicas(2);
  harness_.Put(set);
  ReplicaSet sibling = set;
  sibling.mutable_metadata()->set_name("old");
  sibling.mutable_spec()->set_replicas(1);
  (*sibling.mutable_spec()->mutable_selector()->mutable_match_labels())["app"] = "old";
  (*sibling.mutable_spec()->mutable_template_()->mutable_metadata()->mutable_labels())["app"] =
      "old";
  harness_.Put(sibling);
  harness_.Settle();
  std::vector<std::string> mine;
  for (const auto& pod : Pods()) {
    Pod copy = *pod;
    const bool old = pod->metadata().labels().at("app") == "old";
    if (!old) mine.push_back(pod->metadata().name());
    copy.mutable_spec()->set_node_name(old || mine.size() == 2 ? "crowded" : "quiet");
    copy.mutable_status()->set_phase("Running");
    harness_.Put(copy);
  }
  Scale(1);
  ASSERT_EQ(mine.size(), 2u);
  EXPECT_FALSE(
      harness_.client().Peek<Pod>("default", mine[0])->metadata().has_deletion_timestamp());
  EXPECT_TRUE(harness_.client().Peek<Pod>("default", mine[1])->metadata().has_deletion_timestamp());
}

}  // namespace
}  // namespace gantry::controllers
