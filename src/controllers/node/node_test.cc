#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/coordination/v1/lease.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/pods.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"
#include "controllers/node/node_lifecycle.h"
#include "controllers/podgc/pod_gc.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Node;
using api::core::v1::Pod;
using api::testing::FromYaml;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kReadyPod[] =
    "{metadata: {name: p, namespace: default}, spec: {nodeName: n1}, status: {phase: Running, "
    "conditions: [{type: Ready, status: 'True'}]}}";

Node MakeNode(const std::string& conditions, bool unschedulable = false) {
  return FromYaml<Node>(std::string("{metadata: {name: n1}, spec: {unschedulable: ") +
                        (unschedulable ? "true" : "false") + "}, status: {conditions: [" +
                        conditions + "]}}");
}

void RenewLease(client::ReconcilerHarness* harness, const std::string& node, int seconds = 40,
                Duration clock_ahead = {}) {
  auto lease = FromYaml<api::coordination::v1::Lease>(
      "{metadata: {namespace: kube-node-lease, name: " + node +
      "}, spec: {leaseDurationSeconds: " + std::to_string(seconds) + "}}");
  api::SetTime(harness->env().Now() + clock_ahead, lease.mutable_spec()->mutable_renew_time());
  harness->Put(std::move(lease));
}

// Another node, which answers: with none, nobody is evicted.
void PutHealthyNode(client::ReconcilerHarness* harness) {
  harness->Put(FromYaml<Node>(
      "{metadata: {name: well}, status: {conditions: [{type: Ready, status: 'True'}]}}"));
}

// Time passes, and the node `well` renews its lease.
void Pass(client::ReconcilerHarness* harness, Duration duration) {
  for (Duration rest = duration; rest > Duration::zero();) {
    const Duration step = std::min<Duration>(rest, seconds(10));
    harness->Advance(step);
    RenewLease(harness, "well");
    harness->Settle();
    rest -= step;
  }
}

std::vector<std::string> Taints(const Node& node) {
  std::vector<std::string> taints;
  for (const auto& taint : node.spec().taints())
    taints.push_back(taint.key().substr(taint.key().find('/') + 1) + ":" + taint.effect());
  return taints;
}

TEST(NodeLifecycle, TaintsFollowConditions) {
  struct {
    const char* conditions;
    bool unschedulable;
    std::vector<std::string> want;
  } rows[] = {
      {"{type: Ready, status: 'True'}", false, {}},
      {"{type: Ready, status: 'True'}", true, {"unschedulable:NoSchedule"}},
      {"{type: Ready, status: 'False'}", false, {"not-ready:NoSchedule", "not-ready:NoExecute"}},
      {"{type: Ready, status: Unknown}",
       false,
       {"unreachable:NoSchedule", "unreachable:NoExecute"}},
      {"{type: Ready, status: 'True'}, {type: MemoryPressure, status: 'True'}",
       false,
       {"memory-pressure:NoSchedule"}},
      {"{type: Ready, status: 'True'}, {type: DiskPressure, status: 'True'}, {type: PIDPressure, "
       "status: 'True'}, {type: NetworkUnavailable, status: 'True'}",
       false,
       {"disk-pressure:NoSchedule", "pid-pressure:NoSchedule", "network-unavailable:NoSchedule"}},
  };
  for (const auto& row : rows) {
    client::ReconcilerHarness harness(MakeNodeLifecycleController());
    PutHealthyNode(&harness);
    Node node = MakeNode(row.conditions, row.unschedulable);
    auto* own = node.mutable_spec()->add_taints();
    own->set_key("example.com/mine");
    own->set_effect("NoSchedule");
    auto* stale = node.mutable_spec()->add_taints();
    stale->set_key("node.kubernetes.io/stale-not-managed");
    stale->set_effect("NoExecute");
    harness.Put(std::move(node));
    harness.Settle();
    std::vector<std::string> want = row.want;
    want.insert(want.end(), {"mine:NoSchedule", "stale-not-managed:NoExecute"});
    EXPECT_THAT(Taints(*harness.client().Peek<Node>("", "n1")),
                ::testing::UnorderedElementsAreArray(want))
        << row.conditions;
    EXPECT_THAT(harness.Restless(), IsEmpty());
  }
}

