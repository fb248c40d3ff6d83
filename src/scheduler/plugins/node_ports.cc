#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

class NodePorts : public FilterPlugin {
 public:
  std::string_view name() const override { return "NodePorts"; }
  uint32_t WakesOn() const override { return ClusterEvent::kNodeAdded | ClusterEvent::kPodGone; }
  bool MayHelp(const PodInfo& pod, const ClusterEvent& event, const ClusterFacts&) const override {
    return event.pod_before == nullptr ||
           api::AnyConflict(pod.shape->host_ports, event.pod_before->shape->host_ports);
  }
  bool Filters(const PodInfo& pod) const override { return !pod.shape->host_ports.empty(); }
  std::vector<Rejection> Filter(const PodInfo& pod, const NodeInfo& node) const override {
    for (const auto& [uid, other] : node.pods) {
      if (api::AnyConflict(pod.shape->host_ports, other.pod->shape->host_ports))
        return {{"node(s) didn't have free ports for the requested pod ports", false}};
    }
    return {};
  }
};

}  // namespace

std::shared_ptr<const Plugin> MakeNodePorts() { return std::make_shared<NodePorts>(); }

}  // namespace gantry::scheduler
