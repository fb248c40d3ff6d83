#include "controllers/resourcequota/resource_quota.h"

#include <algorithm>
#include <optional>

#include "api/core/v1/resource_quota.pb.h"
#include "api/owners.h"
#include "api/quota.h"
#include "controllers/ownership/collectable.h"

namespace gantry::controllers {
namespace {

using api::core::v1::ResourceQuota;
using client::Plan;

// Everything is counted again this often, as kube-controller-manager does.
constexpr Duration kResync = std::chrono::minutes(5);

bool CountsKind(const ResourceQuota& quota, const api::KindInfo& kind) {
  return std::any_of(quota.spec().hard().begin(), quota.spec().hard().end(),
                     [&](const auto& bound) { return api::QuotaCountsKind(kind, bound.first); });
}

bool SameAmounts(const api::QuantityMap& list, const api::QuotaAmounts& amounts) {
  return list.size() == amounts.size() && api::ToQuotaAmounts(list) == amounts;
}

void Set(const api::QuotaAmounts& amounts, api::QuantityMap* list) {
  list->clear();
  for (const auto& [name, amount] : amounts)
    (*list)[name].set_string(amount.ToString());
}

class ResourceQuotaController : public client::Reconciler {
 public:
  std::string_view name() const override { return "resourcequota"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    quotas_ = &informers.For<ResourceQuota>();
    kinds_.emplace(informers);
    quotas_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (after) enqueue({after->ns(), after->name()});
    });
    for (const Collectables::Entry& entry : kinds_->all()) {
      if (!entry.kind->namespaced) continue;
      const api::KindInfo* kind = entry.kind;
      entry.informer->AddHandler(
          [this, enqueue, kind](const api::ObjectPtr& before, const api::ObjectPtr& after) {
            Changed(*kind, before, after, enqueue);
          });
    }
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    api::Ref<ResourceQuota> quota = client::GetFrom<ResourceQuota>(*quotas_, key.ns, key.name);
    if (!quota || api::IsBeingDeleted(quota->metadata())) return plan;
    plan.requeue_after = kResync;
    // What was charged last must be seen by those who count, or it would be given away twice.
    for (const Collectables::Entry& entry : kinds_->all()) {
      if (entry.kind->namespaced && CountsKind(*quota, *entry.kind) &&
          entry.informer->revision() < quota.revision()) {
        plan.look_again_at.push_back({entry.informer, quota.revision()});
      }
    }
    if (!plan.look_again_at.empty()) return plan;
    const api::QuotaAmounts hard = api::ToQuotaAmounts(quota->spec().hard());
    const api::QuotaAmounts used = Count(*quota, hard);
    if (SameAmounts(quota->status().hard(), hard) && SameAmounts(quota->status().used(), used))
      return plan;
    ResourceQuota changed = *quota;
    Set(hard, changed.mutable_status()->mutable_hard());
    Set(used, changed.mutable_status()->mutable_used());
    plan.UpdateStatus(std::move(changed));
    return plan;
  }

 private:
  void Changed(const api::KindInfo& kind, const api::ObjectPtr& before, const api::ObjectPtr& after,
               const Enqueue& enqueue) const {
    const std::vector<api::ObjectPtr> quotas = quotas_->List(after ? after->ns() : before->ns());
    if (quotas.empty()) return;
    if (before && after &&
        api::QuotaUsage(kind, before->message()) == api::QuotaUsage(kind, after->message())) {
      return;
    }
    for (const api::ObjectPtr& quota : quotas) {
      if (CountsKind(quota->As<ResourceQuota>(), kind)) enqueue({quota->ns(), quota->name()});
    }
  }

  api::QuotaAmounts Count(const ResourceQuota& quota, const api::QuotaAmounts& hard) const {
    api::QuotaAmounts used;
    for (const auto& [name, bound] : hard)
      used[name] = api::Quantity();
    for (const Collectables::Entry& entry : kinds_->all()) {
      if (!entry.kind->namespaced || !CountsKind(quota, *entry.kind)) continue;
      for (const api::ObjectPtr& object : entry.informer->List(quota.metadata().namespace_())) {
        if (!api::InQuotaScopes(quota.spec(), *entry.kind, object->message())) continue;
        for (const auto& [name, amount] : api::QuotaUsage(*entry.kind, object->message())) {
          auto counted = used.find(name);
          if (counted != used.end()) counted->second += amount;
        }
      }
    }
    return used;
  }

  client::Informer* quotas_ = nullptr;
  std::optional<Collectables> kinds_;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeResourceQuotaController() {
  return std::make_unique<ResourceQuotaController>();
}

}  // namespace gantry::controllers
