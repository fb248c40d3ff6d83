#include <algorithm>

#include "api/selector.h"
#include "cli/client/fields.h"
#include "cli/client/pods_of.h"
#include "cli/client/why.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

api::LabelMap LabelsOf(const JsonValue& object) {
  api::LabelMap labels;
  if (const JsonValue* map = At(object, "metadata.labels"); map != nullptr && map->is_object()) {
    for (const auto& [name, value] : map->as_object())
      labels[name] = ScalarText(value);
  }
  return labels;
}

bool Selects(const JsonValue* selector, const JsonValue& pod) {
  if (selector == nullptr) return true;
  const Result<api::Selector> parsed = api::Selector::Parse(SelectorQuery(*selector));
  return parsed.ok() && parsed->Matches(LabelsOf(pod));
}

bool GuardsIngress(const JsonValue& policy) {
  const auto& types = ItemsAt(policy, "spec.policyTypes");
  return std::any_of(types.begin(), types.end(),
                     [](const JsonValue& type) { return ScalarText(type) == "Ingress"; });
}

}  // namespace

std::vector<Finding> FindPolicyProblems(const JsonValue& service,
                                        const std::vector<JsonValue>& pods,
                                        const std::vector<JsonValue>& policies) {
  const JsonValue* selector = At(service, "spec.selector");
  if (selector == nullptr || selector->as_object().empty()) return {};
  Finding finding;
  bool any_rule = false;
  std::vector<std::string> names;
  for (const JsonValue& policy : policies) {
    if (!GuardsIngress(policy)) continue;
    size_t guarded = 0;
    for (const JsonValue& pod : pods) {
      if (Selects(selector, pod) && Selects(At(policy, "spec.podSelector"), pod)) ++guarded;
    }
    if (guarded == 0) continue;
    const std::string name = TextAt(policy, "metadata.name");
    const size_t rules = ItemsAt(policy, "spec.ingress").size();
    any_rule |= rules > 0;
    names.push_back(name);
    finding.details.push_back(
        "networkpolicy " + name + " selects " + std::to_string(guarded) + " of its pods, and has " +
        (rules == 0 ? "no ingress rule"
                    : std::to_string(rules) + " ingress rule" + (rules == 1 ? "" : "s")));
  }
  if (names.empty()) return {};
  finding.rule = any_rule ? "network policies let only some clients connect to its pods"
                          : "a network policy lets nobody but the node connect to its pods";
  finding.fixes.push_back("see who may: gantry describe networkpolicy " + JoinText(names, " "));
  return {finding};
}

}  // namespace gantry::cli
