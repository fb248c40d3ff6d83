#include "scheduler/preemption/disruption_budgets.h"

#include "api/meta/v1/selector.pb.h"

namespace gantry::scheduler {

std::vector<DisruptionBudgets::Left>& DisruptionBudgets::LeftIn(const std::string& ns) {
  auto [it, added] = by_namespace_.try_emplace(ns);
  if (!added) return it->second;
  for (ClusterFacts::Budget& budget : facts_.BudgetsOf(ns)) {
    Result<api::Selector> selector = api::Selector::From(budget->spec().selector());
    // One without a selector means no pods.
    if (!budget->spec().has_selector() || !selector.ok() || selector->empty()) continue;
    const int64_t allowed = budget->status().disruptions_allowed();
    it->second.push_back({std::move(budget), *std::move(selector), allowed});
  }
  return it->second;
}

bool DisruptionBudgets::Forbid(const PodInfo& pod) {
  if (pod.shape->labels.empty()) return false;
  bool forbidden = false;
  for (Left& left : LeftIn(pod.shape->ns)) {
    if (!left.selector.Matches(pod.shape->labels)) continue;
    // It was told to go already, and is counted as gone.
    if (left.budget->status().disrupted_pods().contains(pod.pod->metadata().name())) continue;
    forbidden = --left.allowed < 0 || forbidden;
  }
  return forbidden;
}

}  // namespace gantry::scheduler
