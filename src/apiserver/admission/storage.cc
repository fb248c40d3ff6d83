#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/duration.h"
#include "api/quantity.h"
#include "api/storage/v1/storage_class.pb.h"
#include "apiserver/admission/plugins.h"

namespace gantry::apiserver {
namespace {

using api::Quantity;
using api::core::v1::PersistentVolumeClaim;
using api::storage::v1::StorageClass;

constexpr const char* kDefaultMarks[] = {"storageclass.kubernetes.io/is-default-class",
                                         "storageclass.beta.kubernetes.io/is-default-class"};
constexpr char kOldClass[] = "volume.beta.kubernetes.io/storage-class";

bool IsDefault(const StorageClass& storage_class) {
  const auto& annotations = storage_class.metadata().annotations();
  for (const char* mark : kDefaultMarks) {
    auto found = annotations.find(mark);
    if (found != annotations.end() && found->second == "true") return true;
  }
  return false;
}

std::string ClassOf(const PersistentVolumeClaim& claim) {
  auto found = claim.metadata().annotations().find(kOldClass);
  return found != claim.metadata().annotations().end() ? found->second
                                                       : claim.spec().storage_class_name();
}

Quantity SizeOf(const PersistentVolumeClaim& claim) {
  const auto& requests = claim.spec().resources().requests();
  auto found = requests.find("storage");
  return found == requests.end() ? Quantity() : Quantity::ParseOrZero(found->second.string());
}

class Plugin : public AdmissionPlugin {
 public:
  explicit Plugin(Registry& registry) : registry_(registry) {}
  std::string_view name() const override { return "DefaultStorageClass"; }

  Status Mutate(AdmissionRequest& request) override {
    if (!request.Is("", "persistentvolumeclaims") || request.operation != Operation::kCreate)
      return {};
    auto* claim = static_cast<PersistentVolumeClaim*>(request.object);
    if (claim->spec().has_storage_class_name() ||
        claim->metadata().annotations().contains(kOldClass)) {
      return {};
    }
    if (api::Ref<StorageClass> chosen = Default())
      claim->mutable_spec()->set_storage_class_name(chosen->metadata().name());
    return {};
  }

  Status Validate(const AdmissionRequest& request) override {
    if (!request.Is("", "persistentvolumeclaims") || request.operation != Operation::kUpdate ||
        !request.subresource.empty()) {
      return {};
    }
    const auto& claim = static_cast<const PersistentVolumeClaim&>(*request.object);
    const auto& old = static_cast<const PersistentVolumeClaim&>(*request.old);
    if (SizeOf(claim) <= SizeOf(old)) return {};
    if (old.status().phase() != "Bound")
      return request.Forbid("Only bound persistent volume claims can be expanded");
    api::Ref<StorageClass> of = registry_.Peek<StorageClass>("", ClassOf(claim));
    if (ClassOf(claim) != ClassOf(old) || !of || !of->allow_volume_expansion()) {
      return request.Forbid(
          "only dynamically provisioned pvc can be resized and the storageclass that provisions "
          "the pvc must support resize");
    }
    return {};
  }

 private:
  // Of several the newest; of several as new as that the first by name.
  api::Ref<StorageClass> Default() const {
    api::Ref<StorageClass> newest;
    for (const api::ObjectPtr& object :
         registry_.CacheOf(api::KindOf<StorageClass>()).List({}).objects) {
      api::Ref<StorageClass> candidate(object);
      if (!IsDefault(*candidate)) continue;
      if (!newest || api::ToWallTime(candidate->metadata().creation_timestamp()) >
                         api::ToWallTime(newest->metadata().creation_timestamp())) {
        newest = candidate;
      }
    }
    return newest;
  }

  Registry& registry_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> StorageAdmission(Registry& registry) {
  return std::make_unique<Plugin>(registry);
}

}  // namespace gantry::apiserver
