#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

class NodeName : public FilterPlugin {
 public:
  std::string_view name() const override { return "NodeName"; }
  uint32_t WakesOn() const override { return kNodeAdded; }
  bool Applies(const PodInfo& pod, const PluginState*) const override {
    return !pod.pod->spec().node_name().empty();
  }
  std::vector<Rejection> Filter(const PodInfo& pod, const PluginState*,
                                const NodeInfo& node) const override {
    if (pod.pod->spec().node_name() == node.name) return {};
    return {{"node(s) didn't match the requested node name", true}};
  }
};

}  // namespace

std::unique_ptr<FilterPlugin> MakeNodeName() { return std::make_unique<NodeName>(); }

}  // namespace gantry::scheduler
