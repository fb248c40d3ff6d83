#include "api/node_selector.h"
#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

class NodeAffinity : public FilterPlugin, public ScorePlugin {
 public:
  explicit NodeAffinity(NodeAffinityArgs args) : added_(std::move(args.added_affinity)) {}

  std::string_view name() const override { return "NodeAffinity"; }
  uint32_t WakesOn() const override { return ClusterEvent::kNodeAdded | ClusterEvent::kNodeLabels; }
  bool MayHelp(const PodInfo& pod, const ClusterEvent& event, const ClusterFacts&) const override {
    return event.node == nullptr || Filter(pod, *event.node).empty();
  }

  bool Filters(const PodInfo& pod) const override {
    const auto& spec = pod.pod->spec();
    return !spec.node_selector().empty() ||
           spec.affinity()
               .node_affinity()
               .has_required_during_scheduling_ignored_during_execution() ||
           (added_ && added_->has_required_during_scheduling_ignored_during_execution());
  }
  std::vector<Rejection> Filter(const PodInfo& pod, const NodeInfo& node) const override {
    if (added_ && added_->has_required_during_scheduling_ignored_during_execution() &&
        !api::Matches(added_->required_during_scheduling_ignored_during_execution(), *node.node))
      return {{"node(s) didn't match scheduler-enforced node affinity", true}};
    if (api::MatchesPodPlacement(pod.pod->spec(), *node.node)) return {};
    return {{"node(s) didn't match Pod's node affinity/selector", true}};
  }

  Normalize normalize() const override { return Normalize::kLargest; }
  bool Scores(const PodInfo& pod) const override {
    return Prefers(pod.pod->spec().affinity().node_affinity()) || (added_ && Prefers(*added_));
  }
  int64_t Score(const PodInfo& pod, const NodeInfo& node) const override {
    int64_t sum = WeightOf(pod.pod->spec().affinity().node_affinity(), *node.node);
    if (added_) sum += WeightOf(*added_, *node.node);
    return sum;
  }

 private:
  static bool Prefers(const api::core::v1::NodeAffinity& affinity) {
    return affinity.preferred_during_scheduling_ignored_during_execution_size() > 0;
  }
  static int64_t WeightOf(const api::core::v1::NodeAffinity& affinity,
                          const api::core::v1::Node& node) {
    int64_t sum = 0;
    for (const auto& term : affinity.preferred_during_scheduling_ignored_during_execution()) {
      // An empty preference matches no node.
      if (api::MatchesTerm(term.preference(), node)) sum += term.weight();
    }
    return sum;
  }

  const std::optional<api::core::v1::NodeAffinity> added_;
};

}  // namespace

std::shared_ptr<const Plugin> MakeNodeAffinity(NodeAffinityArgs args) {
  return std::make_shared<NodeAffinity>(std::move(args));
}

}  // namespace gantry::scheduler
