#pragma once

#include <span>
#include <string_view>

#include "api/rbac/v1/rbac.pb.h"

namespace gantry::apiserver {

// One role as Kubernetes bootstraps it. `rules`: one rule a line, "verbs; API groups; resources"
// with commas inside, "-" for the core group, and "; names" behind where a rule has resourceNames;
// or "verbs; /path,/path".
struct DefaultRole {
  std::string_view ns;  // empty: a ClusterRole
  std::string_view name;
  std::string_view rules;
  std::string_view aggregate_to = {};  // the label of which aggregated role: "view"
  std::string_view aggregated_from =
      {};  // the label values of an aggregated role: "edit,view" and its own
};

struct DefaultBinding {
  std::string_view ns;  // empty: a ClusterRoleBinding
  std::string_view name;
  std::string_view role;
  std::string_view subjects;  // "group:a,user:b,account:namespace/name"
  bool cluster_role = true;
};

// The cluster role "system:controller:NAME" of each of Kubernetes' controllers, bound to the
// service account kube-system/NAME.
struct ControllerRole {
  std::string_view name;
  std::string_view rules;
  bool events = true;  // it also writes events
};

std::span<const DefaultRole> DefaultRoles();
std::span<const ControllerRole> ControllerRoles();
std::span<const DefaultBinding> DefaultBindings();

// The rules of a table entry as messages.
google::protobuf::RepeatedPtrField<api::rbac::v1::PolicyRule> ParseRules(std::string_view rules);

}  // namespace gantry::apiserver
