#include "api/rbac/v1/rbac.pb.h"

#include "api/validation/meta.h"
#include "api/validation/rules.h"

namespace gantry::api::validation {
namespace {

using rbac::v1::ClusterRole;
using rbac::v1::ClusterRoleBinding;
using rbac::v1::PolicyRule;
using rbac::v1::Role;
using rbac::v1::RoleBinding;

constexpr char kGroup[] = "rbac.authorization.k8s.io";

void CheckRule(const Path& path, const PolicyRule& rule, bool namespaced, Errors* errors) {
  if (rule.verbs().empty())
    errors->Required(path.Child("verbs"), "verbs must contain at least one value");
  if (!rule.non_resource_urls().empty()) {
    Path urls = path.Child("nonResourceURLs");
    if (namespaced) {
      errors->Invalid(urls, rule.non_resource_urls(),
                      "namespaced rules cannot apply to non-resource URLs");
    }
    if (!rule.api_groups().empty() || !rule.resources().empty() || !rule.resource_names().empty()) {
      errors->Invalid(urls, rule.non_resource_urls(),
                      "rules cannot apply to both regular resources and non-resource URLs");
    }
    return;
  }
  if (rule.api_groups().empty()) {
    errors->Required(path.Child("apiGroups"), "resource rules must supply at least one api group");
  }
  if (rule.resources().empty()) {
    errors->Required(path.Child("resources"), "resource rules must supply at least one resource");
  }
}

template <class T>
void CheckRules(const T& role, bool namespaced, Errors* errors) {
  Path rules("rules");
  for (int i = 0; i < role.rules_size(); ++i)
    CheckRule(rules.Index(i), role.rules(i), namespaced, errors);
}

void CreateRole(const Role& role, Errors* errors) {
  CheckMeta(role.metadata(), true, NameIsPathSegment, errors);
  CheckRules(role, true, errors);
}

void UpdateRole(const Role& role, const Role& old, Errors* errors) {
  CreateRole(role, errors);
  CheckMetaUpdate(role.metadata(), old.metadata(), errors);
}

void CreateClusterRole(const ClusterRole& role, Errors* errors) {
  CheckMeta(role.metadata(), false, NameIsPathSegment, errors);
  CheckRules(role, false, errors);
  if (!role.has_aggregation_rule()) return;
  Path selectors("aggregationRule.clusterRoleSelectors");
  if (role.aggregation_rule().cluster_role_selectors().empty()) {
    errors->Required(selectors,
                     "at least one clusterRoleSelector required if aggregationRule is non-nil");
  }
  for (int i = 0; i < role.aggregation_rule().cluster_role_selectors_size(); ++i) {
    CheckLabelSelector(selectors.Index(i), role.aggregation_rule().cluster_role_selectors(i),
                       errors);
  }
}

void UpdateClusterRole(const ClusterRole& role, const ClusterRole& old, Errors* errors) {
  CreateClusterRole(role, errors);
  CheckMetaUpdate(role.metadata(), old.metadata(), errors);
}

void CheckSubject(const Path& path, const rbac::v1::Subject& subject, bool namespaced,
                  Errors* errors) {
  if (subject.name().empty()) errors->Required(path.Child("name"));
  if (subject.kind() == "ServiceAccount") {
    if (!subject.name().empty()) CheckDns1123Subdomain(path.Child("name"), subject.name(), errors);
    if (!subject.api_group().empty())
      errors->NotSupported(path.Child("apiGroup"), subject.api_group(), {""});
    if (!namespaced && subject.namespace_().empty()) errors->Required(path.Child("namespace"));
  } else if (IsOneOf(subject.kind(), {"User", "Group"})) {
    if (subject.api_group() != kGroup)
      errors->NotSupported(path.Child("apiGroup"), subject.api_group(), {kGroup});
  } else {
    errors->NotSupported(path.Child("kind"), subject.kind(), {"ServiceAccount", "User", "Group"});
  }
}

template <class T>
void CheckBinding(const T& binding, bool namespaced, Errors* errors) {
  CheckMeta(binding.metadata(), namespaced, NameIsPathSegment, errors);
  Path role("roleRef");
  const auto& ref = binding.role_ref();
  if (ref.api_group() != kGroup)
    errors->NotSupported(role.Child("apiGroup"), ref.api_group(), {kGroup});
  if (namespaced && !IsOneOf(ref.kind(), {"Role", "ClusterRole"})) {
    errors->NotSupported(role.Child("kind"), ref.kind(), {"Role", "ClusterRole"});
  }
  if (!namespaced && ref.kind() != "ClusterRole") {
    errors->NotSupported(role.Child("kind"), ref.kind(), {"ClusterRole"});
  }
  if (ref.name().empty()) {
    errors->Required(role.Child("name"));
  } else {
    errors->Complain(role.Child("name"), ref.name(), IsPathSegmentName(ref.name()));
  }
  Path subjects("subjects");
  for (int i = 0; i < binding.subjects_size(); ++i) {
    CheckSubject(subjects.Index(i), binding.subjects(i), namespaced, errors);
  }
}

template <class T, bool kNamespaced>
void CreateBinding(const T& binding, Errors* errors) {
  CheckBinding(binding, kNamespaced, errors);
}

template <class T, bool kNamespaced>
void UpdateBinding(const T& binding, const T& old, Errors* errors) {
  CheckBinding(binding, kNamespaced, errors);
  CheckMetaUpdate(binding.metadata(), old.metadata(), errors);
  if (!SemanticEqual(binding.role_ref(), old.role_ref())) {
    errors->Invalid(Path("roleRef"), binding.role_ref(), "cannot change roleRef");
  }
}

}  // namespace

std::vector<RuleRow> RbacRules() {
  return {
      Row<ClusterRole, CreateClusterRole, UpdateClusterRole>(),
      Row<ClusterRoleBinding, CreateBinding<ClusterRoleBinding, false>,
          UpdateBinding<ClusterRoleBinding, false>>(),
      Row<Role, CreateRole, UpdateRole>(),
      Row<RoleBinding, CreateBinding<RoleBinding, true>, UpdateBinding<RoleBinding, true>>(),
  };
}

}  // namespace gantry::api::validation
