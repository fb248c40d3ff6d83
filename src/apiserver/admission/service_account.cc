#include <set>

#include "api/core/v1/pod.pb.h"
#include "api/core/v1/service_account.pb.h"
#include "apiserver/admission/plugins.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Container;
using api::core::v1::Pod;
using api::core::v1::ServiceAccount;
using api::core::v1::Volume;

constexpr std::string_view kMountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
constexpr std::string_view kVolumePrefix = "kube-api-access-";
constexpr std::string_view kMirror = "kubernetes.io/config.mirror";
constexpr int64_t kTokenSeconds = 3607;
constexpr int32_t kMode = 0644;

void FillTokenVolume(std::string name, Volume* volume) {
  volume->set_name(std::move(name));
  auto* projected = volume->mutable_volume_source()->mutable_projected();
  projected->set_default_mode(kMode);
  auto* token = projected->add_sources()->mutable_service_account_token();
  token->set_expiration_seconds(kTokenSeconds);
  token->set_path("token");
  auto* certificate = projected->add_sources()->mutable_config_map();
  certificate->mutable_local_object_reference()->set_name("kube-root-ca.crt");
  auto* file = certificate->add_items();
  file->set_key("ca.crt");
  file->set_path("ca.crt");
  auto* field = projected->add_sources()->mutable_downward_api()->add_items();
  field->set_path("namespace");
  field->mutable_field_ref()->set_api_version("v1");
  field->mutable_field_ref()->set_field_path("metadata.namespace");
}

class Plugin : public AdmissionPlugin {
 public:
  explicit Plugin(Registry& registry) : registry_(registry) {}
  std::string_view name() const override { return "ServiceAccount"; }

  Status Mutate(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !request.Is("", "pods") ||
        !request.subresource.empty())
      return {};
    Pod* pod = static_cast<Pod*>(request.object);
    auto* spec = pod->mutable_spec();
    if (pod->metadata().annotations().count(std::string(kMirror)) != 0)
      return CheckMirror(request, *pod);
    if (spec->service_account_name().empty()) {
      spec->set_service_account_name("default");
    }
    spec->set_service_account(spec->service_account_name());
    const std::string ns(request.ns);
    api::Ref<ServiceAccount> account =
        registry_.Peek<ServiceAccount>(ns, spec->service_account_name());
    if (!account) {
      return request.Forbid("error looking up service account " + ns + "/" +
                            spec->service_account_name() + ": serviceaccount \"" +
                            spec->service_account_name() + "\" not found");
    }
    if (spec->image_pull_secrets().empty())
      *spec->mutable_image_pull_secrets() = account->image_pull_secrets();
    bool mounts = true;
    if (account->has_automount_service_account_token())
      mounts = account->automount_service_account_token();
    if (spec->has_automount_service_account_token())
      mounts = spec->automount_service_account_token();
    if (mounts) AddToken(spec);
    return {};
  }

 private:
  Status CheckMirror(const AdmissionRequest& request, const Pod& pod) {
    if (!pod.spec().service_account_name().empty()) {
      return request.Forbid("a mirror pod may not reference service accounts");
    }
    for (const Volume& volume : pod.spec().volumes()) {
      if (volume.volume_source().has_secret())
        return request.Forbid("a mirror pod may not reference secrets");
    }
    return {};
  }

  void AddToken(api::core::v1::PodSpec* spec) {
    std::string name;
    std::set<std::string> names;
    for (const Volume& volume : spec->volumes()) {
      names.insert(volume.name());
      if (volume.name().starts_with(kVolumePrefix)) name = volume.name();
    }
    bool exists = !name.empty();
    while (name.empty()) {
      name = std::string(kVolumePrefix) + RandomNameSuffix(registry_.env());
      if (names.count(name) != 0) name.clear();
    }
    bool used = false;
    auto mount = [&](auto* containers) {
      for (Container& container : *containers) {
        bool taken = false;
        for (const auto& existing : container.volume_mounts())
          taken = taken || existing.mount_path() == kMountPath;
        if (taken) continue;
        auto* added = container.add_volume_mounts();
        added->set_name(name);
        added->set_read_only(true);
        added->set_mount_path(std::string(kMountPath));
        used = true;
      }
    };
    mount(spec->mutable_init_containers());
    mount(spec->mutable_containers());
    if (used && !exists) FillTokenVolume(name, spec->add_volumes());
  }

  Registry& registry_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> ServiceAccountAdmission(Registry& registry) {
  return std::make_unique<Plugin>(registry);
}

}  // namespace gantry::apiserver