TEST(NodeLifecycle, ATaintKeepsTheTimeItWasAdded) {
  client::ReconcilerHarness harness(MakeNodeLifecycleController());
  PutHealthyNode(&harness);
  harness.Put(MakeNode("{type: Ready, status: 'False'}"));
  harness.Settle();
  const auto first = harness.client().Peek<Node>("", "n1")->spec().taints(0).time_added();
  harness.Advance(seconds(20));
  Node node = *harness.client().Peek<Node>("", "n1");
  auto* pressure = node.mutable_status()->add_conditions();
  pressure->set_type("MemoryPressure");
  pressure->set_status("True");
  harness.Put(std::move(node));
  harness.Settle();
  auto now = harness.client().Peek<Node>("", "n1");
  EXPECT_EQ(now->spec().taints(0).time_added().seconds(), first.seconds());
  EXPECT_EQ(now->spec().taints_size(), 3);
}

TEST(NodeLifecycle, ASilentNodeBecomesUnknownAndItsPodsNotReady) {
  client::ReconcilerHarness harness(MakeNodeLifecycleController());
  PutHealthyNode(&harness);
  harness.Put(MakeNode("{type: Ready, status: 'True', reason: KubeletReady}"));
  harness.Put(FromYaml<Pod>(kReadyPod));
  harness.Settle();
  Pass(&harness, seconds(49));
  EXPECT_THAT(Taints(*harness.client().Peek<Node>("", "n1")), IsEmpty());
  Pass(&harness, seconds(2));
  auto node = harness.client().Peek<Node>("", "n1");
  ASSERT_EQ(node->status().conditions_size(), 4);
  EXPECT_EQ(node->status().conditions(0).status(), "Unknown");
  EXPECT_EQ(node->status().conditions(0).reason(), "NodeStatusUnknown");
  EXPECT_EQ(node->status().conditions(0).message(), "Kubelet stopped posting node status.");
  EXPECT_EQ(node->status().conditions(1).reason(), "NodeStatusNeverUpdated");
  EXPECT_THAT(Taints(*node),
              UnorderedElementsAre("unreachable:NoSchedule", "unreachable:NoExecute"));
  EXPECT_FALSE(api::IsReady(*harness.client().Peek<Pod>("default", "p")));
  EXPECT_THAT(
      harness.events(),
      ElementsAre("Normal RegisteredNode Node well event: Registered Node well in Controller",
                  "Normal RegisteredNode Node n1 event: Registered Node n1 in Controller",
                  "Normal NodeNotReady Node n1 status is now: NodeNotReady",
                  "Warning NodeNotReady Node is not ready"));
  EXPECT_THAT(harness.Restless(), IsEmpty());
}

TEST(NodeLifecycle, LeasesKeepANodeAlive) {
  client::ReconcilerHarness harness(MakeNodeLifecycleController());
  harness.Put(MakeNode("{type: Ready, status: 'True'}"));
  for (int i = 0; i < 10; ++i) {
    RenewLease(&harness, "n1");
    harness.Advance(seconds(10));
  }
  EXPECT_THAT(harness.client().writes(), IsEmpty());
}

bool IsUnknown(client::ReconcilerHarness& harness, const std::string& node) {
  return harness.client().Peek<Node>("", node)->status().conditions(0).status() == "Unknown";
}

TEST(NodeLifecycle, TheClockOfANodeIsNotBelieved) {
  for (const Duration ahead : {std::chrono::hours(1), -std::chrono::hours(1)}) {
    client::ReconcilerHarness harness(MakeNodeLifecycleController());
    PutHealthyNode(&harness);
    harness.Put(MakeNode("{type: Ready, status: 'True'}"));
    for (int i = 0; i < 10; ++i) {
      RenewLease(&harness, "n1", 40, ahead);
      Pass(&harness, seconds(10));
    }
    EXPECT_FALSE(IsUnknown(harness, "n1"));
    Pass(&harness, seconds(39));
    EXPECT_FALSE(IsUnknown(harness, "n1"));
    Pass(&harness, seconds(2));
    EXPECT_TRUE(IsUnknown(harness, "n1"));
  }
}

