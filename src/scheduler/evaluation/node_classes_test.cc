#include "scheduler/evaluation/node_classes.h"

#include <functional>

#include "scheduler/testing/placing_test.h"

namespace gantry::scheduler {
namespace {

class NodeClassesTest : public PlacingTest {
 protected:
  // Nodes that differ in everything that rules may look at.
  void AddNodes() {
    const char* const specs[] = {"",
                                 ", spec: {unschedulable: true}",
                                 ", spec: {taints: [{key: busy, effect: NoSchedule}]}",
                                 ", spec: {taints: [{key: busy, effect: PreferNoSchedule}]}",
                                 ", spec: {taints: [{key: gpu, value: a, effect: NoExecute}]}",
                                 ", spec: {taints: [{key: gpu, value: b, effect: NoExecute}]}"};
    const char* const labels[] = {"",
                                  "zone: a",
                                  "zone: b",
                                  "disk: ssd",
                                  "cpus: \"4\"",
                                  "zone: a, disk: hdd",
                                  "zone: a, cpus: \"8\""};
    int i = 0;
    for (const char* const spec : specs) {
      for (const char* const label : labels)
        AddNode("n" + std::to_string(i++), spec, "2", label);
    }
  }
  // `answer` is the same on all nodes of a class.
  void ExpectOneAnswer(const NodeAspects& aspects, const std::string& what,
                       const std::function<std::string(const NodeInfo&)>& answer) {
    NodeClasses classes(aspects, nodes_);
    std::map<uint32_t, std::string> answers;
    for (size_t slot = 0; slot < nodes_.slots().size(); ++slot) {
      const NodeInfo& node = nodes_.slots()[slot];
      classes.Update(slot);
      const std::string now = answer(node);
      const auto [it, added] = answers.try_emplace(classes.Of(slot), now);
      EXPECT_EQ(it->second, now) << what << " on " << node.name;
    }
  }
};

const char* const kSpecs[] = {
    "{}",
    "{nodeName: n3}",
    "{nodeSelector: {zone: a}}",
    "{tolerations: [{key: busy, operator: Exists}, {key: gpu, value: a}]}",
    "{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
    "{nodeSelectorTerms: "
    "[{matchExpressions: [{key: disk, operator: DoesNotExist}, {key: cpus, operator: Gt, values: "
    "[\"5\"]}]}, {matchFields: [{key: metadata.name, operator: In, values: [n7]}]}]}}}}",
    "{affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 3, "
    "preference: {matchExpressions: [{key: zone, operator: NotIn, values: [b]}]}}, {weight: 5, "
    "preference: {matchExpressions: [{key: disk, operator: Exists}]}}]}}}",
    "{nodeSelector: {disk: ssd}, topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, "
    "whenUnsatisfiable: DoNotSchedule, nodeTaintsPolicy: Honor, labelSelector: {}}, {maxSkew: 1, "
    "topologyKey: cpus, whenUnsatisfiable: DoNotSchedule, nodeAffinityPolicy: Ignore, "
    "labelSelector: {}}]}",
    "{nodeSelector: {disk: ssd}, topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, "
    "whenUnsatisfiable: ScheduleAnyway, labelSelector: {}}, {maxSkew: 1, topologyKey: "
    "kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {}}]}",
};

// A rule that looks at more than it says would give a node another's answer.
TEST_F(NodeClassesTest, NodesOfAClassGetTheSameAnswersFromEveryRule) {
  AddNodes();
  PluginArgs args;
  args.node_affinity.added_affinity = api::testing::FromYaml<api::core::v1::NodeAffinity>(
      "{preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: "
      "{matchExpressions: [{key: cpus, operator: Lt, values: [\"6\"]}]}}]}");
  for (const bool added : {false, true}) {
    ProfileConfig config;
    if (added) config.args = args;
    const Profile profile = MakeProfile(config, nodes_);
    for (const char* const spec : kSpecs) {
      const PodInfoPtr pod = MakePod("p", spec);
      for (const auto& filter : profile.filters) {
        NodeAspects aspects;
        if (!filter->AddAspects(*pod, &aspects)) continue;
        ExpectOneAnswer(aspects, spec, [&](const NodeInfo& node) {
          const auto rejections = filter->Filter(*pod, node);
          return rejections.empty() ? "" : rejections[0].reason;
        });
      }
      for (const auto& score : profile.scores) {
        NodeAspects aspects;
        if (!score.plugin->AddAspects(*pod, &aspects)) continue;
        ExpectOneAnswer(aspects, spec, [&](const NodeInfo& node) {
          return std::to_string(score.plugin->Score(*pod, node));
        });
      }
      auto expect_of_places = [&](const PlaceRule* rule) {
        if (rule == nullptr) return;
        NodeAspects aspects;
        rule->AddAspects(&aspects);
        for (size_t column = 0; column < rule->columns().size(); ++column) {
          ExpectOneAnswer(aspects, spec, [&](const NodeInfo& node) {
            return rule->CountsNode(column, node) ? "counts" : "";
          });
        }
      };
      for (const auto& plugin : profile.place_filters)
        expect_of_places(plugin->MakeFilter(*pod, facts_).get());
      for (const auto& score : profile.place_scores)
        expect_of_places(score.plugin->MakeScore(*pod, facts_).get());
    }
  }
}

TEST_F(NodeClassesTest, WhatNoRuleLooksAtMakesNoClasses) {
  AddNodes();
  NodeAspects aspects;
  aspects.has_labels.insert("kubernetes.io/hostname");
  aspects.names = {"n5", "n9"};
  NodeClasses classes(aspects, nodes_);
  for (size_t slot = 0; slot < nodes_.slots().size(); ++slot)
    classes.Update(slot);
  EXPECT_EQ(classes.size(), 3u);
  EXPECT_NE(classes.Of(nodes_.SlotOf("n5")), classes.Of(nodes_.SlotOf("n9")));
  EXPECT_EQ(classes.Of(nodes_.SlotOf("n1")), classes.Of(nodes_.SlotOf("n2")));
  const size_t gone = nodes_.SlotOf("n1");
  nodes_.RemoveNode("n1");
  classes.Update(gone);
  EXPECT_EQ(classes.Of(gone), NodeClasses::kNone);
}

// Pods may name any label: what the table keeps for one ends with those who look at it.
TEST_F(NodeClassesTest, ALabelIsKeptUpAsLongAsSomebodyLooksAtIt) {
  AddNodes();
  const TopologyKeyPtr held = nodes_.Topology("zone");
  const std::weak_ptr<const TopologyKey> dropped = nodes_.Topology("disk");
  for (int i = 0; i < 200; ++i)
    (void)nodes_.Topology("label-" + std::to_string(i));
  EXPECT_TRUE(dropped.expired());
  EXPECT_EQ(nodes_.Topology("zone"), held);
  const size_t slot = nodes_.SlotOf("n0");
  EXPECT_EQ(held->DomainOf(slot), TopologyKey::kNone);
  AddNode("n0", "", "2", "zone: b");
  EXPECT_EQ(held->DomainOf(slot), held->DomainOf(nodes_.SlotOf("n2")));
}

}  // namespace
}  // namespace gantry::scheduler
