#include "api/tolerations.h"
#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

class NodeUnschedulable : public FilterPlugin {
 public:
  std::string_view name() const override { return "NodeUnschedulable"; }
  uint32_t WakesOn() const override { return ClusterEvent::kNodeAdded | ClusterEvent::kNodeTaints; }
  bool MayHelp(const PodInfo& pod, const ClusterEvent& event, const ClusterFacts&) const override {
    return event.node == nullptr || Filter(pod, *event.node).empty();
  }
  std::vector<Rejection> Filter(const PodInfo& pod, const NodeInfo& node) const override {
    if (!node.node->spec().unschedulable()) return {};
    api::core::v1::Taint taint;
    taint.set_key("node.kubernetes.io/unschedulable");
    taint.set_effect("NoSchedule");
    if (api::FindToleration(pod.pod->spec().tolerations(), taint)) return {};
    return {{"node(s) were unschedulable", true}};
  }
};

}  // namespace

std::shared_ptr<const Plugin> MakeNodeUnschedulable() {
  return std::make_shared<NodeUnschedulable>();
}

}  // namespace gantry::scheduler
