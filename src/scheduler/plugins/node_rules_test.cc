#include "scheduler/testing/placing_test.h"

namespace gantry::scheduler {
namespace {

using NodeRulesTest = PlacingTest;
using Strategy = NodeResourcesFitArgs::Strategy;

std::string Asks(const std::string& requests) {
  return "{containers: [{name: c, resources: {requests: {" + requests + "}}}]}";
}

// Node "small" has 2 cpu and 4Gi, "large" 8 cpu and 4Gi and four GPUs.
class ResourceScoresTest : public PlacingTest {
 protected:
  ResourceScoresTest() {
    AddNode("small");
    nodes_.PutNode(api::testing::RefFromYaml<api::core::v1::Node>(
        "{metadata: {name: large}, status: {allocatable: {cpu: \"8\", memory: 4Gi, pods: \"110\", "
        "example.com/gpu: \"4\"}}}"));
  }
};

TEST_F(ResourceScoresTest, Strategies) {
  const struct {
    Strategy strategy;
    std::vector<ResourceWeight> resources;
    std::vector<NodeResourcesFitArgs::ShapePoint> shape;
    const char* requests;
    const char* scores;
  } rows[] = {
      {Strategy::kLeastAllocated,
       {{"cpu", 1}, {"memory", 1}},
       {},
       "cpu: \"1\", memory: 1Gi",
       "small=62 large=81"},
      {Strategy::kLeastAllocated,
       {{"cpu", 3}, {"memory", 1}},
       {},
       "cpu: \"1\", memory: 1Gi",
       "small=56 large=84"},
      {Strategy::kMostAllocated,
       {{"cpu", 1}, {"memory", 1}},
       {},
       "cpu: \"1\", memory: 1Gi",
       "small=37 large=18"},
      // A node without the resource is not judged by it.
      {Strategy::kMostAllocated,
       {{"cpu", 1}, {"example.com/gpu", 3}},
       {},
       "cpu: \"1\"",
       "small=50 large=12"},
      {Strategy::kRequestedToCapacityRatio,
       {{"cpu", 1}},
       {{0, 0}, {100, 10}},
       "cpu: \"1\"",
       "small=50 large=12"},
      {Strategy::kRequestedToCapacityRatio,
       {{"cpu", 1}},
       {{0, 10}, {50, 5}, {100, 0}},
       "cpu: \"1\"",
       "small=50 large=88"},
      // Containers that ask for nothing count 100m and 200Mi here.
      {Strategy::kLeastAllocated, {{"cpu", 1}}, {}, "", "small=95 large=98"},
  };
  for (const auto& row : rows) {
    PluginArgs args;
    args.fit.strategy = row.strategy;
    args.fit.resources = row.resources;
    args.fit.shape = row.shape;
    ScoreOnly("NodeResourcesFit", args);
    EXPECT_EQ(Scores(MakePod("p", Asks(row.requests))), row.scores) << row.requests;
  }
}

TEST_F(ResourceScoresTest, ExtendedResourcesOfAPodThatWantsThem) {
  PluginArgs args;
  args.fit.strategy = Strategy::kMostAllocated;
  args.fit.resources = {{"example.com/gpu", 1}};
  ScoreOnly("NodeResourcesFit", args);
  EXPECT_EQ(Scores(MakePod("p", Asks("example.com/gpu: \"2\""))), "large=50");
  EXPECT_EQ(Place(MakePod("q", Asks("example.com/gpu: \"5\""))),
            "none: 0/2 nodes are available: 2 Insufficient example.com/gpu. preemption: 0/2 nodes "
            "are available: 2 Preemption is not helpful for scheduling.");
  args.fit.ignored_resource_groups = {"example.com"};
  ScoreOnly("NodeResourcesFit", args);
  EXPECT_EQ(Passing(MakePod("q", Asks("example.com/gpu: \"5\""))), "small large");
}

TEST_F(ResourceScoresTest, BalancedAllocation) {
  ScoreOnly("NodeResourcesBalancedAllocation");
  // small: 1/2 and 1/4, large: 1/8 and 1/4.
  EXPECT_EQ(Scores(MakePod("p", Asks("cpu: \"1\", memory: 1Gi"))), "small=87 large=93");
  EXPECT_EQ(Scores(MakePod("q", "{containers: [{name: c}]}")), "small=0 large=0");
}

TEST_F(NodeRulesTest, PodLevelRequestsCountForThePod) {
  AddNode("a");
  EXPECT_EQ(Passing(MakePod("p", "{resources: {requests: {cpu: \"3\"}}, containers: [{name: c}]}")),
            "");
  EXPECT_EQ(Passing(MakePod("q",
                            "{resources: {requests: {cpu: \"1\"}}, containers: [{name: c, "
                            "resources: {requests: {cpu: 500m}}}]}")),
            "a");
}

TEST_F(NodeRulesTest, AddedAffinityHoldsForEveryPodOfTheProfile) {
  AddNode("a", "", "2", "pool: web");
  AddNode("b", "", "2", "pool: batch");
  PluginArgs args;
  api::core::v1::NodeAffinity added;
  auto* requirement = added.mutable_required_during_scheduling_ignored_during_execution()
                          ->add_node_selector_terms()
                          ->add_match_expressions();
  requirement->set_key("pool");
  requirement->set_operator_("In");
  requirement->add_values("web");
  args.node_affinity.added_affinity = added;
  ScoreOnly("NodeAffinity", args);
  EXPECT_EQ(Passing(MakePod("p", "{containers: [{name: c}]}")), "a");
  nodes_.RemoveNode("a");
  const PodInfoPtr pod = MakePod("q", "{containers: [{name: c}]}");
  EXPECT_EQ(
      EvaluationOf(pod).Explain(*pod).reasons,
      (std::map<std::string, int>{{"node(s) didn't match scheduler-enforced node affinity", 1}}));
}

TEST_F(NodeRulesTest, NodePreferencesAndTaintsAreNormalized) {
  AddNode("a", "", "2", "disk: ssd");
  AddNode("b", "", "2", "disk: ssd, gpu: \"1\"");
  AddNode("c", ", spec: {taints: [{key: k, effect: PreferNoSchedule}]}");
  ScoreOnly("NodeAffinity");
  const std::string prefers =
      "{containers: [{name: c}], affinity: {nodeAffinity: "
      "{preferredDuringSchedulingIgnoredDuringExecution: [{weight: 30, preference: "
      "{matchExpressions: [{key: disk, operator: Exists}]}}, {weight: 10, preference: "
      "{matchExpressions: [{key: gpu, operator: Exists}]}}]}}}";
  EXPECT_EQ(Scores(MakePod("p", prefers)), "a=75 b=100 c=0");
  ScoreOnly("TaintToleration");
  EXPECT_EQ(Scores(MakePod("q", "{containers: [{name: c}]}")), "a=100 b=100 c=0");
  EXPECT_EQ(Scores(MakePod("r", "{containers: [{name: c}], tolerations: [{operator: Exists}]}")),
            "a=100 b=100 c=100");
}

TEST_F(NodeRulesTest, NodesThatHaveTheImageAreBetterOnceTheyAreMany) {
  const std::string image = ", images: [{names: [\"web:1\"], sizeBytes: 1048576000}]}}";
  auto with_image = [&](const std::string& name) {
    nodes_.PutNode(api::testing::RefFromYaml<api::core::v1::Node>(
        "{metadata: {name: " + name +
        "}, status: {allocatable: {cpu: \"2\", memory: 4Gi, pods: \"110\"}" + image));
  };
  with_image("a");
  AddNode("b");
  ScoreOnly("ImageLocality");
  const PodInfoPtr pod = MakePod("p", "{containers: [{name: c, image: \"web:1\"}]}");
  EXPECT_EQ(Scores(pod), "a=48 b=0");
  with_image("b");
  EXPECT_EQ(Scores(pod), "a=100 b=100") << "what another node has changes the score of this one";
}

}  // namespace
}  // namespace gantry::scheduler
