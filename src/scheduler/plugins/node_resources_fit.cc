#include <algorithm>
#include <cmath>

#include "scheduler/plugins/plugins.h"
#include "scheduler/plugins/resource_amounts.h"

namespace gantry::scheduler {
namespace {

using Strategy = NodeResourcesFitArgs::Strategy;

int64_t Percent(int64_t part, int64_t whole) {
  return static_cast<int64_t>(static_cast<__int128>(part) * ScorePlugin::kMaxScore / whole);
}

class NodeResourcesFit : public FilterPlugin, public ScorePlugin {
 public:
  explicit NodeResourcesFit(NodeResourcesFitArgs args) : args_(std::move(args)) {}

  std::string_view name() const override { return "NodeResourcesFit"; }
  uint32_t WakesOn() const override {
    return ClusterEvent::kNodeAdded | ClusterEvent::kNodeAllocatable | ClusterEvent::kPodGone |
           ClusterEvent::kPodSmaller;
  }
  // A node helps when it is large enough, and has more than it had of something that is asked for.
  bool MayHelp(const PodInfo& pod, const ClusterEvent& event, const ClusterFacts&) const override {
    if (event.node == nullptr) return true;
    const Resources& has = event.node->allocatable;
    bool fits = true, grew = event.node_before == nullptr;
    ForEachWanted(pod, [&](const std::string& name, int64_t wants) {
      fits = fits && wants <= AmountOf(has, name);
      grew = grew || AmountOf(has, name) > AmountOf(event.node_before->allocatable, name);
    });
    return fits && grew;
  }

  std::vector<Rejection> Filter(const PodInfo& pod, const NodeInfo& node) const override {
    std::vector<Rejection> missing;
    const Resources& wants = pod.shape->requests;
    const Resources& has = node.allocatable;
    const Resources& used = node.requested;
    if (used.pods + 1 > has.pods) missing.push_back({"Too many pods", false});
    Check("cpu", wants.milli_cpu, used.milli_cpu, has.milli_cpu, &missing);
    Check("memory", wants.memory, used.memory, has.memory, &missing);
    Check("ephemeral-storage", wants.ephemeral_storage, used.ephemeral_storage,
          has.ephemeral_storage, &missing);
    for (const auto& [name, amount] : wants.others) {
      if (!IsIgnored(name))
        Check(name, amount, AmountOf(used, name), AmountOf(has, name), &missing);
    }
    return missing;
  }

  int64_t Score(const PodInfo& pod, const NodeInfo& node) const override {
    int64_t sum = 0, weights = 0;
    for (const ResourceWeight& resource : args_.resources) {
      const int64_t has = AmountOf(node.allocatable, resource.name);
      if (has == 0) continue;
      const int64_t wants = AmountOf(pod.shape->score_requests, resource.name);
      // What the pod does not ask for of a resource that few have says nothing about the node.
      if (wants == 0 && IsScalar(resource.name)) continue;
      const int64_t score = ScoreOf(UsedOf(node, resource.name) + wants, has);
      // A resource without a score does not count in the average of this strategy.
      if (args_.strategy == Strategy::kRequestedToCapacityRatio && score <= 0) continue;
      sum += score * resource.weight;
      weights += resource.weight;
    }
    if (weights == 0) return 0;
    if (args_.strategy == Strategy::kRequestedToCapacityRatio)
      return std::llround(static_cast<double>(sum) / static_cast<double>(weights));
    return sum / weights;
  }

 private:
  template <class See>
  static void ForEachWanted(const PodInfo& pod, See see) {
    for (const char* name : {"cpu", "memory", "ephemeral-storage", "pods"}) {
      if (const int64_t wants = AmountOf(pod.shape->requests, name); wants > 0) see(name, wants);
    }
    for (const auto& [name, wants] : pod.shape->requests.others) {
      if (wants > 0) see(name, wants);
    }
  }
  static void Check(std::string_view name, int64_t wants, int64_t used, int64_t has,
                    std::vector<Rejection>* missing) {
    // Asking for nothing fits everywhere, also where too much is given away already.
    if (wants == 0 || wants <= has - used) return;
    missing->push_back({"Insufficient " + std::string(name), wants > has});
  }
  bool IsIgnored(const std::string& name) const {
    const auto& names = args_.ignored_resources;
    const auto& groups = args_.ignored_resource_groups;
    return std::find(names.begin(), names.end(), name) != names.end() ||
           std::find(groups.begin(), groups.end(), name.substr(0, name.find('/'))) != groups.end();
  }
  static int64_t UsedOf(const NodeInfo& node, const std::string& name) {
    if (name == "cpu") return node.score_milli_cpu;
    if (name == "memory") return node.score_memory;
    return AmountOf(node.requested, name);
  }
  int64_t ScoreOf(int64_t requested, int64_t capacity) const {
    switch (args_.strategy) {
      case Strategy::kLeastAllocated:
        return requested > capacity ? 0 : Percent(capacity - requested, capacity);
      case Strategy::kMostAllocated:
        // Containers that ask for nothing may count for more than there is.
        return Percent(std::min(requested, capacity), capacity);
      case Strategy::kRequestedToCapacityRatio:
        return OnShape(Percent(std::min(requested, capacity), capacity));
    }
    return 0;
  }
  // Between the points of the shape it is a straight line, outside them it is flat.
  int64_t OnShape(int64_t utilization) const {
    constexpr int64_t kScale = kMaxScore / 10;  // points have scores of 0 to 10
    const auto& shape = args_.shape;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (utilization > shape[i].utilization) continue;
      if (i == 0) return shape[0].score * kScale;
      const auto &from = shape[i - 1], &to = shape[i];
      return from.score * kScale + (to.score - from.score) * kScale *
                                       (utilization - from.utilization) /
                                       (to.utilization - from.utilization);
    }
    return shape.empty() ? 0 : shape.back().score * kScale;
  }

  const NodeResourcesFitArgs args_;
};

}  // namespace

std::shared_ptr<const Plugin> MakeNodeResourcesFit(NodeResourcesFitArgs args) {
  return std::make_shared<NodeResourcesFit>(std::move(args));
}

}  // namespace gantry::scheduler
