#include "scheduler/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/core/v1/event.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/pods.h"
#include "api/testing/from_yaml.h"
#include "base/env/testing/virtual_env.h"
#include "client/testing/fake_client.h"

namespace gantry::scheduler {
namespace {

using api::core::v1::Event;
using api::core::v1::Node;
using api::core::v1::Pod;
using api::testing::FromYaml;

// Answers a binding some time after it was decided.
class SlowClient : public client::FakeClient {
 public:
  explicit SlowClient(Env& env) : FakeClient(env), env_(env) {}
  Duration delay{};

  Task<Result<api::ObjectPtr>> Create(const api::KindInfo& kind, std::string ns, std::string name,
                                      std::string subresource,
                                      std::unique_ptr<google::protobuf::Message> object,
                                      client::WriteOptions options) override {
    const bool binding = subresource == "binding";
    Result<api::ObjectPtr> result =
        co_await FakeClient::Create(kind, std::move(ns), std::move(name), std::move(subresource),
                                    std::move(object), std::move(options));
    if (binding && delay > Duration::zero()) co_await SleepFor(env_, delay);
    co_return result;
  }

 private:
  Env& env_;
};

class SchedulerTest : public ::testing::Test {
 protected:
  SchedulerTest() {
    scheduler_ = *Scheduler::Make(env_, client_, informers_, Configuration());
    informers_.Start();
    scheduler_->Start();
    env_.RunUntilIdle();
  }
  ~SchedulerTest() override { env_.RunToEnd(StopAll()); }

  Task<> StopAll() {
    co_await scheduler_->Stop();
    co_await informers_.Stop();
  }
  void AddNode(const std::string& name) {
    client_.Put(
        FromYaml<Node>("{metadata: {name: " + name +
                       "}, status: {allocatable: {cpu: \"1\", memory: 1Gi, pods: \"10\"}}}"));
    env_.RunUntilIdle();
  }
  void AddPod(const std::string& name, const std::string& more = "") {
    client_.Put(FromYaml<Pod>(
        "{metadata: {name: " + name +
        ", namespace: default}, spec: {schedulerName: "
        "default-scheduler, containers: [{name: c, resources: {requests: {cpu: 600m}}}]" +
        more + "}, status: {phase: Pending}}"));
    env_.RunUntilIdle();
  }
  std::string NodeOf(const std::string& pod) {
    return client_.Peek<Pod>("default", pod)->spec().node_name();
  }
  std::vector<std::string> Events() {
    env_.Advance(std::chrono::seconds(1));  // they are written a little later
    std::vector<std::string> texts;
    for (const auto& event : client_.All<Event>())
      texts.push_back(event->reason() + ": " + event->message());
    return texts;
  }

