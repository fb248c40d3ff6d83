#include "scheduler/config/configuration.h"

#include <gtest/gtest.h>

namespace gantry::scheduler {
namespace {

std::string Document(const std::string& rest) {
  return "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n" + rest;
}

std::string NamesOf(const std::vector<ProfileConfig::Enabled>& plugins) {
  std::string text;
  for (const auto& plugin : plugins)
    text += (text.empty() ? "" : " ") + plugin.name + "=" + std::to_string(plugin.weight);
  return text;
}

TEST(Configuration, EmptyIsTheDefaults) {
  const Result<Configuration> read = ParseConfiguration(Document(""));
  ASSERT_TRUE(read.ok()) << read.status().message();
  ASSERT_EQ(read->profiles.size(), 1u);
  EXPECT_EQ(read->profiles[0].name, "default-scheduler");
  EXPECT_EQ(NamesOf(read->profiles[0].scores),
            "TaintToleration=3 NodeAffinity=2 NodeResourcesFit=1 PodTopologySpread=2 "
            "InterPodAffinity=2 NodeResourcesBalancedAllocation=1 ImageLocality=1");
  EXPECT_TRUE(read->profiles[0].preempts);
}

TEST(Configuration, Profiles) {
  const Result<Configuration> read = ParseConfiguration(Document(R"(
parallelism: 16
percentageOfNodesToScore: 50
podInitialBackoffSeconds: 2
podMaxBackoffSeconds: 20
leaderElection: {leaderElect: true}
profiles:
- schedulerName: default-scheduler
- schedulerName: packer
  percentageOfNodesToScore: 10
  plugins:
    multiPoint:
      enabled: [{name: ImageLocality, weight: 7}]
      disabled: [{name: DefaultPreemption}]
    filter:
      disabled: [{name: NodePorts}]
    score:
      disabled: [{name: "*"}]
      enabled: [{name: NodeResourcesFit, weight: 5}, {name: NodeAffinity}]
  pluginConfig:
  - name: NodeResourcesFit
    args:
      apiVersion: kubescheduler.config.k8s.io/v1
      kind: NodeResourcesFitArgs
      ignoredResources: [example.com/foo]
      scoringStrategy:
        type: RequestedToCapacityRatio
        resources: [{name: cpu, weight: 3}, {name: example.com/gpu}]
        requestedToCapacityRatio: {shape: [{utilization: 0, score: 0}, {utilization: 100, score: 10}]}
  - name: InterPodAffinity
    args: {hardPodAffinityWeight: 5}
  - name: NodeAffinity
    args:
      addedAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: In, values: [a]}]}]
  - name: PodTopologySpread
    args:
      defaultingType: List
      defaultConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]
extenders:
- urlPrefix: http://127.0.0.1:8888/scheduler/
  filterVerb: filter
  prioritizeVerb: prioritize
  weight: 2
  httpTimeout: 300ms
  nodeCacheCapable: true
  ignorable: true
  managedResources: [{name: example.com/foo, ignoredByScheduler: true}]
)"));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->first_backoff, std::chrono::seconds(2));
  EXPECT_EQ(read->max_backoff, std::chrono::seconds(20));
  ASSERT_EQ(read->profiles.size(), 2u);
  const ProfileConfig& packer = read->profiles[1];
  EXPECT_EQ(NamesOf(packer.scores), "NodeResourcesFit=5 NodeAffinity=1");
  EXPECT_EQ(NamesOf(packer.filters).find("NodePorts"), std::string::npos);
  EXPECT_FALSE(packer.preempts);
  EXPECT_EQ(packer.args.fit.strategy, NodeResourcesFitArgs::Strategy::kRequestedToCapacityRatio);
  EXPECT_EQ(packer.args.fit.shape.size(), 2u);
  EXPECT_EQ(packer.args.fit.resources[0].weight, 3);
  EXPECT_EQ(packer.args.inter_pod_affinity.hard_pod_affinity_weight, 5);
  EXPECT_TRUE(packer.args.node_affinity.added_affinity.has_value());
  ASSERT_EQ(packer.args.spread.default_constraints.size(), 1u);
  EXPECT_TRUE(packer.args.spread.default_constraints[0].hard);
  ASSERT_EQ(read->extenders.size(), 1u);
  EXPECT_EQ(read->extenders[0].url_prefix, "http://127.0.0.1:8888/scheduler");
  EXPECT_EQ(read->extenders[0].timeout, std::chrono::milliseconds(300));
  EXPECT_EQ(read->profiles[0].args.fit.ignored_resources,
            std::vector<std::string>{"example.com/foo"});
}

