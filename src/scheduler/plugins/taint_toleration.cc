#include "api/tolerations.h"
#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

class TaintToleration : public FilterPlugin, public ScorePlugin {
 public:
  std::string_view name() const override { return "TaintToleration"; }
  uint32_t WakesOn() const override { return ClusterEvent::kNodeAdded | ClusterEvent::kNodeTaints; }
  bool MayHelp(const PodInfo& pod, const ClusterEvent& event, const ClusterFacts&) const override {
    return event.node == nullptr || Filter(pod, *event.node).empty();
  }
  std::vector<Rejection> Filter(const PodInfo& pod, const NodeInfo& node) const override {
    if (!api::FindUntolerated(node.node->spec().taints(), pod.pod->spec().tolerations())) return {};
    return {{"node(s) had untolerated taint(s)", true}};
  }

  // Counts the PreferNoSchedule taints that the pod does not tolerate: the fewer the better.
  Normalize normalize() const override { return Normalize::kReverse; }
  int64_t Score(const PodInfo& pod, const NodeInfo& node) const override {
    int64_t count = 0;
    for (const auto& taint : node.node->spec().taints()) {
      if (taint.effect() == "PreferNoSchedule" &&
          !api::FindToleration(pod.pod->spec().tolerations(), taint))
        ++count;
    }
    return count;
  }
};

}  // namespace

std::shared_ptr<const Plugin> MakeTaintToleration() { return std::make_shared<TaintToleration>(); }

}  // namespace gantry::scheduler
