#include <algorithm>
#include <cmath>

#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

class NodeResourcesFit : public FilterPlugin {
 public:
  std::string_view name() const override { return "NodeResourcesFit"; }
  uint32_t WakesOn() const override { return kNodeAdded | kNodeAllocatable | kPodGone; }
  std::vector<Rejection> Filter(const PodInfo& pod, const PluginState*,
                                const NodeInfo& node) const override {
    std::vector<Rejection> missing;
    const Resources& wants = pod.requests;
    const Resources& has = node.allocatable;
    const Resources& used = node.requested;
    if (used.pods + 1 > has.pods) missing.push_back({"Too many pods", false});
    Check("cpu", wants.milli_cpu, used.milli_cpu, has.milli_cpu, &missing);
    Check("memory", wants.memory, used.memory, has.memory, &missing);
    Check("ephemeral-storage", wants.ephemeral_storage, used.ephemeral_storage,
          has.ephemeral_storage, &missing);
    for (const auto& [name, amount] : wants.others) {
      Check(name, amount, AmountOf(used, name), AmountOf(has, name), &missing);
    }
    return missing;
  }

 private:
  static int64_t AmountOf(const Resources& resources, const std::string& name) {
    auto it = resources.others.find(name);
    return it == resources.others.end() ? 0 : it->second;
  }
  static void Check(std::string_view name, int64_t wants, int64_t used, int64_t has,
                    std::vector<Rejection>* missing) {
    // Asking for nothing fits everywhere, also where too much is given away already.
    if (wants == 0 || wants <= has - used) return;
    missing->push_back({"Insufficient " + std::string(name), wants > has});
  }
};

// More room left is better.
class LeastAllocated : public ScorePlugin {
 public:
  std::string_view name() const override { return "NodeResourcesFit"; }
  int64_t Score(const PodInfo& pod, const PluginState*, const NodeInfo& node) const override {
    const int64_t cpu =
        Free(node.score_milli_cpu + pod.score_requests.milli_cpu, node.allocatable.milli_cpu);
    const int64_t memory =
        Free(node.score_memory + pod.score_requests.memory, node.allocatable.memory);
    return (cpu + memory) / 2;
  }

 private:
  static int64_t Free(int64_t requested, int64_t capacity) {
    if (capacity == 0 || requested > capacity) return 0;
    return static_cast<int64_t>(static_cast<__int128>(capacity - requested) * kMaxScore / capacity);
  }
};

// CPU and memory used in equal shares is better.
class BalancedAllocation : public ScorePlugin {
 public:
  std::string_view name() const override { return "NodeResourcesBalancedAllocation"; }
  bool Applies(const PodInfo& pod) const override {
    return pod.requests.milli_cpu > 0 || pod.requests.memory > 0;
  }
  int64_t Score(const PodInfo& pod, const PluginState*, const NodeInfo& node) const override {
    const double cpu =
        Share(node.requested.milli_cpu + pod.requests.milli_cpu, node.allocatable.milli_cpu);
    const double memory =
        Share(node.requested.memory + pod.requests.memory, node.allocatable.memory);
    // The standard deviation of two values is half their distance.
    return static_cast<int64_t>((1 - std::abs(cpu - memory) / 2) * kMaxScore);
  }

 private:
  static double Share(int64_t requested, int64_t capacity) {
    if (capacity == 0) return 1;
    return std::min(1.0, static_cast<double>(requested) / static_cast<double>(capacity));
  }
};

}  // namespace

std::unique_ptr<FilterPlugin> MakeNodeResourcesFit() {
  return std::make_unique<NodeResourcesFit>();
}
std::unique_ptr<ScorePlugin> MakeLeastAllocated() { return std::make_unique<LeastAllocated>(); }
std::unique_ptr<ScorePlugin> MakeBalancedAllocation() {
  return std::make_unique<BalancedAllocation>();
}

}  // namespace gantry::scheduler
