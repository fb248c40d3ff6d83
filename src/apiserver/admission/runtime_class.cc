#include "api/core/v1/pod.pb.h"
#include "api/node/v1/runtime_class.pb.h"
#include "api/quota.h"
#include "apiserver/admission/plugins.h"
#include "apiserver/registry/messages.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Pod;
using api::core::v1::PodSpec;
using api::node::v1::RuntimeClass;

class Plugin : public AdmissionPlugin {
 public:
  explicit Plugin(Registry& registry) : registry_(registry) {}
  std::string_view name() const override { return "RuntimeClass"; }

  Status Mutate(AdmissionRequest& request) override {
    if (!request.Is("", "pods") || !request.subresource.empty() ||
        request.operation != Operation::kCreate) {
      return {};
    }
    PodSpec* spec = static_cast<Pod*>(request.object)->mutable_spec();
    if (spec->runtime_class_name().empty()) {
      if (spec->overhead().empty()) return {};
      return request.Forbid(
          "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
    }
    api::Ref<RuntimeClass> chosen = registry_.Peek<RuntimeClass>("", spec->runtime_class_name());
    if (!chosen) {
      return request.Forbid("pod rejected: RuntimeClass \"" + spec->runtime_class_name() +
                            "\" not found");
    }
    const auto& overhead = chosen->overhead().pod_fixed();
    if (!spec->overhead().empty() &&
        api::ToQuotaAmounts(spec->overhead()) != api::ToQuotaAmounts(overhead)) {
      return request.Forbid(
          chosen->has_overhead()
              ? "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
              : "pod rejected: Pod Overhead set without corresponding RuntimeClass defined "
                "Overhead");
    }
    if (chosen->has_overhead()) *spec->mutable_overhead() = overhead;
    return Place(request, *chosen, spec);
  }

 private:
  static Status Place(const AdmissionRequest& request, const RuntimeClass& chosen, PodSpec* spec) {
    for (const auto& [key, value] : chosen.scheduling().node_selector()) {
      auto has = spec->node_selector().find(key);
      if (has != spec->node_selector().end() && has->second != value) {
        return request.Forbid("conflict: runtimeClass.scheduling.nodeSelector[" + key +
                              "] = " + value + "; pod.spec.nodeSelector[" + key +
                              "] = " + has->second + "; admission denied");
      }
    }
    for (const auto& [key, value] : chosen.scheduling().node_selector())
      (*spec->mutable_node_selector())[key] = value;
    for (const auto& wanted : chosen.scheduling().tolerations()) {
      bool has = false;
      for (const auto& toleration : spec->tolerations())
        has |= SameMessage(toleration, wanted);
      if (!has) *spec->add_tolerations() = wanted;
    }
    return {};
  }

  Registry& registry_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> RuntimeClassAdmission(Registry& registry) {
  return std::make_unique<Plugin>(registry);
}

}  // namespace gantry::apiserver
