#include "controllers/aggregation/cluster_roles.h"

#include <set>
#include <string>

#include "api/owners.h"
#include "api/rbac/v1/rbac.pb.h"
#include "api/selector.h"

namespace gantry::controllers {
namespace {

using api::rbac::v1::ClusterRole;
using api::rbac::v1::PolicyRule;
using client::Plan;
using Rules = google::protobuf::RepeatedPtrField<PolicyRule>;

bool Same(const Rules& a, const Rules& b) {
  if (a.size() != b.size()) return false;
  for (int i = 0; i < a.size(); ++i) {
    if (a[i].SerializeAsString() != b[i].SerializeAsString()) return false;
  }
  return true;
}

class ClusterRoleAggregation : public client::Reconciler {
 public:
  std::string_view name() const override { return "clusterrole-aggregation"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    roles_ = &informers.For<ClusterRole>();
    // Any role may be a part of any aggregated one; there are few of those.
    roles_->AddHandler([this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (after && after->As<ClusterRole>().has_aggregation_rule()) enqueue({"", after->name()});
      for (const api::ObjectPtr& role : roles_->List()) {
        if (role->As<ClusterRole>().has_aggregation_rule()) enqueue({"", role->name()});
      }
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    api::Ref<ClusterRole> role = client::GetFrom<ClusterRole>(*roles_, "", key.name);
    if (!role || !role->has_aggregation_rule() || api::IsBeingDeleted(role->metadata()))
      return plan;
    Rules rules;
    std::set<std::string> seen;
    for (const auto& wanted : role->aggregation_rule().cluster_role_selectors()) {
      GANTRY_ASSIGN(api::Selector selector, api::Selector::From(wanted));
      for (const api::ObjectPtr& part : roles_->List()) {
        const auto& from = part->As<ClusterRole>();
        if (part->name() == key.name || !selector.Matches(from.metadata().labels())) continue;
        for (const PolicyRule& rule : from.rules()) {
          if (seen.insert(rule.SerializeAsString()).second) *rules.Add() = rule;
        }
      }
    }
    if (Same(rules, role->rules())) return plan;
    ClusterRole changed = *role;
    *changed.mutable_rules() = std::move(rules);
    plan.Update(std::move(changed));
    return plan;
  }

 private:
  client::Informer* roles_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeClusterRoleAggregationController() {
  return std::make_unique<ClusterRoleAggregation>();
}

}  // namespace gantry::controllers
