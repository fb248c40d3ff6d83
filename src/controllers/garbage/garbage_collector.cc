#include "controllers/garbage/garbage_collector.h"

#include <algorithm>
#include <optional>

#include "api/json_value.h"
#include "api/owners.h"
#include "api/same.h"
#include "controllers/ownership/collectable.h"
#include "controllers/ownership/ownership.h"

namespace gantry::controllers {
namespace {

using api::meta::v1::ObjectMeta;
using api::meta::v1::OwnerReference;
using client::Plan;

constexpr char kOrphan[] = "orphan";
constexpr char kForeground[] = "foregroundDeletion";

bool HasFinalizer(const ObjectMeta& meta, std::string_view finalizer) {
  return std::find(meta.finalizers().begin(), meta.finalizers().end(), finalizer) !=
         meta.finalizers().end();
}

client::Action RemoveFinalizer(const api::Object& object, std::string_view finalizer) {
  api::JsonValue left = api::JsonValue::MakeArray();
  for (const std::string& has : object.meta().finalizers()) {
    if (has != finalizer) left.as_array().emplace_back(has);
  }
  api::JsonValue metadata = api::JsonValue::MakeObject();
  metadata["finalizers"] = std::move(left);
  return PatchMetadata(object, std::move(metadata));
}

template <class Keep>
client::Action KeepOwners(const api::Object& object, Keep keep) {
  std::vector<OwnerReference> owners;
  for (const OwnerReference& owner : object.meta().owner_references()) {
    if (keep(owner)) owners.push_back(owner);
  }
  return PatchOwners(object, owners);
}

client::Action DeleteObject(const api::Object& object, std::string policy) {
  client::Action action;
  action.verb = client::Action::Verb::kDelete;
  action.kind = &object.kind();
  action.ns = object.ns();
  action.name = object.name();
  action.delete_options.uid = object.uid();
  // Its owners may have changed since we looked.
  action.delete_options.resource_version = object.revision();
  action.delete_options.propagation_policy = std::move(policy);
  return action;
}

class GarbageCollector : public client::Reconciler {
 public:
  std::string_view name() const override { return "garbagecollector"; }
  std::string event_source() const override { return "garbage-collector-controller"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    kinds_.emplace(informers);
    for (const Collectables::Entry& entry : kinds_->all()) {
      if (entry.kind->plural == "events") continue;
      entry.informer->AddHandler(
          [this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
            OnChange(before, after, enqueue);
          });
    }
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    const auto [resource, name] = SplitKey(key);
    const Collectables::Entry* entry = kinds_->Find(resource);
    api::ObjectPtr object = entry ? entry->informer->Get(key.ns, name) : nullptr;
    if (!object) return plan;
    if (api::IsBeingDeleted(object->meta())) {
      FinishDeletion(*object, &plan);
    } else if (object->meta().owner_references_size() > 0) {
      Collect(*object, &plan);
    }
    return plan;
  }

 private:
  enum class OwnerState { kPresent, kWaiting, kAbsent, kUnknown };

  void OnChange(const api::ObjectPtr& before, const api::ObjectPtr& after,
                const Enqueue& enqueue) const {
    if (!after) {
      for (const api::ObjectPtr& dependent : kinds_->Dependents(before->uid()))
        enqueue(KeyOf(*dependent));
      EnqueueOwners(*before, enqueue);
      return;
    }
    const ObjectMeta& meta = after->meta();
    const bool finalizing = api::IsBeingDeleted(meta) &&
                            (HasFinalizer(meta, kOrphan) || HasFinalizer(meta, kForeground));
    const bool owners_changed = !before || OwnersDiffer(before->meta(), meta);
    if (finalizing || (owners_changed && meta.owner_references_size() > 0)) enqueue(KeyOf(*after));
    if (finalizing && HasFinalizer(meta, kForeground)) {
      for (const api::ObjectPtr& dependent : kinds_->Dependents(after->uid()))
        enqueue(KeyOf(*dependent));
    }
    if (before && owners_changed) EnqueueOwners(*before, enqueue);
  }

  static bool OwnersDiffer(const ObjectMeta& a, const ObjectMeta& b) {
    if (a.owner_references_size() != b.owner_references_size()) return true;
    return !api::SameList(a.owner_references(), b.owner_references());
  }

  void EnqueueOwners(const api::Object& object, const Enqueue& enqueue) const {
    for (const OwnerReference& owner : object.meta().owner_references()) {
      if (api::ObjectPtr found = FindOwner(object, owner);
          found && api::IsBeingDeleted(found->meta())) {
        enqueue(KeyOf(*found));
      }
    }
  }

  api::ObjectPtr FindOwner(const api::Object& object, const OwnerReference& owner) const {
    const Collectables::Entry* entry = kinds_->FindKind(owner.api_version(), owner.kind());
    if (entry == nullptr) return nullptr;
    api::ObjectPtr found =
        entry->informer->Get(entry->kind->namespaced ? object.ns() : "", owner.name());
    return found && found->uid() == owner.uid() ? found : nullptr;
  }

  // An owner counts as absent only once its kind's view is at least as new as the dependent: the
  // owner was there before it.
  OwnerState StateOf(const api::Object& object, const OwnerReference& owner) const {
    const Collectables::Entry* entry = kinds_->FindKind(owner.api_version(), owner.kind());
    if (entry == nullptr) return OwnerState::kPresent;  // of a kind that is not ours to judge
    // A mistake of the user's that must not cost the object.
    if (entry->kind->namespaced && !object.kind().namespaced) return OwnerState::kPresent;
    if (api::ObjectPtr found = FindOwner(object, owner)) {
      const bool waiting =
          api::IsBeingDeleted(found->meta()) && HasFinalizer(found->meta(), kForeground);
      return waiting ? OwnerState::kWaiting : OwnerState::kPresent;
    }
    return entry->informer->revision() >= object.revision() ? OwnerState::kAbsent
                                                            : OwnerState::kUnknown;
  }