TEST(NodeLifecycle, AShortGraceIsKeptToTheMomentButALongerLeaseCounts) {
  NodeLifecycleOptions options;
  options.grace_period = seconds(3);
  client::ReconcilerHarness harness(MakeNodeLifecycleController(options));
  harness.Put(MakeNode("{type: Ready, status: 'True'}"));
  RenewLease(&harness, "n1", 3);
  harness.Settle();
  harness.Advance(std::chrono::milliseconds(2900));
  EXPECT_FALSE(IsUnknown(harness, "n1"));
  harness.Advance(std::chrono::milliseconds(200));
  EXPECT_TRUE(IsUnknown(harness, "n1"));

  // An agent that has not heard of the cluster's short leases yet.
  client::ReconcilerHarness slow(MakeNodeLifecycleController(options));
  slow.Put(MakeNode("{type: Ready, status: 'True'}"));
  RenewLease(&slow, "n1", 40);
  slow.Settle();
  slow.Advance(seconds(39));
  EXPECT_FALSE(IsUnknown(slow, "n1"));
  slow.Advance(seconds(2));
  EXPECT_TRUE(IsUnknown(slow, "n1"));
}

TEST(NodeLifecycle, ANodeThatIsHeardThroughItsTunnelHasTwiceTheTime) {
  bool heard = true;
  NodeLifecycleOptions options;
  options.heard = [&heard](const std::string&) { return heard; };
  client::ReconcilerHarness harness(MakeNodeLifecycleController(options));
  harness.Put(MakeNode("{type: Ready, status: 'True'}"));
  harness.Settle();
  harness.Advance(seconds(60));
  EXPECT_FALSE(IsUnknown(harness, "n1"));
  harness.Advance(seconds(48));
  EXPECT_TRUE(IsUnknown(harness, "n1"));

  client::ReconcilerHarness other(MakeNodeLifecycleController(options));
  other.Put(MakeNode("{type: Ready, status: 'True'}"));
  other.Settle();
  heard = false;
  other.Advance(seconds(51));  // looked at last when its tunnel was there still
  EXPECT_TRUE(IsUnknown(other, "n1"));
}

TEST(NodeLifecycle, AControlPlaneThatWasAwayGivesNodesTheirTime) {
  client::ReconcilerHarness harness(MakeNodeLifecycleController());
  Node node = MakeNode("{type: Ready, status: 'True', lastHeartbeatTime: 1999-01-01T00:00:00Z}");
  node.mutable_metadata()->mutable_creation_timestamp()->set_seconds(1);
  harness.Put(std::move(node));
  harness.Settle();
  EXPECT_THAT(harness.client().writes(), IsEmpty());
  harness.Advance(seconds(56));
  EXPECT_EQ(harness.client().Peek<Node>("", "n1")->status().conditions(0).status(), "Unknown");
}

// While its disk was full, nodes could not renew their leases.
TEST(NodeLifecycle, AStoreThatTakesNoWritesIsNoReasonToGiveANodeUp) {
  std::optional<Duration> since_refusal = seconds(2);  // somebody tries all the time
  NodeLifecycleOptions options;
  options.since_refusal = [&] { return since_refusal; };
  client::ReconcilerHarness harness(MakeNodeLifecycleController(options));
  harness.Put(MakeNode("{type: Ready, status: 'True'}"));
  harness.Settle();
  harness.Advance(seconds(200));
  EXPECT_FALSE(IsUnknown(harness, "n1"));
  since_refusal = seconds(30);
  harness.Advance(seconds(19));
  EXPECT_FALSE(IsUnknown(harness, "n1")) << "it has its time to renew the lease";
  since_refusal = seconds(51);
  harness.Advance(seconds(50));
  EXPECT_TRUE(IsUnknown(harness, "n1"));
}

TEST(NodeLifecycle, SaysWhenANodeIsTakenAway) {
  client::ReconcilerHarness harness(MakeNodeLifecycleController());
  harness.Put(MakeNode("{type: Ready, status: 'True'}"));
  harness.Settle();
  harness.Remove<Node>("", "n1");
  harness.Settle();
  EXPECT_EQ(harness.events().back(),
            "Normal RemovingNode Node n1 event: Removing Node n1 from Controller");
}

