#include "api/tolerations.h"
#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

class NodeUnschedulable : public FilterPlugin {
 public:
  std::string_view name() const override { return "NodeUnschedulable"; }
  uint32_t WakesOn() const override { return kNodeAdded | kNodeTaints; }
  std::vector<Rejection> Filter(const PodInfo& pod, const PluginState*,
                                const NodeInfo& node) const override {
    if (!node.node->spec().unschedulable()) return {};
    api::core::v1::Taint taint;
    taint.set_key("node.kubernetes.io/unschedulable");
    taint.set_effect("NoSchedule");
    if (api::FindToleration(pod.pod->spec().tolerations(), taint)) return {};
    return {{"node(s) were unschedulable", true}};
  }
};

}  // namespace

std::unique_ptr<FilterPlugin> MakeNodeUnschedulable() {
  return std::make_unique<NodeUnschedulable>();
}

}  // namespace gantry::scheduler
