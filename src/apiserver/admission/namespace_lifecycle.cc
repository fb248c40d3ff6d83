#include <algorithm>

#include "api/core/v1/namespace.pb.h"
#include "apiserver/admission/plugins.h"
#include "apiserver/registry/messages.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Namespace;

constexpr std::string_view kImmortal[] = {"default", "kube-public", "kube-system"};

class Plugin : public AdmissionPlugin {
 public:
  explicit Plugin(Registry& registry) : registry_(registry) {}
  std::string_view name() const override { return "NamespaceLifecycle"; }

  Status Mutate(AdmissionRequest& request) override {
    return request.operation == Operation::kCreate ? CheckNamespace(request) : Status();
  }

  Status Validate(const AdmissionRequest& request) override {
    if (request.operation != Operation::kDelete || !request.Is("", "namespaces")) return {};
    if (std::find(std::begin(kImmortal), std::end(kImmortal), request.name) == std::end(kImmortal))
      return {};
    return ForbiddenObject(*request.row.kind, request.name, "this namespace may not be deleted");
  }

 private:
  Status CheckNamespace(const AdmissionRequest& request) {
    if (!request.row.kind->namespaced || request.row.kind->storage_prefix.empty()) return {};
    const std::string ns(request.ns);
    api::Ref<Namespace> live = registry_.Peek<Namespace>("", ns);
    if (!live) return NotFound(api::KindOf<Namespace>(), ns);
    if (live->status().phase() != "Terminating" || !request.subresource.empty()) return {};
    Status refused = request.Forbid("unable to create new content in namespace " + ns +
                                    " because it is being terminated");
    StatusDetails details = refused.details();
    details.causes.push_back(
        {"NamespaceTerminating", "namespace " + ns + " is being terminated", "metadata.namespace"});
    return refused.WithDetails(std::move(details));
  }

  Registry& registry_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NamespaceLifecycle(Registry& registry) {
  return std::make_unique<Plugin>(registry);
}

}  // namespace gantry::apiserver
