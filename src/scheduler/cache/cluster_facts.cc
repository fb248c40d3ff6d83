#include "scheduler/cache/cluster_facts.h"

#include "api/meta/v1/selector.pb.h"
#include "api/same.h"

namespace gantry::scheduler {

void ClusterFacts::PutNamespace(const std::string& name, const LabelMap& labels) {
  auto [it, added] = namespaces_.try_emplace(name);
  // One without labels is like one that nobody knows.
  if (api::SameMap(it->second, labels)) return;
  it->second = labels;
  ++namespaces_generation_;
}

void ClusterFacts::RemoveNamespace(std::string_view name) {
  auto it = namespaces_.find(name);
  if (it == namespaces_.end()) return;
  if (!it->second.empty()) ++namespaces_generation_;
  namespaces_.erase(it);
}

const LabelMap& ClusterFacts::NamespaceLabels(std::string_view name) const {
  static const LabelMap kNone;
  auto it = namespaces_.find(name);
  return it == namespaces_.end() ? kNone : it->second;
}

void ClusterFacts::PutService(const std::string& ns, const std::string& name,
                              const LabelMap& selector) {
  auto [it, added] = services_.try_emplace({ns, name});
  if (!added && api::SameMap(it->second, selector)) return;
  it->second = selector;
  ++selectors_generation_;
}

void ClusterFacts::RemoveService(const std::string& ns, const std::string& name) {
  selectors_generation_ += services_.erase({ns, name});
}

void ClusterFacts::PutWorkload(const std::string& kind, const std::string& ns,
                               const std::string& name, api::Selector selector) {
  auto [it, added] = workloads_.try_emplace({kind, {ns, name}});
  if (!added && it->second == selector) return;
  it->second = std::move(selector);
  ++selectors_generation_;
}

void ClusterFacts::RemoveWorkload(const std::string& kind, const std::string& ns,
                                  const std::string& name) {
  selectors_generation_ += workloads_.erase({kind, {ns, name}});
}

api::Selector ClusterFacts::SiblingsOf(const PodShape& pod) const {
  LabelMap labels;
  for (auto it = services_.lower_bound({pod.ns, ""});
       it != services_.end() && it->first.first == pod.ns; ++it) {
    const LabelMap& selector = it->second;
    if (selector.empty() || !api::Selector::FromMap(selector).Matches(pod.labels)) continue;
    for (const auto& [key, value] : selector)
      labels[key] = value;
  }
  api::Selector siblings = api::Selector::FromMap(labels);
  auto workload = workloads_.find({pod.owner_kind, {pod.ns, pod.owner_name}});
  return workload == workloads_.end() ? siblings : siblings.And(workload->second);
}

void ClusterFacts::PutBudget(Budget budget) {
  ++budgets_generation_;
  const auto& meta = budget->metadata();
  budgets_[{meta.namespace_(), meta.name()}] = std::move(budget);
}

void ClusterFacts::RemoveBudget(const std::string& ns, const std::string& name) {
  budgets_generation_ += budgets_.erase({ns, name});
}

std::vector<ClusterFacts::Budget> ClusterFacts::BudgetsOf(const std::string& ns) const {
  std::vector<Budget> found;
  for (auto it = budgets_.lower_bound({ns, ""}); it != budgets_.end() && it->first.first == ns;
       ++it)
    found.push_back(it->second);
  return found;
}

}  // namespace gantry::scheduler
