#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/endpoints.pb.h"
#include "api/core/v1/limit_range.pb.h"
#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/replication_controller.pb.h"
#include "api/core/v1/resource_quota.pb.h"
#include "api/core/v1/secret.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/defaults/rules.h"

namespace gantry::api::defaults {
namespace {

using core::v1::Service;

bool IsUnset(const intstr::IntOrString& value) {
  return value.type() == 0 ? value.int_val() == 0 : value.str_val().empty();
}

void DefaultService(Service* service) {
  auto* spec = service->mutable_spec();
  if (spec->session_affinity().empty()) spec->set_session_affinity("None");
  if (spec->session_affinity() == "None") spec->clear_session_affinity_config();
  if (spec->session_affinity() == "ClientIP" &&
      !spec->session_affinity_config().client_ip().has_timeout_seconds()) {
    spec->mutable_session_affinity_config()->mutable_client_ip()->set_timeout_seconds(10800);
  }
  if (spec->type().empty()) spec->set_type("ClusterIP");
  for (auto& port : *spec->mutable_ports()) {
    if (port.protocol().empty()) port.set_protocol("TCP");
    if (!port.has_target_port() || IsUnset(port.target_port()))
      SetInt(port.port(), port.mutable_target_port());
  }
  bool cluster_ip = spec->type() == "ClusterIP";
  bool node_port = spec->type() == "NodePort";
  bool load_balancer = spec->type() == "LoadBalancer";
  bool external = node_port || load_balancer || (cluster_ip && !spec->external_ips().empty());
  if (external && spec->external_traffic_policy().empty())
    spec->set_external_traffic_policy("Cluster");
  if ((cluster_ip || node_port || load_balancer) && !spec->has_internal_traffic_policy()) {
    spec->set_internal_traffic_policy("Cluster");
  }
  if (!load_balancer) return;
  if (!spec->has_allocate_load_balancer_node_ports())
    spec->set_allocate_load_balancer_node_ports(true);
  if (!service->has_status()) return;
  for (auto& ingress : *service->mutable_status()->mutable_load_balancer()->mutable_ingress()) {
    if (!ingress.ip().empty() && !ingress.has_ip_mode()) ingress.set_ip_mode("VIP");
  }
}

void DefaultEndpoints(core::v1::Endpoints* endpoints) {
  for (auto& subset : *endpoints->mutable_subsets()) {
    for (auto& port : *subset.mutable_ports()) {
      if (port.protocol().empty()) port.set_protocol("TCP");
    }
  }
}

void DefaultSecret(core::v1::Secret* secret) {
  for (const auto& [key, value] : secret->string_data())
    (*secret->mutable_data())[key] = value;
  secret->clear_string_data();
  if (secret->type().empty()) secret->set_type("Opaque");
}

void DefaultNamespace(core::v1::Namespace* ns) {
  if (!ns->metadata().name().empty()) {
    (*ns->mutable_metadata()->mutable_labels())["kubernetes.io/metadata.name"] =
        ns->metadata().name();
  }
  if (ns->status().phase().empty()) ns->mutable_status()->set_phase("Active");
}

void DefaultNode(core::v1::Node* node) {
  if (!node->has_status()) return;
  auto* status = node->mutable_status();
  RoundUp(status->mutable_capacity());
  RoundUp(status->mutable_allocatable());
  if (status->allocatable().empty() && !status->capacity().empty()) {
    *status->mutable_allocatable() = status->capacity();
  }
}

void DefaultReplicationController(core::v1::ReplicationController* controller) {
  auto* spec = controller->mutable_spec();
  if (!spec->template_().metadata().labels().empty()) {
    const auto& labels = spec->template_().metadata().labels();
    if (spec->selector().empty()) *spec->mutable_selector() = labels;
    if (controller->metadata().labels().empty())
      *controller->mutable_metadata()->mutable_labels() = labels;
  }
  if (!spec->has_replicas()) spec->set_replicas(1);
  if (spec->has_template_()) Template(spec->mutable_template_());
}

void DefaultVolume(core::v1::PersistentVolume* volume) {
  if (volume->status().phase().empty()) volume->mutable_status()->set_phase("Pending");
  VolumeSpec(volume->mutable_spec());
}

void CopyMissing(const ResourceList& from, ResourceList* to) {
  for (const auto& [name, quantity] : from) {
    if (!to->contains(name)) (*to)[name] = quantity;
  }
}

void DefaultLimitRange(core::v1::LimitRange* range) {
  for (auto& item : *range->mutable_spec()->mutable_limits()) {
    for (ResourceList* list :
         {item.mutable_max(), item.mutable_min(), item.mutable_default_(),
          item.mutable_default_request(), item.mutable_max_limit_request_ratio()}) {
      RoundUp(list);
    }
    if (item.type() != "Container") continue;
    CopyMissing(item.max(), item.mutable_default_());
    CopyMissing(item.default_(), item.mutable_default_request());
    CopyMissing(item.min(), item.mutable_default_request());
  }
}

void DefaultQuota(core::v1::ResourceQuota* quota) {
  RoundUp(quota->mutable_spec()->mutable_hard());
  if (!quota->has_status()) return;
  RoundUp(quota->mutable_status()->mutable_hard());
  RoundUp(quota->mutable_status()->mutable_used());
}

}  // namespace

std::vector<RuleRow> CoreRules() {
  return {
      Row<core::v1::Endpoints, DefaultEndpoints>(),
      Row<core::v1::LimitRange, DefaultLimitRange>(),
      Row<core::v1::Namespace, DefaultNamespace>(),
      Row<core::v1::Node, DefaultNode>(),
      Row<core::v1::PersistentVolume, DefaultVolume>(),
      Row<core::v1::PersistentVolumeClaim, Claim>(),
      Row<core::v1::ReplicationController, DefaultReplicationController>(),
      Row<core::v1::ResourceQuota, DefaultQuota>(),
      Row<core::v1::Secret, DefaultSecret>(),
      Row<Service, DefaultService>(),
  };
}

}  // namespace gantry::api::defaults
