#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/object.h"
#include "api/policy/v1/disruption_budget.pb.h"
#include "scheduler/framework/pod_shape.h"

namespace gantry::scheduler {

// What the rules ask of objects other than nodes and pods. Threading: the scheduler's strand.
class ClusterFacts {
 public:
  using Budget = api::Ref<api::policy::v1::PodDisruptionBudget>;

  void PutNamespace(const std::string& name, const LabelMap& labels);
  void RemoveNamespace(std::string_view name);
  // Empty for a namespace that nobody knows.
  const LabelMap& NamespaceLabels(std::string_view name) const;
  uint64_t namespaces_generation() const { return namespaces_generation_; }

  void PutService(const std::string& ns, const std::string& name, const LabelMap& selector);
  void RemoveService(const std::string& ns, const std::string& name);
  // Of a ReplicaSet, StatefulSet or ReplicationController.
  void PutWorkload(const std::string& kind, const std::string& ns, const std::string& name,
                   api::Selector selector);
  void RemoveWorkload(const std::string& kind, const std::string& ns, const std::string& name);
  // The pods that belong together with this one: what the services that select it and the workload
  // that owns it select. Empty when there are none.
  api::Selector SiblingsOf(const PodShape& pod) const;
  uint64_t selectors_generation() const { return selectors_generation_; }

  void PutBudget(Budget budget);
  void RemoveBudget(const std::string& ns, const std::string& name);
  std::vector<Budget> BudgetsOf(const std::string& ns) const;
  uint64_t budgets_generation() const { return budgets_generation_; }

 private:
  using Names = std::pair<std::string, std::string>;  // namespace, name

  std::map<std::string, LabelMap, std::less<>> namespaces_;
  std::map<Names, LabelMap> services_;
  std::map<std::pair<std::string, Names>, api::Selector> workloads_;  // by kind
  std::map<Names, Budget> budgets_;
  uint64_t namespaces_generation_ = 1;
  uint64_t selectors_generation_ = 1;
  uint64_t budgets_generation_ = 1;
};

}  // namespace gantry::scheduler