TEST(Configuration, MultiPointReordersWhatItEnablesAgain) {
  const Result<Configuration> read = ParseConfiguration(
      Document("profiles: [{plugins: {multiPoint: {disabled: [{name: \"*\"}], enabled: [{name: "
               "ImageLocality}, {name: NodeAffinity, weight: 9}]}}}]"));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(NamesOf(read->profiles[0].scores), "ImageLocality=1 NodeAffinity=9");
  EXPECT_EQ(NamesOf(read->profiles[0].filters), "NodeAffinity=9");
  EXPECT_FALSE(read->profiles[0].preempts);
}

TEST(Configuration, MistakesAreOneLine) {
  const struct {
    std::string text;
    const char* message;
  } rows[] = {
      {"kind: KubeSchedulerConfiguration",
       "apiVersion: \"\" is not kubescheduler.config.k8s.io/v1"},
      {"apiVersion: kubescheduler.config.k8s.io/v1\nkind: Pod",
       "kind: \"Pod\" is not KubeSchedulerConfiguration"},
      {Document("profile: []"), "unknown field \"profile\""},
      {Document("profiles: [{schedulerNam: x}]"), "unknown field \"profiles[0].schedulerNam\""},
      {Document("profiles: [{schedulerName: a}, {schedulerName: a}]"),
       "profiles[1].schedulerName: \"a\" is there twice"},
      {Document("profiles: [{plugins: {score: {enabled: [{name: Nope}]}}}]"),
       "profiles[0].plugins.score.enabled[0].name: there is no plugin \"Nope\""},
      {Document("profiles: [{plugins: {score: {enabled: [{name: NodePorts}]}}}]"),
       "profiles[0].plugins.score: plugin \"NodePorts\" does not extend this point"},
      {Document("profiles: [{pluginConfig: [{name: InterPodAffinity, args: "
                "{hardPodAffinityWeight: 101}}]}]"),
       "profiles[0].pluginConfig[0].args.hardPodAffinityWeight: 101 is not in the range [0, 100]"},
      {Document("profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: "
                "{type: Most}}}]}]"),
       "profiles[0].pluginConfig[0].args.scoringStrategy.type: unsupported value \"Most\": "
       "supported values: \"LeastAllocated\", \"MostAllocated\", \"RequestedToCapacityRatio\""},
      {Document("extenders: [{urlPrefix: nowhere}]"),
       "extenders[0].urlPrefix: must begin with http:// or https://"},
      {Document("extenders: [{urlPrefix: \"http://a\", prioritizeVerb: p}]"),
       "extenders[0].weight: must have a positive weight applied to it"},
      {Document("podInitialBackoffSeconds: 5\npodMaxBackoffSeconds: 1"),
       "podMaxBackoffSeconds: must be greater than or equal to podInitialBackoffSeconds"},
      {Document("percentageOfNodesToScore: 101"),
       "percentageOfNodesToScore: not in the range [0, 100]"},
  };
  for (const auto& row : rows) {
    const Result<Configuration> read = ParseConfiguration(row.text);
    ASSERT_FALSE(read.ok()) << row.text;
    EXPECT_EQ(read.status().message(), row.message) << row.text;
  }
}

TEST(Configuration, TheFileIsNamed) {
  EXPECT_EQ(ReadConfiguration("/nowhere/s.yaml").status().message(),
            "scheduler configuration /nowhere/s.yaml: cannot be read");
}

}  // namespace
}  // namespace gantry::scheduler