TEST(NodeLifecycle, WithoutASingleReadyNodeNobodyIsEvicted) {
  client::ReconcilerHarness harness(MakeNodeLifecycleController());
  harness.Put(MakeNode("{type: Ready, status: 'True'}"));
  harness.Advance(seconds(100));
  EXPECT_THAT(Taints(*harness.client().Peek<Node>("", "n1")),
              ElementsAre("unreachable:NoSchedule"));
  // Once another answers, the silent one is given its time anew.
  PutHealthyNode(&harness);
  harness.Settle();
  EXPECT_THAT(Taints(*harness.client().Peek<Node>("", "n1")),
              UnorderedElementsAre("unreachable:NoSchedule", "unreachable:NoExecute"));
  harness.Remove<Node>("", "well");
  harness.Settle();
  EXPECT_THAT(Taints(*harness.client().Peek<Node>("", "n1")),
              ElementsAre("unreachable:NoSchedule"));
}

TEST(NodeLifecycle, NodesOfAZoneAreEvictedOneByOne) {
  client::ReconcilerHarness harness(MakeNodeLifecycleController());
  PutHealthyNode(&harness);
  auto put = [&](const std::string& name, const std::string& zone) {
    harness.Put(FromYaml<Node>("{metadata: {name: " + name +
                               ", labels: {topology.kubernetes.io/zone: " + zone +
                               "}}, status: {conditions: [{type: Ready, status: 'False', "
                               "lastHeartbeatTime: 2200-01-01T00:00:00Z}]}}"));
  };
  for (const char* name : {"a1", "a2", "a3"})
    put(name, "a");
  put("b1", "b");
  auto evicted = [&] {
    std::vector<std::string> names;
    for (const auto& node : harness.client().All<Node>()) {
      for (const auto& taint : node->spec().taints()) {
        if (taint.effect() == "NoExecute") names.push_back(node->metadata().name());
      }
    }
    return names;
  };
  harness.Settle();
  EXPECT_THAT(evicted(), ElementsAre("a1", "b1"));
  harness.Advance(seconds(9));
  EXPECT_THAT(evicted(), ElementsAre("a1", "b1"));
  harness.Advance(seconds(2));
  EXPECT_THAT(evicted(), ElementsAre("a1", "a2", "b1"));
  harness.Advance(seconds(10));
  EXPECT_THAT(evicted(), ElementsAre("a1", "a2", "a3", "b1"));
}

TEST(Zones, AreJudgedByTheShareOfNodesThatAnswer) {
  const struct {
    int ready, not_ready;
    ZoneState state;
    Duration interval;
  } rows[] = {
      {3, 0, ZoneState::kNormal, seconds(10)},
      {1, 2, ZoneState::kNormal, seconds(10)},
      {0, 2, ZoneState::kFullDisruption, seconds(10)},
      {2, 3, ZoneState::kPartialDisruption, Duration::max()},
      {4, 4, ZoneState::kNormal, seconds(10)},
      {20, 40, ZoneState::kPartialDisruption, seconds(100)},
  };
  for (const auto& row : rows) {
    std::vector<api::Ref<Node>> nodes;
    for (int i = 0; i < row.ready + row.not_ready; ++i)
      nodes.push_back(api::Ref<Node>::Of(
          MakeNode(i < row.ready ? "{type: Ready, status: 'True'}" : "{type: Ready}")));
    const auto zones = JudgeZones(nodes, EvictionRates());
    ASSERT_EQ(zones.size(), 1u);
    EXPECT_EQ(zones.begin()->second.state, row.state) << row.ready << " " << row.not_ready;
    EXPECT_EQ(zones.begin()->second.interval, row.interval) << row.ready << " " << row.not_ready;
  }
}

