#include "scheduler/testing/placing_test.h"

namespace gantry::scheduler {
namespace {

class PreemptionTest : public PlacingTest {
 protected:
  static std::string Spec(int priority, const std::string& cpu, const std::string& more = "") {
    return "{priority: " + std::to_string(priority) +
           ", containers: [{name: c, resources: " + "{requests: {cpu: " + cpu + "}}}]" + more + "}";
  }
  // Started at minute `minute`.
  void Run(const std::string& name, const std::string& node, int priority, const std::string& cpu,
           const std::string& labels = "{}", int minute = 0) {
    const std::string start = (minute < 10 ? "0" : "") + std::to_string(minute);
    nodes_.PutPod(std::make_shared<const PodInfo>(api::testing::RefFromYaml<api::core::v1::Pod>(
                      "{metadata: {name: " + name + ", namespace: default, uid: " + name +
                      ", labels: " + labels + "}, spec: " + Spec(priority, cpu) +
                      ", status: {startTime: \"2026-01-01T00:" + start + ":00Z\"}}")),
                  node);
  }
  PreemptionPlan Plan(const PodInfoPtr& pod, Profile::Preemption options = {}) {
    return PlanPreemption(EvaluationOf(pod), nodes_, facts_, options, *pod, 0);
  }
  // "a: low1 low2" of the node that is chosen; the message when there is none.
  std::string Chosen(const PodInfoPtr& pod) {
    const PreemptionPlan plan = Plan(pod);
    if (plan.candidates.empty()) return plan.message;
    const std::string node = LeastHarmful(plan.candidates);
    std::string text = node + ":";
    for (const PodInfoPtr& victim : plan.candidates.at(node).pods)
      text += " " + victim->uid();
    return text;
  }
  void AddBudget(const std::string& labels, int allowed) {
    facts_.PutBudget(api::testing::RefFromYaml<api::policy::v1::PodDisruptionBudget>(
        "{metadata: {name: b, namespace: default}, spec: {selector: {matchLabels: " + labels +
        "}}, status: {disruptionsAllowed: " + std::to_string(allowed) + "}}"));
  }
};

TEST_F(PreemptionTest, AsFewAsPossibleGoAndTheLeastImportantFirst) {
  AddNode("a");
  Run("p10", "a", 10, "800m");
  Run("p20", "a", 20, "500m");
  Run("p5", "a", 5, "500m");
  EXPECT_EQ(Chosen(MakePod("x", Spec(100, "500m"))), "a: p5");
  // Without p10 there is room for p5 again.
  EXPECT_EQ(Chosen(MakePod("y", Spec(100, "1"))), "a: p10");
  EXPECT_EQ(Chosen(MakePod("z", Spec(15, "1900m"))),
            "0/1 nodes are available: 1 Insufficient cpu.");
  EXPECT_EQ(Chosen(MakePod("w", Spec(5, "500m"))),
            "0/1 nodes are available: 1 No preemption victims found for incoming pod.");
}

TEST_F(PreemptionTest, TheNodeWhereItHurtsLeast) {
  for (const char* node : {"a", "b", "c", "d"})
    AddNode(node);
  const PodInfoPtr pod = MakePod("x", Spec(100, "2"));
  Run("a1", "a", 10, "2");
  Run("b1", "b", 9, "1");
  Run("b2", "b", 9, "1");
  Run("c1", "c", 9, "2", "{}", 5);
  Run("d1", "d", 9, "2", "{}", 7);
  EXPECT_EQ(Chosen(pod), "d: d1") << "lowest priority, fewest, and started last";
  nodes_.RemoveNode("d");
  EXPECT_EQ(Chosen(pod), "c: c1");
  nodes_.RemoveNode("c");
  EXPECT_EQ(Chosen(pod), "b: b1 b2");
}

TEST_F(PreemptionTest, BudgetsAreBrokenOnlyWhereNothingElseHelps) {
  AddNode("a");
  AddNode("b");
  Run("a1", "a", 1, "2", "{app: guarded}");
  Run("b1", "b", 50, "2");
  const PodInfoPtr pod = MakePod("x", Spec(100, "2"));
  AddBudget("{app: guarded}", 1);
  EXPECT_EQ(Chosen(pod), "a: a1");
  AddBudget("{app: guarded}", 0);
  EXPECT_EQ(Chosen(pod), "b: b1");
  nodes_.RemoveNode("b");
  EXPECT_EQ(Chosen(pod), "a: a1");
  EXPECT_EQ(Plan(pod).candidates.at("a").budget_violations, 1);
}

TEST_F(PreemptionTest, GuardedPodsComeBackFirst) {
  AddNode("a");
  Run("guarded", "a", 1, "1", "{app: guarded}");
  Run("free", "a", 2, "1");
  AddBudget("{app: guarded}", 0);
  EXPECT_EQ(Chosen(MakePod("x", Spec(100, "1"))), "a: free");
}

TEST_F(PreemptionTest, NeverIsNeverAndWhoWaitsForVictimsTakesNoMore) {
  AddNode("a");
  AddNode("b");
  Run("b1", "b", 1, "2");
  EXPECT_EQ(Chosen(MakePod("x", Spec(100, "2", ", preemptionPolicy: Never"))),
            "not eligible due to preemptionPolicy=Never.");
  nodes_.PutPod(std::make_shared<const PodInfo>(api::testing::RefFromYaml<api::core::v1::Pod>(
                    "{metadata: {name: a1, namespace: default, uid: a1, deletionTimestamp: "
                    "\"2026-01-01T00:00:00Z\"}, spec: " +
                    Spec(1, "2") +
                    ", status: {conditions: [{type: DisruptionTarget, status: \"True\", reason: "
                    "PreemptionByScheduler}]}}")),
                "a");
  const PodInfoPtr pod = MakePod("y", Spec(100, "2"));
  nodes_.Nominate(pod, "a");
  EXPECT_EQ(Chosen(pod), "not eligible due to a terminating pod on the nominated node.");
  // Cordoned meanwhile: it looks elsewhere.
  AddNode("a", ", spec: {unschedulable: true}");
  EXPECT_EQ(Chosen(pod), "b: b1");
}

TEST_F(PreemptionTest, WhatRemovingPodsCannotChangeIsNoCandidate) {
  AddNode("a", ", spec: {taints: [{key: k, effect: NoSchedule}]}");
  AddNode("b");
  Run("a1", "a", 1, "2");
  EXPECT_EQ(Chosen(MakePod("x", Spec(100, "3"))),
            "0/2 nodes are available: 2 Preemption is not helpful for scheduling.");
}

TEST_F(PreemptionTest, AntiAffinityAndSpreadAreTriedWithoutTheVictims) {
  AddZoneNode("a", "a");
  AddZoneNode("b", "b");
  AddPod("low", "a", "{app: web}", "{priority: 1, containers: [{name: c}]}");
  AddPod("other", "b", "{app: web}", "{priority: 200, containers: [{name: c}]}");
  const std::string anti =
      ", affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
      "[{topologyKey: zone, labelSelector: {matchLabels: {app: web}}}]}}";
  EXPECT_EQ(Chosen(MakePod("x", Spec(100, "1", anti))), "a: low");
  const std::string spread =
      ", topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: "
      "DoNotSchedule, labelSelector: {matchLabels: {app: web}}}]";
  AddPod("low2", "a", "{app: web}", "{priority: 1, containers: [{name: c}]}");
  AddPod("other2", "b", "{app: web}", "{priority: 200, containers: [{name: c}]}");
  AddPod("filler", "b", "{}",
         "{priority: 200, containers: [{name: c, resources: {requests: {cpu: "
         "\"100\"}}}]}");
  // Zones have two each: one more in a is within the skew.
  EXPECT_EQ(Passing(MakePod("y", Spec(100, "1", spread), "{app: web}")), "a");
  AddPod("low3", "a", "{app: web}", "{priority: 1, containers: [{name: c}]}");
  EXPECT_EQ(Chosen(MakePod("z", Spec(100, "1", spread), "{app: web}")), "a: low3");
  // The trials left no trace.
  EXPECT_EQ(Passing(MakePod("v", Spec(100, "1", spread), "{app: web}")), "");
}

TEST_F(PreemptionTest, PodsForWhichRoomIsMadeGoFirst) {
  AddNode("a");
  const PodInfoPtr first = MakePod("first", Spec(50, "2"));
  nodes_.Nominate(first, "a");
  EXPECT_EQ(Passing(MakePod("same", Spec(50, "1"))), "");
  EXPECT_EQ(Passing(MakePod("less", Spec(10, "1"))), "");
  EXPECT_EQ(Passing(MakePod("more", Spec(60, "1"))), "a");
  EXPECT_EQ(Passing(first), "a");
  const auto displaced = LessImportantNominations(nodes_, "a", *MakePod("more", Spec(60, "1")));
  ASSERT_EQ(displaced.size(), 1u);
  EXPECT_EQ(displaced[0]->uid(), "first");
  nodes_.RemoveNomination("first");
  EXPECT_EQ(Passing(MakePod("less", Spec(10, "1"))), "a");
}

TEST_F(PreemptionTest, StopsLookingOnceThereIsEnoughToChooseFrom) {
  for (int i = 0; i < 20; ++i) {
    AddNode("n" + std::to_string(i));
    Run("p" + std::to_string(i), "n" + std::to_string(i), 1, "2");
  }
  const PodInfoPtr pod = MakePod("x", Spec(100, "2"));
  EXPECT_EQ(Plan(pod, {10, 5}).candidates.size(), 5u);
  EXPECT_EQ(Plan(pod, {50, 5}).candidates.size(), 10u);
  EXPECT_EQ(Plan(pod).candidates.size(), 20u);
}

}  // namespace
}  // namespace gantry::scheduler
