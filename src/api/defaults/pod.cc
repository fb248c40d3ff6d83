#include <algorithm>

#include "api/defaults/rules.h"
#include "api/quantity.h"

namespace gantry::api::defaults {
namespace {

using core::v1::Container;
using core::v1::EphemeralContainerCommon;
using core::v1::Lifecycle;
using core::v1::LifecycleHandler;
using core::v1::Pod;
using core::v1::PodSpec;
using core::v1::Probe;
using core::v1::ResourceRequirements;
using core::v1::Volume;
using core::v1::VolumeProjection;
using core::v1::VolumeSource;

constexpr int32_t kFileMode = 0644;

// The pull policy that the tag asks for; without tag and digest the tag is "latest".
std::string_view PullPolicyOf(std::string_view image) {
  size_t digest = image.find('@');
  std::string_view name = image.substr(0, digest);
  size_t colon = name.rfind(':');
  bool tagged = colon != std::string_view::npos && name.find('/', colon) == std::string_view::npos;
  if (name.empty()) return "IfNotPresent";
  bool latest = tagged ? name.substr(colon + 1) == "latest" : digest == std::string_view::npos;
  return latest ? "Always" : "IfNotPresent";
}

template <class HttpGet>
void DefaultHttpGet(HttpGet* get) {
  if (get->path().empty()) get->set_path("/");
  if (get->scheme().empty()) get->set_scheme("HTTP");
}

void DefaultProbe(Probe* probe) {
  if (probe->timeout_seconds() == 0) probe->set_timeout_seconds(1);
  if (probe->period_seconds() == 0) probe->set_period_seconds(10);
  if (probe->success_threshold() == 0) probe->set_success_threshold(1);
  if (probe->failure_threshold() == 0) probe->set_failure_threshold(3);
  if (probe->handler().has_http_get()) DefaultHttpGet(probe->mutable_handler()->mutable_http_get());
  if (probe->handler().has_grpc() && !probe->handler().grpc().has_service()) {
    probe->mutable_handler()->mutable_grpc()->set_service("");
  }
}

void DefaultHandler(LifecycleHandler* handler) {
  if (handler->has_http_get()) DefaultHttpGet(handler->mutable_http_get());
}

// Containers of all sorts have the same fields.
template <class T>
void DefaultContainer(T* container) {
  if (container->image_pull_policy().empty()) {
    container->set_image_pull_policy(std::string(PullPolicyOf(container->image())));
  }
  if (container->termination_message_path().empty()) {
    container->set_termination_message_path("/dev/termination-log");
  }
  if (container->termination_message_policy().empty())
    container->set_termination_message_policy("File");
  for (auto& port : *container->mutable_ports()) {
    if (port.protocol().empty()) port.set_protocol("TCP");
  }
  for (auto& env : *container->mutable_env()) {
    if (!env.has_value_from()) continue;
    auto* from = env.mutable_value_from();
    if (from->has_field_ref() && from->field_ref().api_version().empty()) {
      from->mutable_field_ref()->set_api_version("v1");
    }
    if (from->has_file_key_ref() && !from->file_key_ref().has_optional()) {
      from->mutable_file_key_ref()->set_optional(false);
    }
  }
  if (container->has_resources()) {
    RoundUp(container->mutable_resources()->mutable_limits());
    RoundUp(container->mutable_resources()->mutable_requests());
  }
  if (container->has_liveness_probe()) DefaultProbe(container->mutable_liveness_probe());
  if (container->has_readiness_probe()) DefaultProbe(container->mutable_readiness_probe());
  if (container->has_startup_probe()) DefaultProbe(container->mutable_startup_probe());
  if (container->has_lifecycle()) {
    Lifecycle* lifecycle = container->mutable_lifecycle();
    if (lifecycle->has_post_start()) DefaultHandler(lifecycle->mutable_post_start());
    if (lifecycle->has_pre_stop()) DefaultHandler(lifecycle->mutable_pre_stop());
  }
}

template <class Items>
void DefaultDownwardItems(Items* items) {
  for (auto& item : *items) {
    if (item.has_field_ref() && item.field_ref().api_version().empty()) {
      item.mutable_field_ref()->set_api_version("v1");
    }
  }
}

void DefaultProjection(VolumeProjection* projection) {
  if (projection->has_downward_api())
    DefaultDownwardItems(projection->mutable_downward_api()->mutable_items());
  if (projection->has_service_account_token() &&
      !projection->service_account_token().has_expiration_seconds()) {
    projection->mutable_service_account_token()->set_expiration_seconds(3600);
  }
}

template <class Rbd>
void DefaultRbd(Rbd* rbd) {
  if (rbd->pool().empty()) rbd->set_pool("rbd");
  if (rbd->user().empty()) rbd->set_user("admin");
  if (rbd->keyring().empty()) rbd->set_keyring("/etc/ceph/keyring");
}

void DefaultAzureDisk(core::v1::AzureDiskVolumeSource* disk) {
  if (!disk->has_caching_mode()) disk->set_caching_mode("ReadWrite");
  if (!disk->has_kind()) disk->set_kind("Shared");
  if (!disk->has_fs_type()) disk->set_fs_type("ext4");
  if (!disk->has_read_only()) disk->set_read_only(false);
}

template <class ScaleIo>
void DefaultScaleIo(ScaleIo* scale_io) {
  if (scale_io->storage_mode().empty()) scale_io->set_storage_mode("ThinProvisioned");
  if (scale_io->fs_type().empty()) scale_io->set_fs_type("xfs");
}

void DefaultHostPath(core::v1::HostPathVolumeSource* host_path) {
  if (!host_path->has_type()) host_path->set_type("");
}

bool HasSource(const VolumeSource& source) {
  // Every field of the message is a source.
  return source.ByteSizeLong() != 0;
}

void DefaultVolume(Volume* volume) {
  VolumeSource* source = volume->mutable_volume_source();
  if (!HasSource(*source)) source->mutable_empty_dir();
  if (source->has_secret() && !source->secret().has_default_mode()) {
    source->mutable_secret()->set_default_mode(kFileMode);
  }
  if (source->has_config_map() && !source->config_map().has_default_mode()) {
    source->mutable_config_map()->set_default_mode(kFileMode);
  }
  if (source->has_downward_api()) {
    auto* downward = source->mutable_downward_api();
    if (!downward->has_default_mode()) downward->set_default_mode(kFileMode);
    DefaultDownwardItems(downward->mutable_items());
  }
  if (source->has_projected()) {
    auto* projected = source->mutable_projected();
    if (!projected->has_default_mode()) projected->set_default_mode(kFileMode);
    for (VolumeProjection& projection : *projected->mutable_sources())
      DefaultProjection(&projection);
  }
  if (source->has_host_path()) DefaultHostPath(source->mutable_host_path());
  if (source->has_iscsi() && source->iscsi().iscsi_interface().empty()) {
    source->mutable_iscsi()->set_iscsi_interface("default");
  }
  if (source->has_rbd()) DefaultRbd(source->mutable_rbd());
  if (source->has_azure_disk()) DefaultAzureDisk(source->mutable_azure_disk());
  if (source->has_scale_io()) DefaultScaleIo(source->mutable_scale_io());
  if (source->has_ephemeral() && source->ephemeral().has_volume_claim_template()) {
    ClaimSpec(source->mutable_ephemeral()->mutable_volume_claim_template()->mutable_spec());
  }
  if (source->has_image() && source->image().pull_policy().empty()) {
    source->mutable_image()->set_pull_policy(
        std::string(PullPolicyOf(source->image().reference())));
  }
}

void CopyLimitsToRequests(ResourceRequirements* resources) {
  for (const auto& [name, limit] : resources->limits()) {
    if (!resources->requests().contains(name)) (*resources->mutable_requests())[name] = limit;
  }
}

bool IsPodLevelResource(std::string_view name) {
  return name == "cpu" || name == "memory" || name.starts_with("hugepages-");
}

bool IsSidecar(const Container& container) { return container.restart_policy() == "Always"; }

// What the containers together need of one resource: the regular ones and sidecars side by side,
// ordinary init containers one after another. False where none of them says.
bool Aggregate(const PodSpec& spec, const std::string& name, bool limits, Quantity* total) {
  bool found = false;
  auto amount = [&](const Container& container) {
    const ResourceList& list =
        limits ? container.resources().limits() : container.resources().requests();
    auto entry = list.find(name);
    if (entry == list.end()) return Quantity();
    found = true;
    return Quantity::ParseOrZero(entry->second.string());
  };
  Quantity sum;
  for (const Container& container : spec.containers())
    sum += amount(container);
  Quantity sidecars;
  Quantity peak;
  for (const Container& container : spec.init_containers()) {
    Quantity own = amount(container);
    if (IsSidecar(container)) {
      sidecars += own;
      peak = std::max(peak, sidecars);
    } else {
      peak = std::max(peak, sidecars + own);
    }
  }
  *total = std::max(sum + sidecars, peak);
  return found;
}

// Pod-level resources take what is missing from the containers, then requests from limits.
void DefaultPodResources(PodSpec* spec) {
  ResourceRequirements* resources = spec->mutable_resources();
  if (resources->limits().empty() && resources->requests().empty()) return;
  auto add_hugepages = [&](const Container& container) {
    for (const auto& [name, limit] : container.resources().limits()) {
      if (!name.starts_with("hugepages-") || resources->limits().contains(name) ||
          resources->requests().contains(name)) {
        continue;
      }
      Quantity total;
      if (Aggregate(*spec, name, true, &total))
        (*resources->mutable_limits())[name].set_string(total.ToString());
    }
  };
  for (const Container& container : spec->containers())
    add_hugepages(container);
  for (const Container& container : spec->init_containers())
    add_hugepages(container);
  if (resources->limits().empty()) return;
  for (const char* name : {"cpu", "memory"}) {
    Quantity total;
    if (!resources->requests().contains(name) && Aggregate(*spec, name, false, &total)) {
      (*resources->mutable_requests())[name].set_string(total.ToString());
    }
  }
  for (const auto& [name, limit] : resources->limits()) {
    if (IsPodLevelResource(name) && !resources->requests().contains(name)) {
      (*resources->mutable_requests())[name] = limit;
    }
  }
}

void SetHostPorts(Container* container) {
  for (auto& port : *container->mutable_ports()) {
    if (port.host_port() == 0) port.set_host_port(port.container_port());
  }
}

void DefaultPod(Pod* pod) {
  PodSpec* spec = pod->mutable_spec();
  for (Container& container : *spec->mutable_containers()) {
    if (!container.resources().limits().empty())
      CopyLimitsToRequests(container.mutable_resources());
    if (spec->host_network()) SetHostPorts(&container);
  }
  for (Container& container : *spec->mutable_init_containers()) {
    if (!container.resources().limits().empty())
      CopyLimitsToRequests(container.mutable_resources());
    if (spec->host_network()) SetHostPorts(&container);
  }
  if (spec->has_resources()) DefaultPodResources(spec);
  if (!spec->has_enable_service_links()) spec->set_enable_service_links(true);
  Spec(spec);
  if (!pod->has_status()) return;
  auto* status = pod->mutable_status();
  if (!status->pod_ip().empty() &&
      (status->pod_ips().empty() || status->pod_ips(0).ip() != status->pod_ip())) {
    status->clear_pod_ips();
    status->add_pod_ips()->set_ip(status->pod_ip());
  } else if (status->pod_ip().empty() && !status->pod_ips().empty()) {
    status->set_pod_ip(status->pod_ips(0).ip());
  }
}

void DefaultPodTemplate(core::v1::PodTemplate* pod_template) {
  Template(pod_template->mutable_template_());
}

}  // namespace

void RoundUp(ResourceList* list) {
  for (auto& [name, quantity] : *list) {
    // Only a fraction or a small unit can be finer than milli.
    if (quantity.string().find_first_of(".nueE") == std::string::npos) continue;
    Quantity value = Quantity::ParseOrZero(quantity.string());
    if (!value.HasSubMilli()) continue;
    value.RoundUpToMilli();
    quantity.set_string(value.ToString());
  }
}

void ClaimSpec(core::v1::PersistentVolumeClaimSpec* spec) {
  if (!spec->has_volume_mode()) spec->set_volume_mode("Filesystem");
  if (spec->has_resources()) {
    RoundUp(spec->mutable_resources()->mutable_limits());
    RoundUp(spec->mutable_resources()->mutable_requests());
  }
}

void Claim(core::v1::PersistentVolumeClaim* claim) {
  ClaimSpec(claim->mutable_spec());
  if (claim->status().phase().empty()) claim->mutable_status()->set_phase("Pending");
}

void VolumeSpec(core::v1::PersistentVolumeSpec* spec) {
  if (spec->persistent_volume_reclaim_policy().empty())
    spec->set_persistent_volume_reclaim_policy("Retain");
  if (!spec->has_volume_mode()) spec->set_volume_mode("Filesystem");
  RoundUp(spec->mutable_capacity());
  if (!spec->has_persistent_volume_source()) return;
  auto* source = spec->mutable_persistent_volume_source();
  if (source->has_host_path()) DefaultHostPath(source->mutable_host_path());
  if (source->has_iscsi() && source->iscsi().iscsi_interface().empty()) {
    source->mutable_iscsi()->set_iscsi_interface("default");
  }
  if (source->has_rbd()) DefaultRbd(source->mutable_rbd());
  if (source->has_azure_disk()) DefaultAzureDisk(source->mutable_azure_disk());
  if (source->has_scale_io()) DefaultScaleIo(source->mutable_scale_io());
}

void Spec(PodSpec* spec) {
  if (spec->dns_policy().empty()) spec->set_dns_policy("ClusterFirst");
  if (spec->restart_policy().empty()) spec->set_restart_policy("Always");
  if (!spec->has_security_context()) spec->mutable_security_context();
  if (!spec->has_termination_grace_period_seconds()) spec->set_termination_grace_period_seconds(30);
  if (spec->scheduler_name().empty()) spec->set_scheduler_name("default-scheduler");
  if (spec->service_account_name().empty() && !spec->service_account().empty()) {
    spec->set_service_account_name(spec->service_account());
  }
  if (!spec->service_account_name().empty())
    spec->set_service_account(spec->service_account_name());
  for (Volume& volume : *spec->mutable_volumes())
    DefaultVolume(&volume);
  for (Container& container : *spec->mutable_containers())
    DefaultContainer(&container);
  for (Container& container : *spec->mutable_init_containers())
    DefaultContainer(&container);
  for (auto& container : *spec->mutable_ephemeral_containers()) {
    DefaultContainer(container.mutable_ephemeral_container_common());
  }
  RoundUp(spec->mutable_overhead());
  if (spec->has_resources()) {
    RoundUp(spec->mutable_resources()->mutable_limits());
    RoundUp(spec->mutable_resources()->mutable_requests());
  }
}

void Template(core::v1::PodTemplateSpec* pod_template) { Spec(pod_template->mutable_spec()); }

std::vector<RuleRow> PodRules() {
  return {Row<Pod, DefaultPod>(), Row<core::v1::PodTemplate, DefaultPodTemplate>()};
}

}  // namespace gantry::api::defaults
