#include "scheduler/evaluation/evaluation.h"

#include <gmock/gmock.h>

#include "scheduler/testing/placing_test.h"

namespace gantry::scheduler {
namespace {

using EvaluationTest = PlacingTest;

TEST_F(EvaluationTest, WithoutNodesItSaysSo) {
  EXPECT_EQ(Place(MakePod("a", "{containers: [{name: c}]}")),
            "none: no nodes available to schedule pods");
}

struct ReasonRow {
  const char* node;  // what makes it unfit
  const char* pod;
  const char* message;
};

TEST_F(EvaluationTest, EveryRuleNamesItsReason) {
  const ReasonRow rows[] = {
      {", spec: {unschedulable: true}", "{}",
       "0/1 nodes are available: 1 node(s) were unschedulable."},
      {", spec: {taints: [{key: gpu, value: \"yes\", effect: NoSchedule}]}", "{}",
       "0/1 nodes are available: 1 node(s) had untolerated taint(s)."},
      {"", "{nodeSelector: {disk: ssd}}",
       "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."},
      {"", "{nodeName: other}",
       "0/1 nodes are available: 1 node(s) didn't match the requested node name."},
      {"", "{containers: [{name: c, resources: {requests: {cpu: \"3\", memory: 8Gi}}}]}",
       "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."},
      {"", "{containers: [{name: c, resources: {requests: {example.com/gpu: \"1\"}}}]}",
       "0/1 nodes are available: 1 Insufficient example.com/gpu."},
  };
  for (const ReasonRow& row : rows) {
    AddNode("node", row.node);
    EXPECT_EQ(Place(MakePod("a", row.pod)),
              std::string("none: ") + row.message +
                  " preemption: 0/1 nodes are available: 1 Preemption is not helpful for "
                  "scheduling.");
  }
}

TEST_F(EvaluationTest, CountsReasonsAcrossNodes) {
  AddNode("a", ", spec: {unschedulable: true}");
  AddNode("b", "", "1");
  AddNode("c", "", "1");
  EXPECT_EQ(Place(MakePod("p", "{containers: [{name: c, resources: {requests: {cpu: \"2\"}}}]}")),
            "none: 0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu. "
            "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.");
}

TEST_F(EvaluationTest, TolerationsAndAffinityLetThrough) {
  AddNode("tainted", ", spec: {taints: [{key: gpu, effect: NoSchedule}]}");
  EXPECT_EQ(Place(MakePod("p", "{tolerations: [{key: gpu, operator: Exists}]}")), "tainted");
  EXPECT_EQ(
      Place(MakePod("q",
                    "{tolerations: [{operator: Exists}], affinity: {nodeAffinity: "
                    "{requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: "
                    "[{matchExpressions: "
                    "[{key: kubernetes.io/hostname, operator: In, values: [tainted]}]}]}}}}")),
      "tainted");
}

TEST_F(EvaluationTest, LikePodsSpreadOverNodesAndFillThemUp) {
  AddNode("a");
  AddNode("b");
  std::map<std::string, int> placed;
  for (int i = 0; i < 8; ++i) {
    PodInfoPtr pod = MakePod("p" + std::to_string(i),
                             "{containers: [{name: c, resources: {requests: {cpu: 500m}}}]}");
    const std::string node = Place(pod);
    ++placed[node];
    nodes_.PutPod(pod, node);
  }
  EXPECT_EQ(placed["a"], 4);
  EXPECT_EQ(placed["b"], 4);
  EXPECT_EQ(
      Place(MakePod("more", "{containers: [{name: c, resources: {requests: {cpu: 500m}}}]}")),
      "none: 0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 "
      "No preemption victims found for incoming pod.");
}

TEST_F(EvaluationTest, HostPortsAreTakenOncePerAddress) {
  AddNode("a");
  const std::string spec =
      "{containers: [{name: c, ports: [{containerPort: 80, hostPort: 8080}]}]}";
  nodes_.PutPod(MakePod("first", spec), "a");
  EXPECT_EQ(
      Place(MakePod("second", spec)),
      "none: 0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod "
      "ports. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming "
      "pod.");
  nodes_.RemovePod("first");
  EXPECT_EQ(Place(MakePod("second", spec)), "a");
}

TEST_F(EvaluationTest, PreferencesDecideAmongThoseThatPass) {
  AddNode("plain");
  AddNode("avoided", ", spec: {taints: [{key: busy, effect: PreferNoSchedule}]}");
  EXPECT_EQ(Place(MakePod("p", "{containers: [{name: c}]}")), "plain");
}

TEST_F(EvaluationTest, InitContainersAndSidecarsCountAtTheirPeak) {
  AddNode("a");
  EXPECT_EQ(
      Place(MakePod("p",
                    "{initContainers: [{name: side, restartPolicy: Always, resources: "
                    "{requests: {cpu: \"1\"}}},"
                    " {name: init, resources: {requests: {cpu: \"1500m\"}}}],"
                    " containers: [{name: c, resources: {requests: {cpu: 100m}}}]}")),
      "none: 0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
      "1 Preemption is not helpful for scheduling.");
}

TEST_F(EvaluationTest, SaysWhatRemovingOtherPodsWouldDo) {
  const struct {
    const char* pod;
    const char* preemption;  // behind "1 Insufficient cpu."
  } rows[] = {
      {"{priority: 10",
       " preemption: 0/1 nodes are available: 1 No preemption victims found for "
       "incoming pod."},
      {"{priority: 50", " preemption: 0/1 nodes are available: 1 Insufficient cpu."},
      {"{priority: 100, preemptionPolicy: Never",
       " preemption: not eligible due to preemptionPolicy=Never."},
      {"{priority: 100", ""},
  };
  AddNode("a");
  nodes_.PutPod(MakePod("low",
                        "{priority: 20, containers: [{name: c, resources: {requests: {cpu: "
                        "500m}}}]}"),
                "a");
  nodes_.PutPod(MakePod("high",
                        "{priority: 60, containers: [{name: c, resources: {requests: {cpu: "
                        "1000m}}}]}"),
                "a");
  for (const auto& row : rows) {
    EXPECT_EQ(Place(MakePod("p", std::string(row.pod) +
                                     ", containers: [{name: c, resources: {requests: {cpu: "
                                     "1600m}}}]}")),
              std::string("none: 0/1 nodes are available: 1 Insufficient cpu.") + row.preemption)
        << row.pod;
  }
}

TEST_F(EvaluationTest, TheRulesThatSaidNoSayWhatMayHelp) {
  AddNode("a", ", spec: {taints: [{key: gpu, effect: NoSchedule}]}");
  const PodInfoPtr pod = MakePod("p", "{containers: [{name: c}]}");
  const Explanation explanation = EvaluationOf(pod).Explain(*pod);
  ASSERT_EQ(explanation.rules.size(), 1u);
  EXPECT_EQ(explanation.rules[0]->WakesOn(),
            uint32_t{ClusterEvent::kNodeAdded | ClusterEvent::kNodeTaints});
}

TEST_F(EvaluationTest, HostPortsOfSidecarsAndOtherAddressesAndProtocols) {
  const struct {
    const char* first;
    const char* second;
    bool fits;
  } rows[] = {
      {"{hostPort: 53}", "{hostPort: 53}", false},
      {"{hostPort: 53}", "{hostPort: 53, protocol: UDP}", true},
      {"{hostPort: 53, hostIP: 10.0.0.1}", "{hostPort: 53, hostIP: 10.0.0.2}", true},
      {"{hostPort: 53, hostIP: 10.0.0.1}", "{hostPort: 53}", false},
      {"{hostPort: 53, hostIP: 0.0.0.0}", "{hostPort: 53, hostIP: 10.0.0.1}", false},
  };
  AddNode("a");
  for (const auto& row : rows) {
    nodes_.PutPod(MakePod("first", std::string("{initContainers: [{name: s, restartPolicy: Always, "
                                               "ports: [") +
                                       row.first + "]}], containers: [{name: c}]}"),
                  "a");
    const std::string placed = Place(
        MakePod("second", std::string("{containers: [{name: c, ports: [") + row.second + "]}]}"));
    EXPECT_EQ(placed == "a", row.fits) << row.first << " " << row.second << " " << placed;
    nodes_.RemovePod("first");
  }
}

TEST_F(EvaluationTest, PodsThatAreOnlyNumberedShareTheirAnswers) {
  AddNode("a");
  auto numbered = [](int i, const std::string& spec) {
    const std::string name = "db-" + std::to_string(i);
    return MakePod(name, spec, "{app: db, statefulset.kubernetes.io/pod-name: " + name + "}");
  };
  const std::string plain = "{containers: [{name: c}]}";
  EXPECT_EQ(&EvaluationOf(numbered(0, plain)), &EvaluationOf(numbered(1, plain)));
  // One that looks at the number of others is not like them.
  const std::string looks =
      "{containers: [{name: c}], affinity: {podAntiAffinity: "
      "{requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, "
      "labelSelector: {matchLabels: {statefulset.kubernetes.io/pod-name: db-1}}}]}}}";
  EXPECT_EQ(Passing(numbered(0, looks)), "a");
  nodes_.PutPod(numbered(7, looks), "a");
  EXPECT_EQ(Passing(numbered(0, plain)), "a");
  EXPECT_EQ(Passing(numbered(1, plain)), "");
  nodes_.RemovePod("db-7");
  EXPECT_EQ(Passing(numbered(1, plain)), "a");
}

// The shapes that the random test places: they meet each other in every rule about places.
const char* const kShapes[][2] = {
    {"{app: plain}", "{containers: [{name: c, resources: {requests: {cpu: 300m}}}]}"},
    {"{app: spread}",
     "{containers: [{name: c}], topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, "
     "whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: spread}}}, {maxSkew: 2, "
     "topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: "
     "{matchLabels: {app: spread}}}]}"},
    {"{app: lonely}",
     "{containers: [{name: c}], affinity: {podAntiAffinity: "
     "{requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, "
     "labelSelector: {matchLabels: {app: lonely}}, namespaceSelector: {}}]}}}"},
    {"{app: friend}",
     "{containers: [{name: c}], affinity: {podAffinity: "
     "{requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone, labelSelector: "
     "{matchExpressions: [{key: app, operator: In, values: [friend, spread]}]}}], "
     "preferredDuringSchedulingIgnoredDuringExecution: [{weight: 7, podAffinityTerm: {topologyKey: "
     "rack, labelSelector: {matchLabels: {app: plain}}}}]}}}"},
    {"{app: shy}",
     "{containers: [{name: c}], affinity: {podAntiAffinity: "
     "{preferredDuringSchedulingIgnoredDuringExecution: [{weight: 3, podAffinityTerm: "
     "{topologyKey: zone, labelSelector: {matchLabels: {app: shy}}}}]}}}"},
    {"{app: served}", "{containers: [{name: c, ports: [{containerPort: 1, hostPort: 80}]}]}"},
};

// A cluster that is changed at random gives the same answers as one that is asked for the first
// time: incremental counts equal a recount, and nothing kept is stale.
TEST_F(EvaluationTest, WhatIsKeptFromPodToPodIsNeverStale) {
  uint32_t random = 12345;
  auto next = [&random](uint32_t bound) {
    return (random = random * 1664525 + 1013904223) / 65536 % bound;
  };
  auto put_node = [&](uint32_t i) {
    AddNode("n" + std::to_string(i), next(8) == 0 ? ", spec: {unschedulable: true}" : "", "3",
            "zone: z" + std::to_string(next(10) == 0 ? 9 : i % 3) +
                (next(4) == 0 ? "" : ", rack: r" + std::to_string(next(4))));
  };
  for (uint32_t i = 0; i < 12; ++i)
    put_node(i);
  facts_.PutService("default", "served", MakePod("x", "{}", "{app: served}")->shape->labels);
  std::vector<std::string> placed;
  for (int step = 0; step < 3000; ++step) {
    const auto& shape = kShapes[next(6)];
    const std::string uid = "p" + std::to_string(step);
    const PodInfoPtr pod = MakePod(uid, shape[1], shape[0], next(3) == 0 ? "other" : "default");
    Evaluation fresh(profile_, nodes_, facts_, pod);
    fresh.Refresh();
    Evaluation& kept = EvaluationOf(pod);
    const auto want = fresh.Feasible(*pod), have = kept.Feasible(*pod);
    ASSERT_TRUE(std::equal(
        want.begin(), want.end(), have.begin(), have.end(),
        [](const auto& a, const auto& b) { return a.slot == b.slot && a.score == b.score; }))
        << step << " " << shape[0] << " " << want.size() << " " << have.size();
    ASSERT_EQ(kept.Explain(*pod).reasons, fresh.Explain(*pod).reasons) << step;
    int64_t best = 0;
    for (const auto& scored : want)
      best = std::max(best, scored.score);
    const size_t slot = kept.Best(*pod, next(1000));
    ASSERT_EQ(slot == NodeTable::kNoSlot, want.empty()) << step;
    for (const auto& scored : want) {
      if (scored.slot == slot) ASSERT_EQ(scored.score, best) << step;
    }
    if (slot != NodeTable::kNoSlot) {
      nodes_.PutPod(pod, nodes_.slots()[slot].name);
      placed.push_back(uid);
    } else if (next(2) == 0) {
      nodes_.Nominate(pod, "n" + std::to_string(next(12)));
    }
    while (placed.size() > 40 || (next(3) == 0 && !placed.empty())) {
      const size_t which = next(static_cast<uint32_t>(placed.size()));
      nodes_.RemovePod(placed[which]);
      placed.erase(placed.begin() + static_cast<ptrdiff_t>(which));
    }
    if (next(40) == 0) nodes_.RemoveNode("n" + std::to_string(next(12)));
    if (next(20) == 0) put_node(next(12));
    if (next(100) == 0)
      facts_.PutNamespace(
          "other", MakePod("x", "{}", "{step: s" + std::to_string(step) + "}")->shape->labels);
  }
}

}  // namespace
}  // namespace gantry::scheduler
