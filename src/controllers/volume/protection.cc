#include "controllers/volume/protection.h"

#include <algorithm>
#include <string>

#include "api/core/v1/persistent_volume.pb.h"
#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/owners.h"

namespace gantry::controllers {
namespace {

using api::core::v1::PersistentVolume;
using api::core::v1::PersistentVolumeClaim;
using api::core::v1::Pod;
using api::core::v1::Volume;
using api::meta::v1::ObjectMeta;
using client::Plan;

constexpr char kClaimFinalizer[] = "kubernetes.io/pvc-protection";
constexpr char kVolumeFinalizer[] = "kubernetes.io/pv-protection";
constexpr char kByClaim[] = "claim";

bool Has(const ObjectMeta& meta, std::string_view finalizer) {
  return std::find(meta.finalizers().begin(), meta.finalizers().end(), finalizer) !=
         meta.finalizers().end();
}

void Remove(std::string_view finalizer, ObjectMeta* meta) {
  auto* all = meta->mutable_finalizers();
  all->erase(std::remove(all->begin(), all->end(), finalizer), all->end());
}

// Whether there is anything to do about the object; `used` is asked only where it is to go.
template <class T, class Used>
void Protect(const T& object, const char* finalizer, const Used& used, Plan* plan) {
  const bool held = Has(object.metadata(), finalizer);
  if (held != api::IsBeingDeleted(object.metadata())) return;
  if (held && used()) return;
  T changed = object;
  if (held) {
    Remove(finalizer, changed.mutable_metadata());
  } else {
    changed.mutable_metadata()->add_finalizers(finalizer);
  }
  plan->Update(std::move(changed));
}

// The claim of a volume of the pod; "" when it has none.
std::string ClaimOf(const Pod& pod, const Volume& volume) {
  if (volume.volume_source().has_persistent_volume_claim())
    return volume.volume_source().persistent_volume_claim().claim_name();
  if (volume.volume_source().has_ephemeral()) return pod.metadata().name() + "-" + volume.name();
  return {};
}

// Deleted without grace: the node is done with it, and what is left of it may itself be waiting for
// the claim to go.
bool IsShutDown(const Pod& pod) {
  return api::IsBeingDeleted(pod.metadata()) &&
         pod.metadata().has_deletion_grace_period_seconds() &&
         pod.metadata().deletion_grace_period_seconds() == 0;
}

// A pod without a node does not count: no node starts a pod whose claim is going.
bool Uses(const Pod& pod, const PersistentVolumeClaim& claim) {
  if (pod.spec().node_name().empty()) return false;
  return std::any_of(
      pod.spec().volumes().begin(), pod.spec().volumes().end(), [&](const Volume& volume) {
        if (ClaimOf(pod, volume) != claim.metadata().name()) return false;
        if (!volume.volume_source().has_ephemeral()) return true;
        return !IsShutDown(pod) && api::IsControlledBy(claim.metadata(), pod.metadata().uid());
      });
}

class ClaimProtection : public client::Reconciler {
 public:
  std::string_view name() const override { return "pvc-protection-controller"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    claims_ = &informers.For<PersistentVolumeClaim>();
    pods_ = &informers.For<Pod>();
    pods_->AddIndex(kByClaim, [](const api::Object& object) {
      const auto& pod = object.As<Pod>();
      std::vector<std::string> claims;
      for (const Volume& volume : pod.spec().volumes()) {
        if (std::string claim = ClaimOf(pod, volume); !claim.empty())
          claims.push_back(object.ns() + "/" + claim);
      }
      return claims;
    });
    claims_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (after && Has(after->meta(), kClaimFinalizer) == api::IsBeingDeleted(after->meta()))
        enqueue({after->ns(), after->name()});
    });
    // A pod gives its claims up when it goes, or when another one comes under its name.
    pods_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (!before) return;
      if (after && after->uid() == before->uid() && !IsShutDown(after->As<Pod>())) return;
      const auto& pod = before->As<Pod>();
      for (const Volume& volume : pod.spec().volumes()) {
        if (std::string claim = ClaimOf(pod, volume); !claim.empty())
          enqueue({before->ns(), std::move(claim)});
      }
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    api::Ref<PersistentVolumeClaim> claim =
        client::GetFrom<PersistentVolumeClaim>(*claims_, key.ns, key.name);
    if (!claim) return plan;
    // Pods that were bound before the claim was deleted must be in view.
    if (api::IsBeingDeleted(claim->metadata()) && pods_->revision() < claim.object()->revision()) {
      plan.look_again_at.push_back({pods_, claim.object()->revision()});
      return plan;
    }
    Protect(*claim, kClaimFinalizer, [&] { return InUse(*claim); }, &plan);
    return plan;
  }

 private:
  bool InUse(const PersistentVolumeClaim& claim) const {
    const auto pods = client::Typed<Pod>(
        pods_->ByIndex(kByClaim, claim.metadata().namespace_() + "/" + claim.metadata().name()));
    return std::any_of(pods.begin(), pods.end(),
                       [&](const api::Ref<Pod>& pod) { return Uses(*pod, claim); });
  }

  client::Informer* claims_ = nullptr;
  client::Informer* pods_ = nullptr;
};

class VolumeProtection : public client::Reconciler {
 public:
  std::string_view name() const override { return "pv-protection-controller"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    volumes_ = &informers.For<PersistentVolume>();
    volumes_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (after && Has(after->meta(), kVolumeFinalizer) == api::IsBeingDeleted(after->meta()))
        enqueue({"", after->name()});
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    if (api::Ref<PersistentVolume> volume =
            client::GetFrom<PersistentVolume>(*volumes_, "", key.name)) {
      Protect(
          *volume, kVolumeFinalizer, [&] { return volume->status().phase() == "Bound"; }, &plan);
    }
    return plan;
  }

 private:
  client::Informer* volumes_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeClaimProtection() {
  return std::make_unique<ClaimProtection>();
}
std::unique_ptr<client::Reconciler> MakeVolumeProtection() {
  return std::make_unique<VolumeProtection>();
}

}  // namespace gantry::controllers
