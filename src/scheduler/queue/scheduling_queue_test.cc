#include "scheduler/queue/scheduling_queue.h"

#include <gtest/gtest.h>

#include "api/testing/from_yaml.h"
#include "scheduler/framework/plugin.h"

namespace gantry::scheduler {
namespace {

using std::chrono::seconds;

PodInfoPtr MakePod(const std::string& name, int priority = 0, const std::string& cpu = "1") {
  return std::make_shared<const PodInfo>(api::testing::RefFromYaml<api::core::v1::Pod>(
      "{metadata: {name: " + name + ", uid: " + name +
      "}, spec: {priority: " + std::to_string(priority) +
      ", containers: [{name: c, resources: {requests: {cpu: \"" + cpu + "\"}}}]}}"));
}

class SchedulingQueueTest : public ::testing::Test {
 protected:
  std::string Pop() {
    PodInfoPtr pod = queue_.Pop(now_);
    return pod ? pod->uid() : "";
  }

  SteadyTime now_{seconds(1000)};
  SchedulingQueue queue_;
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
  queue_.Failed("a", false, kPodGone, now_);
  now_ += seconds(60);
  EXPECT_EQ(Pop(), "");
  queue_.ClusterChanged(kPodGone, now_);
  EXPECT_EQ(Pop(), "a");
}

TEST_F(SchedulingQueueTest, AChangeDuringTheAttemptIsNotMissed) {
  queue_.Put(MakePod("a"), now_);
  Pop();
  queue_.ClusterChanged(kPodGone, now_);
  queue_.Failed("a", false, kPodGone, now_);
  EXPECT_EQ(Pop(), "");
  now_ += seconds(1);
  EXPECT_EQ(Pop(), "a");
}

TEST_F(SchedulingQueueTest, AChangeThatCannotHelpWakesNobody) {
  queue_.Put(MakePod("a"), now_);
  Pop();
  queue_.Failed("a", false, kNodeAdded | kNodeLabels, now_);
  now_ += seconds(60);
  queue_.ClusterChanged(kPodGone | kNodeTaints, now_);
  EXPECT_EQ(Pop(), "");
  queue_.ClusterChanged(kNodeLabels, now_);
  EXPECT_EQ(Pop(), "a");
}

TEST_F(SchedulingQueueTest, BackOffDoublesUpToTenSeconds) {
  queue_.Put(MakePod("a"), now_);
  for (int expected : {1, 2, 4, 8, 10, 10}) {
    ASSERT_EQ(Pop(), "a");
    queue_.Failed("a", true, kPodGone, now_);
    ASSERT_EQ(*queue_.NextWakeup() - now_, seconds(expected));
    now_ += seconds(expected);
  }
}

TEST_F(SchedulingQueueTest, AChangedPodIsTriedAgainAndARemovedOneNever) {
  queue_.Put(MakePod("a"), now_);
  queue_.Put(MakePod("b"), now_);
  Pop();
  Pop();
  queue_.Failed("a", false, kPodGone, now_);
  queue_.Failed("b", false, kPodGone, now_);
  now_ += seconds(30);
  queue_.Put(MakePod("a", 0, "2"), now_);
  queue_.Remove("b");
  queue_.ClusterChanged(kPodGone, now_);
  EXPECT_EQ(Pop(), "a");
  EXPECT_EQ(Pop(), "");
}

TEST_F(SchedulingQueueTest, TriesAgainAfterFiveMinutesWithoutAChange) {
  queue_.Put(MakePod("a"), now_);
  Pop();
  queue_.Failed("a", false, kPodGone, now_);
  now_ += seconds(300);
  EXPECT_EQ(Pop(), "a");
}

}  // namespace
}  // namespace gantry::scheduler
