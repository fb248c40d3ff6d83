#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

class NodeName : public FilterPlugin {
 public:
  std::string_view name() const override { return "NodeName"; }
  uint32_t WakesOn() const override { return ClusterEvent::kNodeAdded; }
  bool MayHelp(const PodInfo& pod, const ClusterEvent& event, const ClusterFacts&) const override {
    return event.node == nullptr || event.node->name == pod.pod->spec().node_name();
  }
  bool Filters(const PodInfo& pod) const override { return !pod.pod->spec().node_name().empty(); }
  std::vector<Rejection> Filter(const PodInfo& pod, const NodeInfo& node) const override {
    if (pod.pod->spec().node_name() == node.name) return {};
    return {{"node(s) didn't match the requested node name", true}};
  }
};

}  // namespace

std::shared_ptr<const Plugin> MakeNodeName() { return std::make_shared<NodeName>(); }

}  // namespace gantry::scheduler