TEST(TaintEviction, StaysAsLongAsItsTolerationsSay) {
  struct {
    const char* tolerations;
    bool stamped;
    int evicted_between, and_;  // seconds; -1 never
  } rows[] = {
      {"", true, 0, 1},
      {"{key: k, operator: Exists}", true, -1, -1},
      {"{key: k, operator: Exists, effect: NoSchedule}", true, 0, 1},
      {"{key: k, operator: Exists, tolerationSeconds: 30}", true, 29, 31},
      {"{key: k, operator: Exists, tolerationSeconds: 30}", false, 29, 31},
      {"{key: k, operator: Exists, tolerationSeconds: -5}", true, 0, 1},
      {"{key: other, operator: Exists}", true, 0, 1},
      {"{operator: Exists, tolerationSeconds: 10}, {operator: Exists}", true, 9, 11},
  };
  for (const auto& row : rows) {
    client::ReconcilerHarness harness(MakeTaintEvictionController());
    Pod pod = FromYaml<Pod>(kReadyPod);
    pod.mutable_metadata()->add_finalizers("example.com/look");  // it can be looked at afterwards
    const Pod tolerant =
        FromYaml<Pod>(std::string("{spec: {tolerations: [") + row.tolerations + "]}}");
    for (const auto& toleration : tolerant.spec().tolerations())
      *pod.mutable_spec()->add_tolerations() = toleration;
    harness.Put(std::move(pod));
    Node node =
        FromYaml<Node>("{metadata: {name: n1}, spec: {taints: [{key: k, effect: NoExecute}]}}");
    if (row.stamped)
      api::SetTime(harness.env().Now(),
                   node.mutable_spec()->mutable_taints(0)->mutable_time_added());
    harness.Put(std::move(node));
    harness.Settle();
    auto gone = [&] {
      auto now = harness.client().Peek<Pod>("default", "p");
      return !now || now->metadata().has_deletion_timestamp();
    };
    if (row.evicted_between < 0) {
      harness.Advance(seconds(60));
      EXPECT_FALSE(gone()) << row.tolerations;
      continue;
    }
    if (row.evicted_between > 0) {
      harness.Advance(seconds(row.evicted_between));
      EXPECT_FALSE(gone()) << row.tolerations;
    }
    harness.Advance(seconds(row.and_ - row.evicted_between + 1));
    EXPECT_TRUE(gone()) << row.tolerations;
    EXPECT_THAT(harness.events(),
                ElementsAre("Normal TaintManagerEviction Marking for deletion Pod default/p"));
    auto evicted = harness.client().Peek<Pod>("default", "p");
    const auto* target = api::FindCondition(evicted->status(), "DisruptionTarget");
    ASSERT_TRUE(target);
    EXPECT_EQ(target->reason(), "DeletionByTaintManager");
    EXPECT_EQ(target->message(), "Taint manager: deleting due to NoExecute taint");
  }
}

TEST(TaintEviction, AnOldTaintGivesANewPodItsTime) {
  client::ReconcilerHarness harness(MakeTaintEvictionController());
  harness.Put(
      FromYaml<Node>("{metadata: {name: n1}, spec: {taints: [{key: k, effect: NoExecute, "
                     "timeAdded: 1999-01-01T00:00:00Z}]}}"));
  Pod pod = FromYaml<Pod>(kReadyPod);
  auto* toleration = pod.mutable_spec()->add_tolerations();
  toleration->set_operator_("Exists");
  toleration->set_toleration_seconds(60);
  harness.Put(std::move(pod));
  harness.Advance(seconds(50));
  EXPECT_FALSE(harness.client().Peek<Pod>("default", "p")->metadata().has_deletion_timestamp());
  harness.Advance(seconds(15));
  EXPECT_TRUE(harness.client().Peek<Pod>("default", "p")->metadata().has_deletion_timestamp());
}

TEST(TaintEviction, ATaintThatIsTakenAwayInTimeEvictsNobody) {
  client::ReconcilerHarness harness(MakeTaintEvictionController());
  Pod pod = FromYaml<Pod>(kReadyPod);
  auto* toleration = pod.mutable_spec()->add_tolerations();
  toleration->set_operator_("Exists");
  toleration->set_toleration_seconds(30);
  harness.Put(std::move(pod));
  harness.Put(
      FromYaml<Node>("{metadata: {name: n1}, spec: {taints: [{key: k, effect: NoExecute}]}}"));
  harness.Advance(seconds(20));
  harness.Put(FromYaml<Node>("{metadata: {name: n1}}"));
  harness.Advance(seconds(20));
  EXPECT_THAT(harness.client().writes(), IsEmpty());
  EXPECT_THAT(harness.events(),
              ElementsAre("Normal TaintManagerEviction Cancelling deletion of Pod default/p"));
}

