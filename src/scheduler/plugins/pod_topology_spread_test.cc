#include "scheduler/testing/placing_test.h"

namespace gantry::scheduler {
namespace {

// A pod with label app=web under these constraints; `more` of each follows its selector.
std::string Spread(const std::string& constraints, const std::string& more = "") {
  return "{containers: [{name: c}], topologySpreadConstraints: [" + constraints + "]" + more + "}";
}
std::string Hard(const std::string& key, int skew, const std::string& more = "") {
  return "{maxSkew: " + std::to_string(skew) + ", topologyKey: " + key +
         ", whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}" + more +
         "}";
}
std::string Soft(const std::string& key, int skew) {
  return "{maxSkew: " + std::to_string(skew) + ", topologyKey: " + key +
         ", whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: web}}}";
}

// Nodes a1, a2 (zone a), b1 (zone b), x (no zone). Three pods app=web: two on a1, one on b1.
class PodTopologySpreadTest : public PlacingTest {
 protected:
  PodTopologySpreadTest() {
    AddZoneNode("a1", "a");
    AddZoneNode("a2", "a");
    AddZoneNode("b1", "b");
    AddNode("x", "", "100");
    AddPod("w1", "a1", "{app: web, version: v1}");
    AddPod("w2", "a1", "{app: web, version: v2}");
    AddPod("w3", "b1", "{app: web, version: v1}");
  }
  PodInfoPtr Web(const std::string& spec, const std::string& labels = "{app: web}") {
    return MakePod("p" + std::to_string(++number_), spec, labels);
  }
  int number_ = 0;
};

TEST_F(PodTopologySpreadTest, HardConstraints) {
  AddNode("c1", ", spec: {taints: [{key: k, effect: NoSchedule}]}", "100", "zone: c, disk: hdd");
  const std::string disk_a =
      ", affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
      "{nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a]}]}]}}}";
  const struct {
    std::string spec;
    const char* labels;
    const char* passing;
  } rows[] = {
      // a: 2, b: 1, c: 0 (its taint does not matter by default, but nobody passes there).
      {Spread(Hard("zone", 1)), "{app: web}", ""},
      {Spread(Hard("zone", 2)), "{app: web}", "b1"},
      {Spread(Hard("zone", 3)), "{app: web}", "a1 a2 b1"},
      // One that does not count itself.
      {Spread(Hard("zone", 1)), "{}", "b1"},
      {Spread(Hard("zone", 1, ", nodeTaintsPolicy: Honor")), "{app: web}", "b1"},
      {Spread(Hard("zone", 2, ", nodeTaintsPolicy: Honor")), "{app: web}", "a1 a2 b1"},
      // Nodes that the pod's affinity rules out do not count, unless it says so.
      {Spread(Hard("zone", 1), disk_a), "{app: web}", "a1 a2"},
      {Spread(Hard("zone", 1, ", nodeAffinityPolicy: Ignore"), disk_a), "{app: web}", ""},
      // Three places are there; with more wanted, the fewest count as none.
      {Spread(Hard("zone", 2, ", nodeTaintsPolicy: Honor, minDomains: 2")), "{app: web}",
       "a1 a2 b1"},
      {Spread(Hard("zone", 2, ", nodeTaintsPolicy: Honor, minDomains: 3")), "{app: web}", "b1"},
      // Only those of the same version count.
      {Spread(Hard("zone", 1, ", nodeTaintsPolicy: Honor, matchLabelKeys: [version]")),
       "{app: web, version: v2}", "b1"},
      // Every node is a place of its own, also those without a zone.
      {Spread(Hard("kubernetes.io/hostname", 1)), "{app: web}", "a2 x"},
      // All constraints must hold, and only nodes with all labels count.
      {Spread(Hard("zone", 3) + ", " + Hard("kubernetes.io/hostname", 1)), "{app: web}", "a2"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(Passing(Web(row.spec, row.labels)), row.passing) << row.spec << row.labels;
}

TEST_F(PodTopologySpreadTest, SaysWhy) {
  EXPECT_EQ(Place(Web(Spread(Hard("zone", 1) + ", " + Hard("kubernetes.io/hostname", 1)))),
            "none: 0/4 nodes are available: 1 node(s) didn't match pod topology spread constraints "
            "(missing required label), 3 node(s) didn't match pod topology spread constraints. "
            "preemption: 0/4 nodes are available: 1 Preemption is not helpful for scheduling, 3 No "
            "preemption victims found for incoming pod.");
}

TEST_F(PodTopologySpreadTest, PodsThatGoDoNotCount) {
  EXPECT_EQ(Passing(Web(Spread(Hard("zone", 1)))), "b1");
  nodes_.PutPod(
      MakePod("w1", "{}", "{app: web}", "default", ", deletionTimestamp: \"2026-01-01T00:00:00Z\""),
      "a1");
  EXPECT_EQ(Passing(Web(Spread(Hard("zone", 1)))), "a1 a2 b1");
}

TEST_F(PodTopologySpreadTest, SoftConstraints) {
  ScoreOnly("PodTopologySpread");
  // Hosts: weight log(4 + 2); 2, 0, 1, 0 pods: raw 4, 0, 2, 0.
  EXPECT_EQ(Scores(Web(Spread(Soft("kubernetes.io/hostname", 1)))), "a1=0 a2=100 b1=50 x=100");
  // Zones: weight log(2 + 2); x is left out: raw 3, 3, 1.
  EXPECT_EQ(Scores(Web(Spread(Soft("zone", 1)))), "a1=33 a2=33 b1=100 x=0");
}

TEST_F(PodTopologySpreadTest, DefaultConstraintsForPodsWithSiblings) {
  ScoreOnly("PodTopologySpread");
  const PodInfoPtr pod = MakePod("p", "{containers: [{name: c}]}", "{app: web}", "default",
                                 ", ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, "
                                 "name: web, uid: u, controller: true}]");
  EXPECT_EQ(Scores(pod), "a1=0 a2=0 b1=0 x=0");
  facts_.PutService("default", "web", MakePod("s", "{}", "{app: web}")->shape->labels);
  // No node has the well-known zone label, which leaves none out.
  EXPECT_EQ(Scores(pod), "a1=33 a2=100 b1=66 x=100");
  facts_.PutWorkload("ReplicaSet", "default", "web", *api::Selector::Parse("version=v1"));
  EXPECT_EQ(Scores(pod), "a1=50 a2=100 b1=50 x=100");
  facts_.RemoveService("default", "web");
  facts_.RemoveWorkload("ReplicaSet", "default", "web");
  EXPECT_EQ(Scores(pod), "a1=0 a2=0 b1=0 x=0");
}

TEST_F(PodTopologySpreadTest, WhatWakesAPod) {
  const auto rule = MakePodTopologySpread({});
  const PodInfoPtr pod = Web(Spread(Hard("zone", 1)));
  const PodInfoPtr web = MakePod("w", "{}", "{app: web}"), db = MakePod("d", "{}", "{app: db}");
  const struct {
    PodInfoPtr before, after;
    bool helps;
  } rows[] = {{nullptr, web, true}, {web, nullptr, true}, {web, db, true},
              {nullptr, db, false}, {web, web, false},    {db, nullptr, false}};
  for (const auto& row : rows) {
    ClusterEvent event(ClusterEvent::kPodPlaced);
    event.pod_before = row.before.get();
    event.pod = row.after.get();
    EXPECT_EQ(rule->MayHelp(*pod, event, facts_), row.helps);
  }
  ClusterEvent node(ClusterEvent::kNodeAdded);
  node.node = nodes_.Find("x");
  EXPECT_FALSE(rule->MayHelp(*pod, node, facts_));
  node.node = nodes_.Find("a2");
  EXPECT_TRUE(rule->MayHelp(*pod, node, facts_));
}

}  // namespace
}  // namespace gantry::scheduler
