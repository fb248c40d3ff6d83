#include "apiserver/admission/plugins.h"
#include "apiserver/registry/messages.h"

namespace gantry::apiserver {
namespace {

using api::rbac::v1::ClusterRole;
using api::rbac::v1::ClusterRoleBinding;
using api::rbac::v1::PolicyRule;
using api::rbac::v1::Role;
using api::rbac::v1::RoleBinding;
using api::rbac::v1::RoleRef;
using Rules = google::protobuf::RepeatedPtrField<PolicyRule>;

constexpr std::string_view kGroup = "rbac.authorization.k8s.io";

template <class List>
std::string Listed(const char* name, const List& list) {
  if (list.empty()) return "";
  std::string text;
  for (const auto& item : list)
    text += (text.empty() ? "\"" : ", \"") + std::string(item) + "\"";
  return std::string(name) + ":[" + text + "]";
}

std::string Text(const PolicyRule& rule) {
  std::string text;
  for (const std::string& part :
       {Listed("APIGroups", rule.api_groups()), Listed("Resources", rule.resources()),
        Listed("ResourceNames", rule.resource_names()),
        Listed("NonResourceURLs", rule.non_resource_urls()), Listed("Verbs", rule.verbs())}) {
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  }
  return "{" + text + "}";
}

// The smallest questions that a rule answers with yes.
std::vector<Access> Questions(const PolicyRule& rule) {
  std::vector<Access> questions;
  for (const std::string& verb : rule.verbs()) {
    for (const std::string& path : rule.non_resource_urls()) {
      Access access;
      access.verb = verb;
      access.path = path;
      questions.push_back(std::move(access));
    }
    for (const std::string& group : rule.api_groups()) {
      for (const std::string& resource : rule.resources()) {
        Access access;
        access.is_resource = true;
        access.verb = verb;
        access.group = group;
        size_t slash = resource.find('/');
        access.resource = resource.substr(0, slash);
        if (slash != std::string::npos) access.subresource = resource.substr(slash + 1);
        if (rule.resource_names().empty()) questions.push_back(access);
        for (const std::string& name : rule.resource_names()) {
          access.name = name;
          questions.push_back(access);
        }
      }
    }
  }
  return questions;
}

class Plugin : public AdmissionPlugin {
 public:
  Plugin(Registry& registry, RbacAuthorizer& rbac, Authorizer& authorizer)
      : registry_(registry), rbac_(rbac), authorizer_(authorizer) {}
  std::string_view name() const override { return "RbacEscalation"; }

  Status Validate(const AdmissionRequest& request) override {
    if (request.row.kind->group != kGroup || request.object == nullptr) return {};
    if (request.call.user.InGroup(kSystemMasters)) return {};
    const std::string_view plural = request.row.kind->plural;
    if (request.old != nullptr && SameDesired(*request.old, *request.object)) return {};
    if (plural == "roles" || plural == "clusterroles") {
      const Rules& rules = plural == "roles"
                               ? static_cast<const Role*>(request.object)->rules()
                               : static_cast<const ClusterRole*>(request.object)->rules();
      if (Allowed(request, "escalate", plural, request.name)) return {};
      if (plural == "clusterroles" &&
          static_cast<const ClusterRole*>(request.object)->has_aggregation_rule()) {
        PolicyRule all;
        all.add_api_groups("*");
        all.add_resources("*");
        all.add_verbs("*");
        if (!Covered(request, all)) {
          return request.Forbid("must have cluster-admin privileges to use the aggregationRule");
        }
      }
      return CheckRules(request, rules);
    }
    const RoleRef& role = plural == "rolebindings"
                              ? static_cast<const RoleBinding*>(request.object)->role_ref()
                              : static_cast<const ClusterRoleBinding*>(request.object)->role_ref();
    const bool cluster = role.kind() == "ClusterRole";
    if (Allowed(request, "bind", cluster ? "clusterroles" : "roles", role.name())) return {};
    if (cluster) {
      api::Ref<ClusterRole> live = registry_.Peek<ClusterRole>("", role.name());
      if (!live) return NotFound(api::KindOf<ClusterRole>(), role.name());
      return CheckRules(request, live->rules());
    }
    api::Ref<Role> live = registry_.Peek<Role>(request.ns, role.name());
    if (!live) return NotFound(api::KindOf<Role>(), role.name());
    return CheckRules(request, live->rules());
  }

 private:
  bool Allowed(const AdmissionRequest& request, const char* verb, std::string_view resource,
               std::string_view name) {
    Access access;
    access.is_resource = true;
    access.verb = verb;
    access.group = std::string(kGroup);
    access.version = "v1";
    access.resource = std::string(resource);
    access.ns = std::string(request.ns);
    access.name = std::string(name);
    return authorizer_.Authorize(request.call.user, access).allowed();
  }

  // Whether the user's own rules answer every question of `rule` with yes.
  bool Covered(const AdmissionRequest& request, const PolicyRule& rule) {
    for (const Access& question : Questions(rule)) {
      bool found = false;
      rbac_.VisitRules(request.call.user, request.ns, [&](const PolicyRule& held) {
        // A rule for single names grants nothing on all of them; RuleAllows sees an empty name as
        // none of its.
        found = RuleAllows(held, question);
        return !found;
      });
      if (!found) return false;
    }
    return true;
  }

  Status CheckRules(const AdmissionRequest& request, const Rules& rules) {
    std::string missing;
    for (const PolicyRule& rule : rules) {
      if (!Covered(request, rule)) missing += "\n" + Text(rule);
    }
    if (missing.empty()) return {};
    std::string groups;
    for (const std::string& group : request.call.user.groups)
      groups += (groups.empty() ? "\"" : " \"") + group + "\"";
    return request.Forbid(
        "user \"" + request.call.user.name + "\" (groups=[" + groups +
        "]) is attempting to grant RBAC permissions not currently held:" + missing);
  }

  Registry& registry_;
  RbacAuthorizer& rbac_;
  Authorizer& authorizer_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> RbacEscalation(Registry& registry, RbacAuthorizer& rbac,
                                                Authorizer& authorizer) {
  return std::make_unique<Plugin>(registry, rbac, authorizer);
}

}  // namespace gantry::apiserver
