#include "api/node_selector.h"
#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

class NodeAffinityFilter : public FilterPlugin {
 public:
  std::string_view name() const override { return "NodeAffinity"; }
  uint32_t WakesOn() const override { return kNodeAdded | kNodeLabels; }
  bool Applies(const PodInfo& pod, const PluginState*) const override {
    const auto& spec = pod.pod->spec();
    return !spec.node_selector().empty() ||
           spec.affinity()
               .node_affinity()
               .has_required_during_scheduling_ignored_during_execution();
  }
  std::vector<Rejection> Filter(const PodInfo& pod, const PluginState*,
                                const NodeInfo& node) const override {
    if (api::MatchesPodPlacement(pod.pod->spec(), *node.node)) return {};
    return {{"node(s) didn't match Pod's node affinity/selector", true}};
  }
};

class NodeAffinityScore : public ScorePlugin {
 public:
  std::string_view name() const override { return "NodeAffinity"; }
  int weight() const override { return 2; }
  Normalize normalize() const override { return Normalize::kLargest; }
  bool Applies(const PodInfo& pod) const override {
    return pod.pod->spec()
               .affinity()
               .node_affinity()
               .preferred_during_scheduling_ignored_during_execution_size() > 0;
  }
  int64_t Score(const PodInfo& pod, const PluginState*, const NodeInfo& node) const override {
    int64_t sum = 0;
    const auto& affinity = pod.pod->spec().affinity().node_affinity();
    for (const auto& term : affinity.preferred_during_scheduling_ignored_during_execution()) {
      // An empty preference matches no node.
      if (api::MatchesTerm(term.preference(), *node.node)) sum += term.weight();
    }
    return sum;
  }
};

}  // namespace

std::unique_ptr<FilterPlugin> MakeNodeAffinityFilter() {
  return std::make_unique<NodeAffinityFilter>();
}
std::unique_ptr<ScorePlugin> MakeNodeAffinityScore() {
  return std::make_unique<NodeAffinityScore>();
}

}  // namespace gantry::scheduler
