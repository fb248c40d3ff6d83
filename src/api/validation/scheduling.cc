#include "api/validation/scheduling.h"

#include <algorithm>
#include <set>

#include "api/validation/meta.h"

namespace gantry::api::validation {
namespace {

using core::v1::NodeSelectorRequirement;
using core::v1::PodAffinityTerm;
using core::v1::Toleration;

std::string Join(const Complaints& complaints) {
  std::string text;
  for (const std::string& complaint : complaints)
    text += (text.empty() ? "" : ";") + complaint;
  return text;
}

void CheckTaintEffect(const Path& path, std::string_view effect, Errors* errors) {
  if (!IsOneOf(effect, {"NoSchedule", "PreferNoSchedule", "NoExecute"})) {
    errors->NotSupported(path, effect, {"NoSchedule", "PreferNoSchedule", "NoExecute"});
  }
}

void CheckRequirement(const Path& path, const NodeSelectorRequirement& requirement,
                      bool check_values, Errors* errors) {
  if (IsOneOf(requirement.operator_(), {"In", "NotIn"})) {
    if (requirement.values().empty()) {
      errors->Required(path.Child("values"),
                       "must be specified when `operator` is 'In' or 'NotIn'");
    }
  } else if (IsOneOf(requirement.operator_(), {"Exists", "DoesNotExist"})) {
    if (!requirement.values().empty()) {
      errors->Forbidden(path.Child("values"),
                        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    }
  } else if (IsOneOf(requirement.operator_(), {"Gt", "Lt"})) {
    if (requirement.values_size() != 1) {
      errors->Required(path.Child("values"),
                       "must be specified single value when `operator` is 'Lt' or 'Gt'");
    }
  } else {
    errors->Invalid(path.Child("operator"), requirement.operator_(),
                    "not a valid selector operator");
  }
  CheckQualifiedName(path.Child("key"), requirement.key(), errors);
  if (!check_values) return;
  Path values = path.Child("values");
  for (int i = 0; i < requirement.values_size(); ++i) {
    errors->Complain(values.Index(i), requirement.values(i), IsLabelValue(requirement.values(i)));
  }
}

void CheckFieldRequirement(const Path& path, const NodeSelectorRequirement& requirement,
                           Errors* errors) {
  if (!IsOneOf(requirement.operator_(), {"In", "NotIn"})) {
    errors->Invalid(path.Child("operator"), requirement.operator_(),
                    "not a valid selector operator");
  } else if (requirement.values_size() != 1) {
    errors->Required(
        path.Child("values"),
        "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
  }
  if (requirement.key() != "metadata.name") {
    errors->Invalid(path.Child("key"), requirement.key(), "not a valid field selector key");
    return;
  }
  Path values = path.Child("values");
  for (int i = 0; i < requirement.values_size(); ++i) {
    CheckDns1123Subdomain(values.Index(i), requirement.values(i), errors);
  }
}

void CheckLabelKeys(const Path& path, const Strings& keys, bool has_selector, Errors* errors) {
  if (keys.empty()) return;
  if (!has_selector) {
    errors->Forbidden(path, "must not be specified when labelSelector is not set");
    return;
  }
  for (int i = 0; i < keys.size(); ++i)
    CheckQualifiedName(path.Index(i), keys[i], errors);
}

void CheckMatchKeys(const Path& path, const PodAffinityTerm& term, Errors* errors) {
  CheckLabelKeys(path.Child("matchLabelKeys"), term.match_label_keys(), term.has_label_selector(),
                 errors);
  CheckLabelKeys(path.Child("mismatchLabelKeys"), term.mismatch_label_keys(),
                 term.has_label_selector(), errors);
  const Strings& keys = term.match_label_keys();
  std::set<std::string_view> selected;
  for (const auto& [key, value] : term.label_selector().match_labels())
    selected.insert(key);
  for (const auto& expression : term.label_selector().match_expressions()) {
    auto key = std::find(keys.begin(), keys.end(), expression.key());
    if (key != keys.end() && selected.contains(expression.key())) {
      errors->Invalid(path.Index(static_cast<int>(key - keys.begin())), expression.key(),
                      "exists in both matchLabelKeys and labelSelector");
    }
    selected.insert(expression.key());
  }
  Path match = path.Child("matchLabelKeys");
  for (int i = 0; i < keys.size(); ++i) {
    const Strings& mismatch = term.mismatch_label_keys();
    if (std::find(mismatch.begin(), mismatch.end(), keys[i]) != mismatch.end()) {
      errors->Invalid(match.Index(i), keys[i],
                      "exists in both matchLabelKeys and mismatchLabelKeys");
    }
  }
}

void CheckPodAffinityTerm(const Path& path, const PodAffinityTerm& term, Errors* errors) {
  if (term.has_label_selector())
    CheckLabelSelector(path.Child("labelSelector"), term.label_selector(), errors);
  if (term.has_namespace_selector()) {
    CheckLabelSelector(path.Child("namespaceSelector"), term.namespace_selector(), errors);
  }
  for (const std::string& ns : term.namespaces())
    CheckDns1123Label(path.Child("namespace"), ns, errors);
  CheckMatchKeys(path, term, errors);
  if (term.topology_key().empty()) errors->Required(path.Child("topologyKey"), "can not be empty");
  CheckQualifiedName(path.Child("topologyKey"), term.topology_key(), errors);
}

void CheckWeight(const Path& path, int32_t weight, Errors* errors) {
  if (weight <= 0 || weight > 100) errors->Invalid(path, weight, "must be in the range 1-100");
}

// Affinity and anti-affinity to pods have the same shape.
template <class T>
void CheckPodAffinity(const Path& path, const T& affinity, Errors* errors) {
  Path required = path.Child("requiredDuringSchedulingIgnoredDuringExecution");
  for (int i = 0; i < affinity.required_during_scheduling_ignored_during_execution_size(); ++i) {
    CheckPodAffinityTerm(required.Index(i),
                         affinity.required_during_scheduling_ignored_during_execution(i), errors);
  }
  Path preferred = path.Child("preferredDuringSchedulingIgnoredDuringExecution");
  for (int i = 0; i < affinity.preferred_during_scheduling_ignored_during_execution_size(); ++i) {
    const auto& term = affinity.preferred_during_scheduling_ignored_during_execution(i);
    Path item = preferred.Index(i);
    CheckWeight(item.Child("weight"), term.weight(), errors);
    CheckPodAffinityTerm(item.Child("podAffinityTerm"), term.pod_affinity_term(), errors);
  }
}

void CheckNodeAffinity(const Path& path, const core::v1::NodeAffinity& affinity, Errors* errors) {
  if (affinity.has_required_during_scheduling_ignored_during_execution()) {
    CheckNodeSelector(path.Child("requiredDuringSchedulingIgnoredDuringExecution"),
                      affinity.required_during_scheduling_ignored_during_execution(), errors);
  }
  Path preferred = path.Child("preferredDuringSchedulingIgnoredDuringExecution");
  for (int i = 0; i < affinity.preferred_during_scheduling_ignored_during_execution_size(); ++i) {
    const auto& term = affinity.preferred_during_scheduling_ignored_during_execution(i);
    Path item = preferred.Index(i);
    CheckWeight(item.Child("weight"), term.weight(), errors);
    CheckNodeSelectorTerm(item.Child("preference"), term.preference(), false, errors);
  }
}

void CheckInclusion(const Path& path, bool has, std::string_view policy, Errors* errors) {
  if (has && !IsOneOf(policy, {"Honor", "Ignore"}))
    errors->NotSupported(path, policy, {"Honor", "Ignore"});
}

}  // namespace

void CheckAffinity(const Path& path, const core::v1::Affinity& affinity, Errors* errors) {
  if (affinity.has_node_affinity())
    CheckNodeAffinity(path.Child("nodeAffinity"), affinity.node_affinity(), errors);
  if (affinity.has_pod_affinity())
    CheckPodAffinity(path.Child("podAffinity"), affinity.pod_affinity(), errors);
  if (affinity.has_pod_anti_affinity()) {
    CheckPodAffinity(path.Child("podAntiAffinity"), affinity.pod_anti_affinity(), errors);
  }
}

void CheckNodeSelector(const Path& path, const core::v1::NodeSelector& selector, Errors* errors) {
  Path terms = path.Child("nodeSelectorTerms");
  if (selector.node_selector_terms().empty()) {
    errors->Required(terms, "must have at least one node selector term");
  }
  for (int i = 0; i < selector.node_selector_terms_size(); ++i) {
    CheckNodeSelectorTerm(terms.Index(i), selector.node_selector_terms(i), true, errors);
  }
}

void CheckNodeSelectorTerm(const Path& path, const core::v1::NodeSelectorTerm& term,
                           bool check_values, Errors* errors) {
  Path expressions = path.Child("matchExpressions");
  for (int i = 0; i < term.match_expressions_size(); ++i) {
    CheckRequirement(expressions.Index(i), term.match_expressions(i), check_values, errors);
  }
  Path fields = path.Child("matchFields");
  for (int i = 0; i < term.match_fields_size(); ++i) {
    CheckFieldRequirement(fields.Index(i), term.match_fields(i), errors);
  }
}

void CheckTolerations(const Path& path, const Tolerations& tolerations, Errors* errors) {
  for (int i = 0; i < tolerations.size(); ++i) {
    const Toleration& toleration = tolerations[i];
    Path item = path.Index(i);
    Path op = item.Child("operator");
    if (!toleration.key().empty()) CheckQualifiedName(item.Child("key"), toleration.key(), errors);
    if (toleration.key().empty() && toleration.operator_() != "Exists") {
      errors->Invalid(op, toleration.operator_(),
                      "operator must be Exists when `key` is empty, which means \"match all values "
                      "and all keys\"");
    }
    if (toleration.has_toleration_seconds() && toleration.effect() != "NoExecute") {
      errors->Invalid(item.Child("effect"), toleration.effect(),
                      "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    if (IsOneOf(toleration.operator_(), {"Equal", ""})) {
      if (Complaints complaints = IsLabelValue(toleration.value()); !complaints.empty()) {
        errors->Invalid(op, toleration.value(), Join(complaints));
      }
    } else if (toleration.operator_() == "Exists") {
      if (!toleration.value().empty()) {
        errors->Invalid(op, toleration.value(), "value must be empty when `operator` is 'Exists'");
      }
    } else {
      errors->NotSupported(op, toleration.operator_(), {"Equal", "Exists"});
    }
    if (!toleration.effect().empty())
      CheckTaintEffect(item.Child("effect"), toleration.effect(), errors);
  }
}

void CheckOnlyAddedTolerations(const Path& path, const Tolerations& tolerations,
                               const Tolerations& old, Errors* errors) {
  for (const Toleration& before : old) {
    bool found = std::any_of(tolerations.begin(), tolerations.end(), [&](const Toleration& now) {
      return now.key() == before.key() && now.operator_() == before.operator_() &&
             now.value() == before.value() && now.effect() == before.effect();
    });
    if (found) continue;
    errors->Forbidden(path, "existing toleration can not be modified except its tolerationSeconds");
    return;
  }
  CheckTolerations(path, tolerations, errors);
}

void CheckTaints(const Path& path,
                 const google::protobuf::RepeatedPtrField<core::v1::Taint>& taints,
                 Errors* errors) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (int i = 0; i < taints.size(); ++i) {
    const core::v1::Taint& taint = taints[i];
    Path item = path.Index(i);
    CheckQualifiedName(item.Child("key"), taint.key(), errors);
    if (Complaints complaints = IsLabelValue(taint.value()); !complaints.empty()) {
      errors->Invalid(item.Child("value"), taint.value(), Join(complaints));
    }
    if (taint.effect().empty()) {
      errors->Required(item.Child("effect"));
    } else {
      CheckTaintEffect(item.Child("effect"), taint.effect(), errors);
    }
    if (!seen.emplace(taint.effect(), taint.key()).second) {
      errors->Duplicate(item, taint, "taints must be unique by key and effect pair");
    }
  }
}

void CheckTopologySpread(
    const Path& path,
    const google::protobuf::RepeatedPtrField<core::v1::TopologySpreadConstraint>& constraints,
    Errors* errors) {
  for (int i = 0; i < constraints.size(); ++i) {
    const auto& constraint = constraints[i];
    Path item = path.Index(i);
    if (constraint.max_skew() <= 0)
      errors->Invalid(item.Child("maxSkew"), constraint.max_skew(), kNotPositive);
    if (constraint.topology_key().empty())
      errors->Required(item.Child("topologyKey"), "can not be empty");
    if (!IsOneOf(constraint.when_unsatisfiable(), {"DoNotSchedule", "ScheduleAnyway"})) {
      errors->NotSupported(item.Child("whenUnsatisfiable"), constraint.when_unsatisfiable(),
                           {"DoNotSchedule", "ScheduleAnyway"});
    }
    for (int j = i + 1; j < constraints.size(); ++j) {
      if (constraints[j].topology_key() != constraint.topology_key() ||
          constraints[j].when_unsatisfiable() != constraint.when_unsatisfiable()) {
        continue;
      }
      errors->Duplicate(
          item.Child("{topologyKey, whenUnsatisfiable}"),
          "{" + constraint.topology_key() + ", " + constraint.when_unsatisfiable() + "}");
      break;
    }
    if (constraint.has_min_domains()) {
      Path min_domains = item.Child("minDomains");
      if (constraint.min_domains() <= 0)
        errors->Invalid(min_domains, constraint.min_domains(), kNotPositive);
      if (constraint.when_unsatisfiable() != "DoNotSchedule") {
        errors->Invalid(min_domains, constraint.min_domains(),
                        "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not " +
                            constraint.when_unsatisfiable());
      }
    }
    CheckInclusion(item.Child("nodeAffinityPolicy"), constraint.has_node_affinity_policy(),
                   constraint.node_affinity_policy(), errors);
    CheckInclusion(item.Child("nodeTaintsPolicy"), constraint.has_node_taints_policy(),
                   constraint.node_taints_policy(), errors);
    Path keys = item.Child("matchLabelKeys");
    if (!constraint.match_label_keys().empty() && !constraint.has_label_selector()) {
      errors->Forbidden(keys, "must not be specified when labelSelector is not set");
    }
    for (int k = 0; k < constraint.match_label_keys_size(); ++k) {
      const std::string& key = constraint.match_label_keys(k);
      CheckQualifiedName(keys.Index(k), key, errors);
      const auto& selector = constraint.label_selector();
      bool selected =
          selector.match_labels().contains(key) ||
          std::any_of(selector.match_expressions().begin(), selector.match_expressions().end(),
                      [&](const auto& expression) { return expression.key() == key; });
      if (selected)
        errors->Invalid(keys.Index(k), key, "exists in both matchLabelKeys and labelSelector");
    }
    if (constraint.has_label_selector()) {
      CheckLabelSelector(item.Child("labelSelector"), constraint.label_selector(), errors);
    }
  }
}

}  // namespace gantry::api::validation
