#include "controllers/job/failure_policy.h"

#include <algorithm>

namespace gantry::controllers {
namespace {

using api::batch::v1::PodFailurePolicy;
using api::batch::v1::PodFailurePolicyRule;
using api::core::v1::ContainerStatus;
using api::core::v1::Pod;
using Action = FailureVerdict::Action;

Action ActionOf(const std::string& name) {
  if (name == "FailJob") return Action::kFailJob;
  if (name == "FailIndex") return Action::kFailIndex;
  if (name == "Ignore") return Action::kIgnore;
  return Action::kCount;
}

// The container whose end the rule is about; null where there is none.
const ContainerStatus* FindExit(const PodFailurePolicyRule& rule, const Pod& pod) {
  const auto& wanted = rule.on_exit_codes();
  auto fits = [&wanted](const ContainerStatus& status) {
    if (wanted.has_container_name() && status.name() != wanted.container_name()) return false;
    if (!status.state().has_terminated()) return false;
    const int code = status.state().terminated().exit_code();
    if (code == 0) return false;
    const bool listed =
        std::find(wanted.values().begin(), wanted.values().end(), code) != wanted.values().end();
    return listed == (wanted.operator_() == "In");
  };
  for (const auto* list :
       {&pod.status().container_statuses(), &pod.status().init_container_statuses()}) {
    auto it = std::find_if(list->begin(), list->end(), fits);
    if (it != list->end()) return &*it;
  }
  return nullptr;
}

std::string FindCondition(const PodFailurePolicyRule& rule, const Pod& pod) {
  for (const auto& wanted : rule.on_pod_conditions()) {
    for (const auto& condition : pod.status().conditions()) {
      if (condition.type() == wanted.type() && condition.status() == wanted.status())
        return condition.type();
    }
  }
  return "";
}

}  // namespace

FailureVerdict JudgeFailure(const PodFailurePolicy& policy, const Pod& pod) {
  const std::string name = pod.metadata().namespace_() + "/" + pod.metadata().name();
  for (int i = 0; i < policy.rules_size(); ++i) {
    const PodFailurePolicyRule& rule = policy.rules(i);
    const std::string matching =
        " matching " + rule.action() + " rule at index " + std::to_string(i);
    if (rule.has_on_exit_codes()) {
      if (const ContainerStatus* exit = FindExit(rule, pod)) {
        return {ActionOf(rule.action()),
                "Container " + exit->name() + " for pod " + name + " failed with exit code " +
                    std::to_string(exit->state().terminated().exit_code()) + matching};
      }
    } else if (const std::string condition = FindCondition(rule, pod); !condition.empty()) {
      return {ActionOf(rule.action()), "Pod " + name + " has condition " + condition + matching};
    }
  }
  return {};
}

}  // namespace gantry::controllers