  VirtualEnv env_;
  SlowClient client_{env_};
  client::InformerSet informers_{env_, client_};
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(SchedulerTest, BindsAPodAndSaysSo) {
  AddNode("a");
  AddPod("web");
  EXPECT_EQ(NodeOf("web"), "a");
  EXPECT_EQ(Events(),
            std::vector<std::string>{"Scheduled: Successfully assigned default/web to a"});
}

TEST_F(SchedulerTest, TellsWhyAPodWaitsAndBindsItOnceThereIsRoom) {
  AddNode("a");
  AddPod("first");
  AddPod("second");
  EXPECT_EQ(NodeOf("second"), "");
  const auto pod = client_.Peek<Pod>("default", "second");
  const auto* condition = api::FindCondition(pod->status(), "PodScheduled");
  ASSERT_NE(condition, nullptr);
  EXPECT_EQ(condition->reason(), "Unschedulable");
  EXPECT_EQ(
      condition->message(),
      "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No "
      "preemption victims found for incoming pod.");
  client_.Remove<Pod>("default", "first");
  env_.Advance(std::chrono::seconds(2));
  EXPECT_EQ(NodeOf("second"), "a");
}

TEST_F(SchedulerTest, LeavesGatedPodsAndThoseOfOtherSchedulersAlone) {
  AddNode("a");
  AddPod("gated", ", schedulingGates: [{name: example.com/wait}]");
  Pod other =
      FromYaml<Pod>("{metadata: {name: other, namespace: default}, spec: {schedulerName: mine}}");
  client_.Put(std::move(other));
  env_.RunUntilIdle();
  EXPECT_EQ(NodeOf("gated"), "");
  EXPECT_EQ(NodeOf("other"), "");
}

TEST_F(SchedulerTest, ABindingThatFailsIsTriedAgainAndDoesNotHoldTheRoom) {
  AddNode("a");
  bool fail = true;
  client_.SetFault([&fail](const client::FakeClient::Call& call) {
    return fail && call.subresource == "binding" ? Status(Code::kUnavailable, "no") : Status();
  });
  AddPod("web");
  EXPECT_EQ(NodeOf("web"), "");
  const auto pod = client_.Peek<Pod>("default", "web");
  const auto* condition = api::FindCondition(pod->status(), "PodScheduled");
  ASSERT_NE(condition, nullptr);
  EXPECT_EQ(condition->reason(), "SchedulerError");
  EXPECT_EQ(condition->message(), "running Bind plugin \"DefaultBinder\": no");
  fail = false;
  env_.Advance(std::chrono::seconds(3));
  EXPECT_EQ(NodeOf("web"), "a");
}

TEST_F(SchedulerTest, OnlyAChangeThatMayHelpBringsAPodBack) {
  AddNode("a");
  AddPod("first");
  AddPod("second");
  auto tries = [&] {
    env_.Advance(std::chrono::seconds(1));
    int count = 0;
    for (const auto& event : client_.All<Event>())
      count += event->reason() == "FailedScheduling" ? std::max(1, event->count()) : 0;
    return count;
  };
  EXPECT_EQ(tries(), 1);
  Node labelled = *client_.Peek<Node>("", "a");
  (*labelled.mutable_metadata()->mutable_labels())["disk"] = "ssd";
  client_.Put(labelled);
  env_.Advance(std::chrono::seconds(30));
  EXPECT_EQ(tries(), 1) << "a label gives no room";
  (*labelled.mutable_status()->mutable_allocatable())["memory"].set_string("2Gi");
  client_.Put(labelled);
  env_.Advance(std::chrono::seconds(30));
  EXPECT_EQ(tries(), 1) << "more memory is not what it lacks";
  (*labelled.mutable_status()->mutable_allocatable())["cpu"].set_string("2");
  client_.Put(labelled);
  env_.Advance(std::chrono::seconds(30));
  EXPECT_EQ(NodeOf("second"), "a");
}

TEST_F(SchedulerTest, TheReasonIsWrittenAlsoWhenThePodChangesMeanwhile) {
  int conflicts = 2;
  client_.SetFault([&conflicts](const client::FakeClient::Call& call) {
    return call.subresource == "status" && conflicts-- > 0 ? Status(Code::kConflict, "changed")
                                                           : Status();
  });
  AddPod("web");
  const auto pod = client_.Peek<Pod>("default", "web");
  const auto* condition = api::FindCondition(pod->status(), "PodScheduled");
  ASSERT_NE(condition, nullptr);
  EXPECT_EQ(condition->message(), "no nodes available to schedule pods");
}

TEST_F(SchedulerTest, APodThatAnotherBoundMeanwhileCountsWhereItIs) {
  AddNode("a");
  AddNode("b");
  client_.delay = std::chrono::milliseconds(100);
  std::string decided;
  client_.SetFault([&](const client::FakeClient::Call& call) {
    if (call.subresource != "binding" || !decided.empty()) return Status();
    decided = call.name;
    Pod taken = *client_.Peek<Pod>("default", call.name);
    taken.mutable_spec()->set_node_name("a");
    client_.Put(std::move(taken));
    return Status(Code::kConflict, "pod web is already assigned to node \"a\"");
  });
  AddPod("web");
  env_.Advance(std::chrono::seconds(3));
  EXPECT_EQ(NodeOf("web"), "a");
  AddPod("one");
  AddPod("two");
  env_.Advance(std::chrono::seconds(3));
  EXPECT_EQ(NodeOf("one"), "b");
  EXPECT_EQ(NodeOf("two"), "") << "there is room for one pod on each node";
  EXPECT_EQ(Events().size(), 2u) << "a pod that has its node is not a failure";
}

TEST_F(SchedulerTest, PodsThatOthersPlacedCountAgainstTheRoom) {
  AddNode("a");
  client_.Put(FromYaml<Pod>(
      "{metadata: {name: own, namespace: default}, spec: {nodeName: a, containers: [{name: c, "
      "resources: {requests: {cpu: 600m}}}]}, status: {phase: Running}}"));
  AddPod("web");
  EXPECT_EQ(NodeOf("web"), "");
  Pod done = *client_.Peek<Pod>("default", "own");
  done.mutable_status()->set_phase("Succeeded");
  client_.Put(done);
  env_.Advance(std::chrono::seconds(5));
  EXPECT_EQ(NodeOf("web"), "a");
}

std::vector<std::string> ConditionsOf(const Pod& pod) {
  std::vector<std::string> texts;
  for (const auto& condition : pod.status().conditions())
    texts.push_back(condition.type() + "/" + condition.reason() + ": " + condition.message());
  return texts;
}

TEST_F(SchedulerTest, APodOfHigherPriorityMakesRoomForItself) {
  AddNode("a");
  AddPod("low", ", terminationGracePeriodSeconds: 30");
  ASSERT_EQ(NodeOf("low"), "a");
  AddPod("high", ", priority: 100");
  // The victim is told and has its time; the node is kept for who asked for it.
  api::Ref<Pod> low = client_.Peek<Pod>("default", "low");
  ASSERT_TRUE(low);
  EXPECT_TRUE(low->metadata().has_deletion_timestamp());
  EXPECT_THAT(ConditionsOf(*low),
              testing::Contains("DisruptionTarget/PreemptionByScheduler: default-scheduler: "
                                "preempting to accommodate a higher priority pod"));
  api::Ref<Pod> high = client_.Peek<Pod>("default", "high");
  EXPECT_EQ(high->spec().node_name(), "");
  EXPECT_EQ(high->status().nominated_node_name(), "a");
  EXPECT_THAT(ConditionsOf(*high),
              testing::Contains(
                  "PodScheduled/Unschedulable: 0/1 nodes are available: 1 Insufficient cpu."));
  // Who is less important does not get the room, not even when it is free.
  AddPod("late", ", priority: 50");
  client_.Remove<Pod>("default", "low");
  env_.Advance(std::chrono::seconds(5));
  EXPECT_EQ(NodeOf("high"), "a");
  EXPECT_EQ(NodeOf("late"), "");
  EXPECT_THAT(Events(), testing::Contains("Preempted: Preempted by pod " + high->metadata().uid() +
                                          " on node a"));
}

TEST_F(SchedulerTest, WhileItsVictimsEndAPodTakesNoMore) {
  AddNode("a");
  AddNode("b");
  AddPod("one");
  AddPod("two");
  AddPod("high", ", priority: 100");
  const std::string nominated =
      client_.Peek<Pod>("default", "high")->status().nominated_node_name();
  ASSERT_NE(nominated, "");
  // Something wakes it before the victim is gone.
  AddNode("tiny");
  Node tiny = *client_.Peek<Node>("", "tiny");
  tiny.mutable_spec()->set_unschedulable(true);
  client_.Put(tiny);
  env_.Advance(std::chrono::seconds(30));
  int going = 0;
  for (const char* name : {"one", "two"})
    going += client_.Peek<Pod>("default", name)->metadata().has_deletion_timestamp() ? 1 : 0;
  EXPECT_LE(going, 1);
}

TEST_F(SchedulerTest, AMoreImportantPodTakesTheRoomAndTheOtherLooksElsewhere) {
  AddNode("a");
  AddPod("low", ", terminationGracePeriodSeconds: 30");
  AddPod("middle", ", priority: 50");
  ASSERT_EQ(client_.Peek<Pod>("default", "middle")->status().nominated_node_name(), "a");
  AddPod("high", ", priority: 100");
  client_.Remove<Pod>("default", "low");
  env_.Advance(std::chrono::seconds(10));
  EXPECT_EQ(NodeOf("high"), "a");
  EXPECT_EQ(NodeOf("middle"), "");
  AddNode("b");
  env_.Advance(std::chrono::seconds(15));
  EXPECT_EQ(NodeOf("middle"), "b");
}

TEST_F(SchedulerTest, ANominationThatIsWorthNothingIsCleared) {
  AddNode("a");
  AddPod("low", ", terminationGracePeriodSeconds: 30");
  AddPod("high", ", priority: 100");
  ASSERT_EQ(client_.Peek<Pod>("default", "high")->status().nominated_node_name(), "a");
  client_.Remove<Node>("", "a");
  AddNode("tiny");
  Node tiny = *client_.Peek<Node>("", "tiny");
  (*tiny.mutable_status()->mutable_allocatable())["cpu"].set_string("100m");
  client_.Put(tiny);
  env_.Advance(std::chrono::minutes(6));
  EXPECT_EQ(client_.Peek<Pod>("default", "high")->status().nominated_node_name(), "");
}

TEST_F(SchedulerTest, AVictimThatCannotBeDeletedIsTriedAgain) {
  AddNode("a");
  AddPod("low", ", terminationGracePeriodSeconds: 30");
  int refusals = 1;
  client_.SetFault([&refusals](const client::FakeClient::Call& call) {
    return call.verb == "delete" && refusals-- > 0 ? Status(Code::kUnavailable, "no") : Status();
  });
  AddPod("high", ", priority: 100");
  EXPECT_FALSE(client_.Peek<Pod>("default", "low")->metadata().has_deletion_timestamp());
  env_.Advance(std::chrono::seconds(5));
  EXPECT_TRUE(client_.Peek<Pod>("default", "low")->metadata().has_deletion_timestamp());
}

TEST_F(SchedulerTest, APodThatWaitsForAFriendIsWokenByIt) {
  AddNode("a");
  client_.Put(FromYaml<Pod>(
      "{metadata: {name: follower, namespace: default}, spec: {schedulerName: default-scheduler, "
      "containers: [{name: c}], affinity: {podAffinity: "
      "{requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, "
      "labelSelector: {matchLabels: {app: leader}}}]}}}, status: {phase: Pending}}"));
  env_.Advance(std::chrono::seconds(20));
  EXPECT_EQ(NodeOf("follower"), "");
  Node labelled = *client_.Peek<Node>("", "a");
  (*labelled.mutable_metadata()->mutable_labels())["kubernetes.io/hostname"] = "a";
  client_.Put(labelled);
  client_.Put(FromYaml<Pod>(
      "{metadata: {name: leader, namespace: default, labels: {app: leader}}, spec: {schedulerName: "
      "default-scheduler, containers: [{name: c}]}, status: {phase: Pending}}"));
  env_.Advance(std::chrono::seconds(2));
  EXPECT_EQ(NodeOf("follower"), "a");
}

}  // namespace
}  // namespace gantry::scheduler
