#include "scheduler/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/testing/from_yaml.h"
#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

using api::core::v1::Node;
using api::core::v1::Pod;
using api::testing::RefFromYaml;

PodInfoPtr MakePod(const std::string& name, const std::string& spec) {
  return std::make_shared<const PodInfo>(RefFromYaml<Pod>("{metadata: {name: " + name +
                                                          ", namespace: default, uid: " + name +
                                                          "}, spec: " + spec + "}"));
}

class EvaluationTest : public ::testing::Test {
 protected:
  void AddNode(const std::string& name, const std::string& more = "",
               const std::string& cpu = "2") {
    nodes_.PutNode(RefFromYaml<Node>("{metadata: {name: " + name +
                                     ", labels: {kubernetes.io/hostname: " + name +
                                     "}}, status: {allocatable: {cpu: \"" + cpu +
                                     "\", memory: 4Gi, pods: \"110\"}}" + more + "}"));
  }
  std::string Place(const PodInfoPtr& pod) {
    evaluation_.Refresh(*pod);
    const NodeInfo* node = evaluation_.Best(0);
    return node ? node->name : "none: " + evaluation_.Explain(*pod).Message();
  }

  NodeTable nodes_;
  Profile profile_ = DefaultProfile(nodes_);
  Evaluation evaluation_{profile_, nodes_};
};

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
       "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}."},
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
  evaluation_.Refresh(*pod);
  EXPECT_EQ(evaluation_.Explain(*pod).wakes_on, uint32_t{kNodeAdded | kNodeTaints});
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

// A node table that is changed at random answers as one that is built anew.
TEST_F(EvaluationTest, WhatIsKeptFromPodToPodIsNeverStale) {
  uint32_t random = 12345;
  auto next = [&random](uint32_t bound) {
    return (random = random * 1664525 + 1013904223) / 65536 % bound;
  };
  for (int i = 0; i < 5; ++i)
    AddNode("n" + std::to_string(i));
  std::map<std::string, std::pair<PodInfoPtr, std::string>> placed;
  for (int step = 0; step < 500; ++step) {
    const std::string uid = "p" + std::to_string(step);
    if (next(3) == 0 && !placed.empty()) {
      nodes_.RemovePod(placed.begin()->first);
      placed.erase(placed.begin());
    }
    PodInfoPtr pod = MakePod(uid, "{containers: [{name: c, resources: {requests: {cpu: " +
                                      std::to_string(100 * (1 + step / 50 % 3)) + "m}}}]}");
    const std::string kept = Place(pod);
    Evaluation fresh(profile_, nodes_);
    fresh.Refresh(*pod);
    const NodeInfo* node = fresh.Best(0);
    ASSERT_EQ(kept, node ? node->name : "none: " + fresh.Explain(*pod).Message()) << step;
    if (!node) continue;
    nodes_.PutPod(pod, kept);
    placed[uid] = {pod, kept};
  }
}

}  // namespace
}  // namespace gantry::scheduler
