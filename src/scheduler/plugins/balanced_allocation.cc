#include <algorithm>
#include <cmath>

#include "scheduler/plugins/plugins.h"
#include "scheduler/plugins/resource_amounts.h"

namespace gantry::scheduler {
namespace {

// Resources used in equal shares are better.
class BalancedAllocation : public ScorePlugin {
 public:
  explicit BalancedAllocation(NodeResourcesBalancedAllocationArgs args)
      : resources_(std::move(args.resources)) {}

  std::string_view name() const override { return "NodeResourcesBalancedAllocation"; }
  // A pod that asks for nothing would always go to the node that is best balanced.
  bool Scores(const PodInfo& pod) const override {
    return std::any_of(resources_.begin(), resources_.end(), [&](const ResourceWeight& resource) {
      return AmountOf(pod.shape->requests, resource.name) > 0;
    });
  }
  int64_t Score(const PodInfo& pod, const NodeInfo& node) const override {
    double sum = 0, squares = 0;
    int count = 0;
    for (const ResourceWeight& resource : resources_) {
      const int64_t has = AmountOf(node.allocatable, resource.name);
      const int64_t wants = AmountOf(pod.shape->requests, resource.name);
      if (has == 0 || (wants == 0 && IsScalar(resource.name))) continue;
      const double used = static_cast<double>(AmountOf(node.requested, resource.name) + wants);
      const double share = std::min(1.0, used / static_cast<double>(has));
      sum += share;
      squares += share * share;
      ++count;
    }
    if (count == 0) return kMaxScore;
    const double mean = sum / count;
    const double deviation = std::sqrt(std::max(0.0, squares / count - mean * mean));
    return static_cast<int64_t>((1 - deviation) * kMaxScore);
  }

 private:
  const std::vector<ResourceWeight> resources_;
};

}  // namespace

std::shared_ptr<const Plugin> MakeBalancedAllocation(NodeResourcesBalancedAllocationArgs args) {
  return std::make_shared<BalancedAllocation>(std::move(args));
}

}  // namespace gantry::scheduler
