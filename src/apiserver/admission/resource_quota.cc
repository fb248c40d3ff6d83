#include <string_view>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/core/v1/resource_quota.pb.h"
#include "api/quota.h"
#include "apiserver/admission/plugins.h"
#include "apiserver/registry/messages.h"

namespace gantry::apiserver {
namespace {

using api::Quantity;
using api::QuotaAmounts;
using api::core::v1::Pod;
using api::core::v1::ResourceQuota;

// "cpu=500m,pods=1"
std::string Text(const QuotaAmounts& amounts) {
  std::string text;
  for (const auto& [name, amount] : amounts)
    text += (text.empty() ? "" : ",") + name + "=" + amount.ToString();
  return text;
}

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names)
    text += (text.empty() ? "" : ",") + name;
  return text;
}

// Which writes of a kind use something: pods and most other objects when they are made, claims,
// services and resized pods also when they change.
bool IsCounted(const AdmissionRequest& request) {
  if (request.object == nullptr || !request.row.kind->namespaced) return false;
  if (request.operation == Operation::kCreate) return request.subresource.empty();
  if (request.operation != Operation::kUpdate) return false;
  if (request.subresource == "resize") return request.Is("", "pods");
  return request.subresource.empty() &&
         (request.Is("", "services") || request.Is("", "persistentvolumeclaims"));
}

// What the write adds to what is used.
QuotaAmounts Added(const api::KindInfo& kind, const AdmissionRequest& request) {
  QuotaAmounts added = api::QuotaUsage(kind, *request.object);
  if (request.old != nullptr) {
    for (const auto& [name, amount] : api::QuotaUsage(kind, *request.old))
      added[name] -= amount;
  }
  std::erase_if(added, [](const auto& entry) { return entry.second.Sign() <= 0; });
  return added;
}

class Plugin : public AdmissionPlugin {
 public:
  explicit Plugin(Registry& registry) : registry_(registry) {}
  std::string_view name() const override { return "ResourceQuota"; }

  bool Charges(const AdmissionRequest& request) const override {
    return IsCounted(request) && !QuotasOf(request.ns).empty();
  }

  Status Charge(const AdmissionRequest& request, std::vector<store::Write>* writes) override {
    if (!IsCounted(request)) return {};
    const std::vector<api::ObjectPtr> quotas = QuotasOf(request.ns);
    if (quotas.empty()) return {};
    const api::KindInfo& kind = *request.row.kind->storage_kind;
    std::vector<const api::Object*> interested;
    for (const api::ObjectPtr& object : quotas) {
      std::vector<std::string> names;
      GANTRY_TRY(CheckKnown(request, kind, object->As<ResourceQuota>(), &names));
      if (!names.empty()) interested.push_back(object.get());
    }
    const QuotaAmounts added = Added(kind, request);
    for (const api::Object* object : interested)
      GANTRY_TRY(ChargeOne(request, *object, added, writes));
    return {};
  }

 private:
  std::vector<api::ObjectPtr> QuotasOf(std::string_view ns) const {
    store::Selection selection;
    selection.ns = std::string(ns);
    return registry_.CacheOf(api::KindOf<ResourceQuota>()).List(selection).objects;
  }

  // The names of the quota under which the object counts; none where it is out of scope.
  static Status CheckKnown(const AdmissionRequest& request, const api::KindInfo& kind,
                           const ResourceQuota& quota, std::vector<std::string>* names) {
    if (!api::InQuotaScopes(quota.spec(), kind, *request.object)) return {};
    // A quota that was just made bounds what its spec says, though nothing is counted yet.
    const bool fresh = quota.status().hard().empty();
    for (const auto& [name, bound] :
         api::ToQuotaAmounts(fresh ? quota.spec().hard() : quota.status().hard())) {
      if (api::QuotaCountsKind(kind, name)) names->push_back(name);
    }
    if (names->empty()) return {};
    if (request.Is("", "pods")) {
      std::string missing =
          api::MissingForQuota(static_cast<const Pod*>(request.object)->spec(), *names);
      if (!missing.empty()) {
        return request.Forbid("failed quota: " + quota.metadata().name() + ": must specify " +
                              missing);
      }
    }
    for (const std::string& name : *names) {
      if (quota.status().used().contains(name)) continue;
      return request.Forbid("status unknown for quota: " + quota.metadata().name() +
                            ", resources: " + Joined(*names));
    }
    return {};
  }

  static Status ChargeOne(const AdmissionRequest& request, const api::Object& object,
                          const QuotaAmounts& added, std::vector<store::Write>* writes) {
    const auto& quota = object.As<ResourceQuota>();
    const QuotaAmounts hard = api::ToQuotaAmounts(quota.status().hard());
    QuotaAmounts used = api::ToQuotaAmounts(quota.status().used());
    QuotaAmounts requested, had, limited;
    bool changed = false;
    for (const auto& [name, amount] : added) {
      auto bound = hard.find(name);
      if (bound == hard.end()) continue;
      const Quantity before = used[name];
      used[name] += amount;
      changed = true;
      if (used[name] <= bound->second) continue;
      requested[name] = amount;
      had[name] = before;
      limited[name] = bound->second;
    }
    if (!requested.empty()) {
      return request.Forbid("exceeded quota: " + quota.metadata().name() +
                            ", requested: " + Text(requested) + ", used: " + Text(had) +
                            ", limited: " + Text(limited));
    }
    if (!changed) return {};
    auto charged = std::make_unique<ResourceQuota>(quota);
    charged->mutable_metadata()->clear_resource_version();
    auto* list = charged->mutable_status()->mutable_used();
    list->clear();
    for (const auto& [name, amount] : used)
      (*list)[name].set_string(amount.ToString());
    const api::KindInfo& kind = api::KindOf<ResourceQuota>();
    store::Write write;
    write.key = api::StorageKey(kind, object.ns(), object.name());
    write.expected_revision = object.revision();
    std::shared_ptr<api::Object> made = api::Object::FromMessage(kind, std::move(charged));
    write.value = made->stored();
    write.object = std::move(made);
    writes->push_back(std::move(write));
    return {};
  }

  Registry& registry_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> ResourceQuotaAdmission(Registry& registry) {
  return std::make_unique<Plugin>(registry);
}

}  // namespace gantry::apiserver
