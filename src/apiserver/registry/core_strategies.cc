#include <algorithm>
#include <set>

#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/persistent_volume.pb.h"
#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/secret.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/duration.h"
#include "api/pods.h"
#include "apiserver/registry/allocators.h"
#include "apiserver/registry/pod_label_keys.h"
#include "apiserver/registry/pod_qos.h"
#include "apiserver/registry/strategies.h"

namespace gantry::apiserver {
namespace {

using namespace api::core::v1;  // NOLINT: the kinds are this file's vocabulary

template <class T>
T* As(Message* message) {
  return static_cast<T*>(message);
}
template <class T>
const T& As(const Message& message) {
  return static_cast<const T&>(message);
}

void MergeStringData(Secret* secret) {
  for (const auto& [key, value] : secret->string_data())
    (*secret->mutable_data())[key] = value;
  secret->clear_string_data();
}

bool HasClusterIp(const Service& service) { return service.spec().type() != "ExternalName"; }
bool HasHealthCheckPort(const Service& service) {
  return service.spec().type() == "LoadBalancer" &&
         service.spec().external_traffic_policy() == "Local";
}
bool HasNodePorts(const Service& service) {
  return service.spec().type() == "NodePort" || service.spec().type() == "LoadBalancer";
}

}  // namespace

void PreparePod(const PrepareContext& context, Message* object) {
  Pod* pod = As<Pod>(object);
  PodStatus* status = pod->mutable_status();
  status->set_phase("Pending");
  status->set_qos_class(std::string(QosClassOf(pod->spec())));
  MergeLabelKeys(pod);
  if (pod->spec().scheduling_gates_size() > 0) {
    PodCondition* condition = status->add_conditions();
    condition->set_type("PodScheduled");
    condition->set_status("False");
    condition->set_reason("SchedulingGated");
    condition->set_message("Scheduling is blocked due to non-empty scheduling gates");
  }
}

void PreparePodUpdate(const PrepareContext& context, Message* object, const Message& old) {
  // Equal containers in another order of resources must not look like a change.
  if (As<Pod>(old).status().has_qos_class()) {
    As<Pod>(object)->mutable_status()->set_qos_class(As<Pod>(old).status().qos_class());
  }
}

void PreparePodStatus(const PrepareContext& context, Message* object, const Message& old) {
  PodStatus* status = As<Pod>(object)->mutable_status();
  if (status->qos_class().empty()) status->set_qos_class(As<Pod>(old).status().qos_class());
}

void PrepareNamespace(const PrepareContext& context, Message* object) {
  Namespace* ns = As<Namespace>(object);
  ns->mutable_status()->set_phase("Active");
  bool held = false;
  for (const std::string& finalizer : ns->spec().finalizers())
    held |= finalizer == "kubernetes";
  if (!held) ns->mutable_spec()->add_finalizers("kubernetes");
  (*ns->mutable_metadata()->mutable_labels())["kubernetes.io/metadata.name"] =
      ns->metadata().name();
}

void PrepareNamespaceUpdate(const PrepareContext& context, Message* object, const Message& old) {
  Namespace* ns = As<Namespace>(object);
  *ns->mutable_spec()->mutable_finalizers() = As<Namespace>(old).spec().finalizers();
  (*ns->mutable_metadata()->mutable_labels())["kubernetes.io/metadata.name"] =
      ns->metadata().name();
}

void PrepareSecret(const PrepareContext& context, Message* object) {
  MergeStringData(As<Secret>(object));
}

void PrepareSecretUpdate(const PrepareContext& context, Message* object, const Message& old) {
  Secret* secret = As<Secret>(object);
  MergeStringData(secret);
  if (secret->type().empty()) secret->set_type(As<Secret>(old).type());
}

// The old single field and the list say the same; a client may set either.
void PrepareService(const PrepareContext& context, Message* object) {
  ServiceSpec* spec = As<Service>(object)->mutable_spec();
  if (!spec->cluster_ip().empty() && spec->cluster_ips().empty())
    spec->add_cluster_ips(spec->cluster_ip());
  if (spec->cluster_ip().empty() && !spec->cluster_ips().empty())
    spec->set_cluster_ip(spec->cluster_ips(0));
}

// An update that leaves out what the server chose keeps it; a change of type drops what no longer
// fits.
void PrepareServiceUpdate(const PrepareContext& context, Message* object,
                          const Message& old_object) {
  Service* service = As<Service>(object);
  const Service& old = As<Service>(old_object);
  ServiceSpec* spec = service->mutable_spec();
  // A client that knows only the old field changed that one.
  if (!spec->cluster_ip().empty() && spec->cluster_ip() != old.spec().cluster_ip() &&
      (spec->cluster_ips().empty() ||
       std::ranges::equal(spec->cluster_ips(), old.spec().cluster_ips()))) {
    spec->clear_cluster_ips();
    spec->add_cluster_ips(spec->cluster_ip());
  }
  if (HasClusterIp(old) && HasClusterIp(*service)) {
    if (spec->cluster_ip().empty() && old.spec().has_cluster_ip())
      spec->set_cluster_ip(old.spec().cluster_ip());
    if (spec->cluster_ips().empty() && spec->cluster_ip() == old.spec().cluster_ip()) {
      *spec->mutable_cluster_ips() = old.spec().cluster_ips();
    }
    if (spec->ip_families().empty()) *spec->mutable_ip_families() = old.spec().ip_families();
  }
  if (HasClusterIp(old) && !HasClusterIp(*service)) {
    const bool kept = spec->cluster_ip().empty() || spec->cluster_ip() == old.spec().cluster_ip();
    if (kept && std::ranges::equal(spec->cluster_ips(), old.spec().cluster_ips())) {
      spec->clear_cluster_ip();
      spec->clear_cluster_ips();
    }
    if (std::ranges::equal(spec->ip_families(), old.spec().ip_families()))
      spec->clear_ip_families();
    if (spec->ip_family_policy() == old.spec().ip_family_policy()) spec->clear_ip_family_policy();
  }
  if (HasNodePorts(old) && HasNodePorts(*service)) {
    std::set<int32_t> used;
    for (const ServicePort& port : spec->ports())
      used.insert(port.node_port());
    for (ServicePort& port : *spec->mutable_ports()) {
      if (port.node_port() != 0) continue;
      for (const ServicePort& before : old.spec().ports()) {
        if (before.name() == port.name() && used.insert(before.node_port()).second) {
          port.set_node_port(before.node_port());
          break;
        }
      }
    }
  }
  if (HasHealthCheckPort(old) && HasHealthCheckPort(*service) &&
      spec->health_check_node_port() == 0) {
    spec->set_health_check_node_port(old.spec().health_check_node_port());
  }
  if (HasHealthCheckPort(old) && !HasHealthCheckPort(*service) &&
      spec->health_check_node_port() == old.spec().health_check_node_port()) {
    spec->clear_health_check_node_port();
  }
  if (HasNodePorts(old) && !HasNodePorts(*service)) {
    for (ServicePort& port : *spec->mutable_ports()) {
      for (const ServicePort& before : old.spec().ports()) {
        if (before.node_port() == port.node_port()) port.clear_node_port();
      }
    }
    if (spec->external_traffic_policy() == old.spec().external_traffic_policy())
      spec->clear_external_traffic_policy();
  }
  if (old.spec().type() == "LoadBalancer" && spec->type() != "LoadBalancer") {
    if (spec->allocate_load_balancer_node_ports() ==
        old.spec().allocate_load_balancer_node_ports()) {
      spec->clear_allocate_load_balancer_node_ports();
    }
    if (spec->load_balancer_class() == old.spec().load_balancer_class())
      spec->clear_load_balancer_class();
    service->mutable_status()->clear_load_balancer();
  }
}

void PrepareClaim(const PrepareContext& context, Message* object) {
  As<PersistentVolumeClaim>(object)->mutable_status()->set_phase("Pending");
}

void PrepareVolume(const PrepareContext& context, Message* object) {
  As<PersistentVolume>(object)->mutable_status()->set_phase("Pending");
}

Status AllocateService(Allocators& allocators, Message* object, const Message* old,
                       std::vector<store::Write>* writes, api::FieldErrors* errors) {
  return allocators.Allocate(As<Service>(object), static_cast<const Service*>(old), writes, errors);
}

void ReleaseService(Allocators& allocators, const Message& old, std::vector<store::Write>* writes) {
  allocators.Release(As<Service>(old), writes);
}

}  // namespace gantry::apiserver
