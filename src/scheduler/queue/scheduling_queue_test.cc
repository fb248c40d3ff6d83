#include "scheduler/queue/scheduling_queue.h"

#include <gtest/gtest.h>

#include "api/testing/from_yaml.h"
#include "scheduler/cache/cluster_facts.h"

namespace gantry::scheduler {
namespace {

using std::chrono::seconds;

PodInfoPtr MakePod(const std::string& name, int priority = 0, const std::string& cpu = "1") {
  return std::make_shared<const PodInfo>(api::testing::RefFromYaml<api::core::v1::Pod>(
      "{metadata: {name: " + name + ", uid: " + name +
      "}, spec: {priority: " + std::to_string(priority) +
      ", containers: [{name: c, resources: {requests: {cpu: \"" + cpu + "\"}}}]}}"));
}

// Waits for these events; of those about a pod only for one with this name.
class FakeRule : public Plugin {
 public:
  explicit FakeRule(uint32_t wakes, std::string only = "")
      : wakes_(wakes), only_(std::move(only)) {}
  std::string_view name() const override { return "Fake"; }
  uint32_t WakesOn() const override { return wakes_; }
  bool MayHelp(const PodInfo& pod, const ClusterEvent& event, const ClusterFacts&) const override {
    ++asked;
    return only_.empty() || (event.pod != nullptr && event.pod->uid() == only_);
  }
  mutable int asked = 0;

 private:
  const uint32_t wakes_;
  const std::string only_;
};

const FakeRule kOnPodGone(ClusterEvent::kPodGone);

class SchedulingQueueTest : public ::testing::Test {
 protected:
  std::string Pop() {
    PodInfoPtr pod = queue_.Pop(now_);
    return pod ? pod->uid() : "";
  }

  void Unschedulable(const std::string& uid, const Plugin* rule = &kOnPodGone) {
    queue_.Unschedulable(uid, {rule}, now_);
  }
  void Happened(uint32_t kinds) { queue_.Happened(ClusterEvent(kinds), now_); }

  SteadyTime now_{seconds(1000)};
  ClusterFacts facts_;
  SchedulingQueue queue_{facts_, SchedulingQueue::Backoff()};
};

TEST_F(SchedulingQueueTest, HigherPriorityFirstThenInOrderOfArrival) {
  queue_.Put(MakePod("a"), now_);
  queue_.Put(MakePod("b", 10), now_);
  queue_.Put(MakePod("c"), now_);
  EXPECT_EQ(Pop(), "b");
  EXPECT_EQ(Pop(), "a");
  EXPECT_EQ(Pop(), "c");
  EXPECT_EQ(Pop(), "");
}

TEST_F(SchedulingQueueTest, WhatFitsNowhereWaitsForAChange) {
  queue_.Put(MakePod("a"), now_);
  Pop();
  Unschedulable("a");
  now_ += seconds(60);
  EXPECT_EQ(Pop(), "");
  Happened(ClusterEvent::kPodGone);
  EXPECT_EQ(Pop(), "a");
}

TEST_F(SchedulingQueueTest, AChangeDuringTheAttemptIsNotMissed) {
  queue_.Put(MakePod("a"), now_);
  Pop();
  Happened(ClusterEvent::kPodGone);
  Unschedulable("a");
  EXPECT_EQ(Pop(), "");
  now_ += seconds(1);
  EXPECT_EQ(Pop(), "a");
}

TEST_F(SchedulingQueueTest, AChangeThatCannotHelpWakesNobody) {
  queue_.Put(MakePod("a"), now_);
  Pop();
  const FakeRule rule(ClusterEvent::kNodeAdded | ClusterEvent::kNodeLabels);
  Unschedulable("a", &rule);
  now_ += seconds(60);
  Happened(ClusterEvent::kPodGone | ClusterEvent::kNodeTaints);
  EXPECT_EQ(Pop(), "");
  Happened(ClusterEvent::kNodeLabels);
  EXPECT_EQ(Pop(), "a");
}

TEST_F(SchedulingQueueTest, BackOffDoublesUpToTenSeconds) {
  queue_.Put(MakePod("a"), now_);
  for (int expected : {1, 2, 4, 8, 10, 10}) {
    ASSERT_EQ(Pop(), "a");
    queue_.Retry("a", now_);
    ASSERT_EQ(*queue_.NextWakeup() - now_, seconds(expected));
    now_ += seconds(expected);
  }
}

TEST_F(SchedulingQueueTest, AChangedPodIsTriedAgainAndARemovedOneNever) {
  queue_.Put(MakePod("a"), now_);
  queue_.Put(MakePod("b"), now_);
  Pop();
  Pop();
  Unschedulable("a");
  Unschedulable("b");
  now_ += seconds(30);
  queue_.Put(MakePod("a", 0, "2"), now_);
  queue_.Remove("b");
  Happened(ClusterEvent::kPodGone);
  EXPECT_EQ(Pop(), "a");
  EXPECT_EQ(Pop(), "");
}

TEST_F(SchedulingQueueTest, TheRuleIsAskedWhetherTheEventHelps) {
  const FakeRule rule(ClusterEvent::kPodPlaced, "friend");
  queue_.Put(MakePod("a"), now_);
  Pop();
  Unschedulable("a", &rule);
  now_ += seconds(60);
  const PodInfoPtr stranger = MakePod("stranger"), known = MakePod("friend");
  ClusterEvent event(ClusterEvent::kPodPlaced);
  event.pod = stranger.get();
  queue_.Happened(event, now_);
  EXPECT_EQ(Pop(), "");
  event.pod = known.get();
  queue_.Happened(event, now_);
  EXPECT_EQ(Pop(), "a");
}

TEST_F(SchedulingQueueTest, LikePodsAreAskedAboutOnce) {
  const FakeRule rule(ClusterEvent::kPodGone);
  PodShapes shapes;
  for (int i = 0; i < 100; ++i) {
    const PodInfoPtr pod = MakePod("p" + std::to_string(i));
    queue_.Put(std::make_shared<const PodInfo>(pod->pod, shapes.Of(*pod->pod)), now_);
    Unschedulable(Pop(), &rule);
  }
  now_ += seconds(60);
  Happened(ClusterEvent::kPodGone);
  EXPECT_EQ(rule.asked, 1);
  EXPECT_EQ(queue_.ready(), 100u);
}

TEST_F(SchedulingQueueTest, WithoutNodesItWaitsForOne) {
  queue_.Put(MakePod("a"), now_);
  Pop();
  queue_.Unschedulable("a", {}, now_);
  now_ += seconds(60);
  Happened(ClusterEvent::kPodGone);
  EXPECT_EQ(Pop(), "");
  Happened(ClusterEvent::kNodeAdded);
  EXPECT_EQ(Pop(), "a");
}

TEST_F(SchedulingQueueTest, APodThatIsWokenNeedNoEvent) {
  queue_.Put(MakePod("a"), now_);
  Pop();
  Unschedulable("a");
  now_ += seconds(60);
  queue_.Wake("a", now_);
  EXPECT_EQ(Pop(), "a");
}

TEST_F(SchedulingQueueTest, TriesAgainAfterFiveMinutesWithoutAChange) {
  queue_.Put(MakePod("a"), now_);
  Pop();
  Unschedulable("a");
  now_ += seconds(300);
  EXPECT_EQ(Pop(), "a");
}

}  // namespace
}  // namespace gantry::scheduler
