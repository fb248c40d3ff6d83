#include <algorithm>

#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

bool Conflict(const PodShape& a, const PodShape& b) {
  return std::any_of(a.host_ports.begin(), a.host_ports.end(), [&](const HostPortUse& wanted) {
    return std::any_of(b.host_ports.begin(), b.host_ports.end(),
                       [&](const HostPortUse& used) { return wanted.ConflictsWith(used); });
  });
}

class NodePorts : public FilterPlugin {
 public:
  std::string_view name() const override { return "NodePorts"; }
  uint32_t WakesOn() const override { return ClusterEvent::kNodeAdded | ClusterEvent::kPodGone; }
  bool MayHelp(const PodInfo& pod, const ClusterEvent& event, const ClusterFacts&) const override {
    return event.pod_before == nullptr || Conflict(*pod.shape, *event.pod_before->shape);
  }
  bool Filters(const PodInfo& pod) const override { return !pod.shape->host_ports.empty(); }
  std::vector<Rejection> Filter(const PodInfo& pod, const NodeInfo& node) const override {
    for (const auto& [uid, other] : node.pods) {
      if (Conflict(*pod.shape, *other.pod->shape))
        return {{"node(s) didn't have free ports for the requested pod ports", false}};
    }
    return {};
  }
};

}  // namespace

std::shared_ptr<const Plugin> MakeNodePorts() { return std::make_shared<NodePorts>(); }

}  // namespace gantry::scheduler