  void Collect(const api::Object& object, Plan* plan) const {
    ReportStrayOwners(object, plan);
    int present = 0, waiting = 0, absent = 0;
    for (const OwnerReference& owner : object.meta().owner_references()) {
      switch (StateOf(object, owner)) {
        case OwnerState::kPresent:
          ++present;
          break;
        case OwnerState::kWaiting:
          ++waiting;
          break;
        case OwnerState::kAbsent:
          ++absent;
          break;
        case OwnerState::kUnknown:
          plan->look_again_at = {
              {kinds_->FindKind(owner.api_version(), owner.kind())->informer, object.revision()}};
          return;
      }
    }
    if (waiting == 0 && absent == 0) return;
    if (present > 0) {
      plan->actions.push_back(KeepOwners(object, [&](const OwnerReference& owner) {
        return StateOf(object, owner) == OwnerState::kPresent;
      }));
    } else if (waiting > 0 && !kinds_->Dependents(object.uid()).empty()) {
      // Owners that wait for each other in a ring: this one holds up nobody any more.
      const bool ring = HoldsUpOwners(object) && HasWaitingDependent(object);
      plan->actions.push_back(ring ? Unblock(object) : DeleteObject(object, "Foreground"));
    } else {
      const char* policy = HasFinalizer(object.meta(), kOrphan)       ? "Orphan"
                           : HasFinalizer(object.meta(), kForeground) ? "Foreground"
                                                                      : "Background";
      plan->actions.push_back(DeleteObject(object, policy));
    }
  }

  static bool HoldsUpOwners(const api::Object& object) {
    const auto& owners = object.meta().owner_references();
    return std::any_of(owners.begin(), owners.end(),
                       [](const OwnerReference& owner) { return owner.block_owner_deletion(); });
  }

  bool HasWaitingDependent(const api::Object& object) const {
    const std::vector<api::ObjectPtr> dependents = kinds_->Dependents(object.uid());
    return std::any_of(dependents.begin(), dependents.end(), [](const api::ObjectPtr& dependent) {
      return api::IsBeingDeleted(dependent->meta()) && HasFinalizer(dependent->meta(), kForeground);
    });
  }

  static client::Action Unblock(const api::Object& object) {
    std::vector<OwnerReference> owners(object.meta().owner_references().begin(),
                                       object.meta().owner_references().end());
    for (OwnerReference& owner : owners)
      owner.set_block_owner_deletion(false);
    return PatchOwners(object, owners);
  }

  // Owners are looked for in the object's own namespace only; who names one of another learns it.
  void ReportStrayOwners(const api::Object& object, Plan* plan) const {
    for (const OwnerReference& owner : object.meta().owner_references()) {
      const Collectables::Entry* entry = kinds_->FindKind(owner.api_version(), owner.kind());
      if (entry == nullptr || !entry->kind->namespaced || FindOwner(object, owner)) continue;
      bool stray = !object.kind().namespaced;
      for (const api::ObjectPtr& candidate :
           stray ? std::vector<api::ObjectPtr>() : entry->informer->List()) {
        stray = stray || candidate->uid() == owner.uid();
      }
      if (!stray) continue;
      api::ObjectPtr about =
          kinds_->Find(object.kind().GroupResource())->informer->Get(object.ns(), object.name());
      plan->events.push_back({std::move(about), "Warning", "OwnerRefInvalidNamespace",
                              "ownerRef [" + owner.api_version() + "/" + owner.kind() +
                                  ", namespace: " + object.ns() + ", name: " + owner.name() +
                                  ", uid: " + owner.uid() + "] does not exist in namespace \"" +
                                  object.ns() + "\""});
    }
  }

  // Dependents that were made before the deletion began are all in the views from here on.
  bool MaySeeDependents(const api::Object& object, Plan* plan) const {
    for (const Collectables::Entry& entry : kinds_->all()) {
      if (entry.informer->revision() < object.revision())
        plan->look_again_at.push_back({entry.informer, object.revision()});
    }
    return plan->look_again_at.empty();
  }

  void FinishDeletion(const api::Object& object, Plan* plan) const {
    if (HasFinalizer(object.meta(), kOrphan)) {
      for (const api::ObjectPtr& dependent : kinds_->Dependents(object.uid())) {
        plan->actions.push_back(KeepOwners(
            *dependent, [&](const OwnerReference& owner) { return owner.uid() != object.uid(); }));
      }
      // Dependents first: the owner goes once none refers to it.
      if (plan->actions.empty() && MaySeeDependents(object, plan))
        plan->actions.push_back(RemoveFinalizer(object, kOrphan));
    } else if (HasFinalizer(object.meta(), kForeground)) {
      for (const api::ObjectPtr& dependent : kinds_->Dependents(object.uid())) {
        for (const OwnerReference& owner : dependent->meta().owner_references()) {
          if (owner.uid() == object.uid() && owner.block_owner_deletion()) return;
        }
      }
      if (MaySeeDependents(object, plan))
        plan->actions.push_back(RemoveFinalizer(object, kForeground));
    }
  }

  std::optional<Collectables> kinds_;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeGarbageCollector() {
  return std::make_unique<GarbageCollector>();
}

}  // namespace gantry::controllers
