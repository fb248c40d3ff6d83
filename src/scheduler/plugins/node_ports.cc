#include <algorithm>

#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

class NodePorts : public FilterPlugin {
 public:
  std::string_view name() const override { return "NodePorts"; }
  uint32_t WakesOn() const override { return kNodeAdded | kPodGone; }
  bool Applies(const PodInfo& pod, const PluginState*) const override {
    return !pod.host_ports.empty();
  }
  std::vector<Rejection> Filter(const PodInfo& pod, const PluginState*,
                                const NodeInfo& node) const override {
    for (const auto& [uid, other] : node.pods) {
      for (const HostPortUse& used : other->host_ports) {
        if (std::any_of(pod.host_ports.begin(), pod.host_ports.end(),
                        [&](const HostPortUse& wanted) { return wanted.ConflictsWith(used); })) {
          return {{"node(s) didn't have free ports for the requested pod ports", false}};
        }
      }
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<FilterPlugin> MakeNodePorts() { return std::make_unique<NodePorts>(); }

}  // namespace gantry::scheduler
