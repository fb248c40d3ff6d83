#include "api/tolerations.h"
#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

class TaintTolerationFilter : public FilterPlugin {
 public:
  std::string_view name() const override { return "TaintToleration"; }
  uint32_t WakesOn() const override { return kNodeAdded | kNodeTaints; }
  std::vector<Rejection> Filter(const PodInfo& pod, const PluginState*,
                                const NodeInfo& node) const override {
    for (const auto& taint : node.node->spec().taints()) {
      if (taint.effect() != "NoSchedule" && taint.effect() != "NoExecute") continue;
      if (api::FindToleration(pod.pod->spec().tolerations(), taint)) continue;
      return {{"node(s) had untolerated taint {" + taint.key() + ": " + taint.value() + "}", true}};
    }
    return {};
  }
};

// Counts the PreferNoSchedule taints that the pod does not tolerate: the fewer the better.
class TaintTolerationScore : public ScorePlugin {
 public:
  std::string_view name() const override { return "TaintToleration"; }
  int weight() const override { return 3; }
  Normalize normalize() const override { return Normalize::kReverse; }
  int64_t Score(const PodInfo& pod, const PluginState*, const NodeInfo& node) const override {
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

std::unique_ptr<FilterPlugin> MakeTaintTolerationFilter() {
  return std::make_unique<TaintTolerationFilter>();
}
std::unique_ptr<ScorePlugin> MakeTaintTolerationScore() {
  return std::make_unique<TaintTolerationScore>();
}

}  // namespace gantry::scheduler