TEST(PodGc, RemovesPodsOfNodesThatAreGoneAfterAWhile) {
  client::ReconcilerHarness harness(MakePodGarbageCollector());
  harness.Put(FromYaml<Node>("{metadata: {name: n1}}"));
  harness.Put(FromYaml<Pod>(kReadyPod));
  harness.Put(FromYaml<Pod>("{metadata: {name: waiting, namespace: default}}"));
  harness.Advance(seconds(100));
  EXPECT_TRUE(harness.client().Peek<Pod>("default", "p"));
  harness.Remove<Node>("", "n1");
  harness.Advance(seconds(35));
  EXPECT_TRUE(harness.client().Peek<Pod>("default", "p")) << "the node may come back";
  harness.Advance(seconds(30));
  EXPECT_FALSE(harness.client().Peek<Pod>("default", "p"));
  EXPECT_TRUE(harness.client().Peek<Pod>("default", "waiting"));
}

TEST(PodGc, RemovesPodsDeletedBeforeTheyWereBound) {
  client::ReconcilerHarness harness(MakePodGarbageCollector());
  harness.Put(
      FromYaml<Pod>("{metadata: {name: p, namespace: default, deletionTimestamp: "
                    "2020-01-01T00:00:00Z, deletionGracePeriodSeconds: 30}}"));
  harness.Settle();
  EXPECT_FALSE(harness.client().Peek<Pod>("default", "p"));
}

TEST(PodGc, KeepsTheNewestTerminatedPods) {
  client::ReconcilerHarness harness(MakePodGarbageCollector(2));
  for (int i = 1; i <= 4; ++i) {
    Pod pod = FromYaml<Pod>("{metadata: {namespace: default}, status: {phase: Succeeded}}");
    pod.mutable_metadata()->set_name("p" + std::to_string(i));
    pod.mutable_metadata()->mutable_creation_timestamp()->set_seconds(i);
    harness.Put(std::move(pod));
  }
  harness.Advance(seconds(25));
  auto left = harness.client().All<Pod>();
  ASSERT_EQ(left.size(), 2u);
  EXPECT_EQ(left[0]->metadata().name(), "p3");
  EXPECT_THAT(harness.Restless(), IsEmpty());
}

TEST(PodGc, EvictedPodsGoFirst) {
  client::ReconcilerHarness harness(MakePodGarbageCollector(1));
  harness.Put(
      FromYaml<Pod>("{metadata: {name: done, namespace: default, creationTimestamp: "
                    "2000-01-01T00:00:00Z}, status: {phase: Succeeded}}"));
  harness.Put(
      FromYaml<Pod>("{metadata: {name: evicted, namespace: default, creationTimestamp: "
                    "2001-01-01T00:00:00Z}, status: {phase: Failed, reason: Evicted}}"));
  harness.Advance(seconds(25));
  EXPECT_TRUE(harness.client().Peek<Pod>("default", "done"));
  EXPECT_FALSE(harness.client().Peek<Pod>("default", "evicted"));
}

TEST(PodGc, EndsLeavingPodsOfNodesThatAreOutOfService) {
  client::ReconcilerHarness harness(MakePodGarbageCollector());
  harness.Put(
      FromYaml<Node>("{metadata: {name: n1}, status: {conditions: [{type: Ready, status: "
                     "Unknown}]}}"));
  Pod pod = FromYaml<Pod>(kReadyPod);
  pod.mutable_metadata()->mutable_deletion_timestamp()->set_seconds(1);
  pod.mutable_metadata()->set_deletion_grace_period_seconds(30);
  harness.Put(std::move(pod));
  harness.Advance(seconds(25));
  EXPECT_TRUE(harness.client().Peek<Pod>("default", "p"));
  harness.Put(
      FromYaml<Node>("{metadata: {name: n1}, spec: {taints: [{key: "
                     "node.kubernetes.io/out-of-service, effect: NoExecute}]}}"));
  harness.Advance(seconds(25));
  EXPECT_FALSE(harness.client().Peek<Pod>("default", "p"));
}

}  // namespace
}  // namespace gantry::controllers
