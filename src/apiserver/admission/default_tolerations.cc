#include "api/core/v1/pod.pb.h"
#include "apiserver/admission/plugins.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Pod;
using api::core::v1::Toleration;

constexpr std::string_view kTaints[] = {"node.kubernetes.io/not-ready",
                                        "node.kubernetes.io/unreachable"};

bool Tolerates(const Pod& pod, std::string_view key) {
  for (const Toleration& toleration : pod.spec().tolerations()) {
    if ((toleration.key() == key || toleration.key().empty()) &&
        (toleration.effect() == "NoExecute" || toleration.effect().empty())) {
      return true;
    }
  }
  return false;
}

class Plugin : public AdmissionPlugin {
 public:
  explicit Plugin(int64_t seconds) : seconds_(seconds) {}
  std::string_view name() const override { return "DefaultTolerationSeconds"; }

  Status Mutate(AdmissionRequest& request) override {
    if (!request.Is("", "pods") || !request.subresource.empty() || request.object == nullptr)
      return {};
    Pod* pod = static_cast<Pod*>(request.object);
    for (std::string_view key : kTaints) {
      if (Tolerates(*pod, key)) continue;
      Toleration* added = pod->mutable_spec()->add_tolerations();
      added->set_key(std::string(key));
      added->set_operator_("Exists");
      added->set_effect("NoExecute");
      added->set_toleration_seconds(seconds_);
    }
    return {};
  }

 private:
  const int64_t seconds_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> DefaultTolerationSeconds(int64_t seconds) {
  return std::make_unique<Plugin>(seconds);
}

}  // namespace gantry::apiserver
