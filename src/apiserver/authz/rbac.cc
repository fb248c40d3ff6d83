#include "apiserver/authz/rbac.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "apiserver/registry/registry.h"

namespace gantry::apiserver {
namespace {

using api::rbac::v1::ClusterRole;
using api::rbac::v1::ClusterRoleBinding;
using api::rbac::v1::PolicyRule;
using api::rbac::v1::Role;
using api::rbac::v1::RoleBinding;
using api::rbac::v1::RoleRef;
using api::rbac::v1::Subject;
using Rules = google::protobuf::RepeatedPtrField<PolicyRule>;
using Strings = google::protobuf::RepeatedPtrField<std::string>;

bool Has(const Strings& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}
bool HasOrStar(const Strings& list, std::string_view value) {
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& item) { return item == "*" || item == value; });
}

bool ResourceMatches(const PolicyRule& rule, const Access& access) {
  for (const std::string& resource : rule.resources()) {
    if (resource == "*") return true;
    if (access.subresource.empty()) {
      if (resource == access.resource) return true;
      continue;
    }
    std::string_view text = resource;
    size_t slash = text.find('/');
    if (slash == std::string_view::npos || text.substr(slash + 1) != access.subresource) continue;
    if (text.substr(0, slash) == access.resource || text.substr(0, slash) == "*") return true;
  }
  return false;
}

bool PathMatches(const PolicyRule& rule, std::string_view path) {
  for (const std::string& pattern : rule.non_resource_urls()) {
    if (pattern == "*" || pattern == path) return true;
    if (pattern.ends_with('*') &&
        path.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1)))
      return true;
  }
  return false;
}

// How a subject is looked up: 'u' or 'g', then its name.
std::string SubjectKey(const Subject& subject, std::string_view binding_ns) {
  if (subject.kind() == "User") return "u" + subject.name();
  if (subject.kind() == "Group") return "g" + subject.name();
  if (subject.kind() == "ServiceAccount") {
    std::string ns = subject.namespace_().empty() ? std::string(binding_ns) : subject.namespace_();
    return "usystem:serviceaccount:" + ns + ":" + subject.name();
  }
  return {};
}

}  // namespace

bool RuleAllows(const PolicyRule& rule, const Access& access) {
  if (!HasOrStar(rule.verbs(), access.verb)) return false;
  if (!access.is_resource) return PathMatches(rule, access.path);
  if (!HasOrStar(rule.api_groups(), access.group) || !ResourceMatches(rule, access)) return false;
  return rule.resource_names().empty() || Has(rule.resource_names(), access.name);
}

struct RbacAuthorizer::Index {
  struct Grant {
    std::string ns;  // empty: everywhere
    const Rules* rules;
  };
  int64_t revisions[4] = {};
  std::unordered_map<std::string, std::vector<Grant>> grants;
  std::vector<api::ObjectPtr> roles;  // keep what the grants point to
};

RbacAuthorizer::RbacAuthorizer(Registry& registry) : registry_(registry) {}
RbacAuthorizer::~RbacAuthorizer() = default;

std::shared_ptr<const RbacAuthorizer::Index> RbacAuthorizer::Build() const {
  auto index = std::make_shared<Index>();
  store::WatchCache* caches[] = {&registry_.CacheOf(api::KindOf<Role>()),
                                 &registry_.CacheOf(api::KindOf<RoleBinding>()),
                                 &registry_.CacheOf(api::KindOf<ClusterRole>()),
                                 &registry_.CacheOf(api::KindOf<ClusterRoleBinding>())};
  for (size_t i = 0; i < 4; ++i)
    index->revisions[i] = caches[i]->changed_revision();

  auto rules_of = [&](const RoleRef& reference, std::string_view ns) -> const Rules* {
    const bool cluster = reference.kind() == "ClusterRole";
    if (!cluster && ns.empty()) return nullptr;
    api::ObjectPtr role = cluster ? registry_.Peek(api::KindOf<ClusterRole>(), "", reference.name())
                                  : registry_.Peek(api::KindOf<Role>(), ns, reference.name());
    if (role == nullptr) return nullptr;
    index->roles.push_back(role);
    return cluster ? &role->As<ClusterRole>().rules() : &role->As<Role>().rules();
  };
  auto add = [&](const auto& binding, std::string_view ns) {
    const Rules* rules = rules_of(binding.role_ref(), ns);
    if (rules == nullptr) return;
    for (const Subject& subject : binding.subjects()) {
      std::string key = SubjectKey(subject, ns);
      if (!key.empty()) index->grants[key].push_back({std::string(ns), rules});
    }
  };
  for (const api::ObjectPtr& object : caches[3]->List({}).objects)
    add(object->As<ClusterRoleBinding>(), "");
  for (const api::ObjectPtr& object : caches[1]->List({}).objects)
    add(object->As<RoleBinding>(), object->ns());
  return index;
}

std::shared_ptr<const RbacAuthorizer::Index> RbacAuthorizer::Current() {
  const int64_t now[] = {registry_.CacheOf(api::KindOf<Role>()).changed_revision(),
                         registry_.CacheOf(api::KindOf<RoleBinding>()).changed_revision(),
                         registry_.CacheOf(api::KindOf<ClusterRole>()).changed_revision(),
                         registry_.CacheOf(api::KindOf<ClusterRoleBinding>()).changed_revision()};
  absl::MutexLock lock(&mutex_);
  if (index_ == nullptr || !std::equal(std::begin(now), std::end(now), index_->revisions))
    index_ = Build();
  return index_;
}

void RbacAuthorizer::VisitRules(const UserInfo& user, std::string_view ns,
                                const std::function<bool(const PolicyRule& rule)>& visit) {
  std::shared_ptr<const Index> index = Current();
  auto subject = [&](const std::string& key) {
    auto it = index->grants.find(key);
    if (it == index->grants.end()) return true;
    for (const Index::Grant& grant : it->second) {
      if (!grant.ns.empty() && grant.ns != ns) continue;
      for (const PolicyRule& rule : *grant.rules) {
        if (!visit(rule)) return false;
      }
    }
    return true;
  };
  if (!subject("u" + user.name)) return;
  for (const std::string& group : user.groups) {
    if (!subject("g" + group)) return;
  }
}

Decision RbacAuthorizer::Authorize(const UserInfo& user, const Access& access) {
  Decision decision;
  VisitRules(user, access.is_resource ? std::string_view(access.ns) : std::string_view(),
             [&](const PolicyRule& rule) {
               if (!RuleAllows(rule, access)) return true;
               decision.verdict = Decision::Verdict::kAllow;
               return false;
             });
  return decision;
}

}  // namespace gantry::apiserver
