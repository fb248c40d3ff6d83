#include <algorithm>

#include "apiserver/admission/plugins.h"
#include "apiserver/registry/messages.h"

namespace gantry::apiserver {
namespace {

class Plugin : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "StorageObjectInUseProtection"; }

  Status Mutate(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !request.subresource.empty()) return {};
    const char* finalizer = request.Is("", "persistentvolumes") ? "kubernetes.io/pv-protection"
                            : request.Is("", "persistentvolumeclaims")
                                ? "kubernetes.io/pvc-protection"
                                : nullptr;
    if (finalizer == nullptr) return {};
    auto* finalizers = MutableMetaOf(request.object)->mutable_finalizers();
    if (std::find(finalizers->begin(), finalizers->end(), finalizer) == finalizers->end())
      *finalizers->Add() = finalizer;
    return {};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> StorageProtection() { return std::make_unique<Plugin>(); }

}  // namespace gantry::apiserver
