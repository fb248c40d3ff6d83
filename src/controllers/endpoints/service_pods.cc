#include "controllers/endpoints/service_pods.h"

#include <algorithm>

#include "api/duration.h"
#include "api/pods.h"
#include "api/same.h"
#include "api/selector.h"
#include "controllers/endpoints/slices.h"
#include "controllers/ownership/ownership.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Pod;
using api::core::v1::Service;

// True when endpoints look the same before and after.
bool SameForEndpoints(const Pod& a, const Pod& b) {
  if (a.metadata().uid() != b.metadata().uid() || api::IsReady(a) != api::IsReady(b) ||
      a.status().phase() != b.status().phase() ||
      a.metadata().has_deletion_timestamp() != b.metadata().has_deletion_timestamp() ||
      a.spec().node_name() != b.spec().node_name() || a.spec().hostname() != b.spec().hostname() ||
      a.spec().subdomain() != b.spec().subdomain() ||
      a.status().pod_ips_size() != b.status().pod_ips_size() ||
      a.status().pod_ip() != b.status().pod_ip()) {
    return false;
  }
  for (int i = 0; i < a.status().pod_ips_size(); ++i) {
    if (a.status().pod_ips(i).ip() != b.status().pod_ips(i).ip()) return false;
  }
  return api::SameMap(a.metadata().labels(), b.metadata().labels());
}

}  // namespace

void WatchServicePods(client::Informer& services, client::Informer& pods,
                      client::Reconciler::Enqueue enqueue) {
  WatchAll(services, enqueue);
  pods.AddHandler([&services, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    if (before && after && SameForEndpoints(before->As<Pod>(), after->As<Pod>())) return;
    if (after) WakeServicesOf(services, after->meta(), enqueue);
    const bool same_labels =
        before && after && api::SameMap(before->meta().labels(), after->meta().labels());
    if (before && !same_labels) WakeServicesOf(services, before->meta(), enqueue);
  });
}

void WakeServicesOf(const client::Informer& services, const api::meta::v1::ObjectMeta& pod,
                    const client::Reconciler::Enqueue& enqueue) {
  for (const api::ObjectPtr& object : services.List(pod.namespace_())) {
    const Service& service = object->As<Service>();
    if (service.spec().selector().empty()) continue;
    if (api::Selector::FromMap(service.spec().selector()).Matches(pod.labels()))
      enqueue({object->ns(), object->name()});
  }
}

WallTime LastChange(const Service& service, const std::vector<api::Ref<Pod>>& pods) {
  WallTime last = api::ToWallTime(service.metadata().creation_timestamp());
  for (const api::Ref<Pod>& pod : pods) {
    const auto* ready = api::FindCondition(pod->status(), "Ready");
    if (ready) last = std::max(last, api::ToWallTime(ready->last_transition_time()));
  }
  return last;
}

void SetHeadlessLabel(const Service& service,
                      google::protobuf::Map<std::string, std::string>* labels) {
  const std::string& address = service.spec().cluster_ip();
  if (address.empty() || address == "None") {
    (*labels)[kHeadlessLabel] = "";
  } else {
    labels->erase(kHeadlessLabel);
  }
}

std::vector<api::Ref<Pod>> PodsOf(const client::Informer& pods, const Service& service) {
  const api::Selector selector = api::Selector::FromMap(service.spec().selector());
  std::vector<api::Ref<Pod>> selected;
  for (const api::ObjectPtr& object : pods.List(service.metadata().namespace_())) {
    if (!selector.Matches(object->meta().labels())) continue;
    const Pod& pod = object->As<Pod>();
    if (pod.status().pod_ip().empty() || api::IsTerminal(pod)) continue;
    selected.emplace_back(object);
  }
  return selected;
}

std::string PodAddress(const Pod& pod, std::string_view family) {
  const bool want_v6 = family == "IPv6";
  for (const auto& address : pod.status().pod_ips()) {
    if ((address.ip().find(':') != std::string::npos) == want_v6) return address.ip();
  }
  const bool is_v6 = pod.status().pod_ip().find(':') != std::string::npos;
  return is_v6 == want_v6 ? pod.status().pod_ip() : "";
}

std::optional<int32_t> TargetPort(const api::core::v1::ServicePort& port, const Pod& pod) {
  const auto& target = port.target_port();
  if (target.type() == 0) return target.int_val() != 0 ? target.int_val() : port.port();
  const std::string protocol = port.protocol().empty() ? "TCP" : port.protocol();
  auto find = [&](const auto& containers, bool init) -> std::optional<int32_t> {
    for (const auto& container : containers) {
      if (init && container.restart_policy() != "Always") continue;
      for (const auto& candidate : container.ports()) {
        const std::string& has = candidate.protocol();
        if (candidate.name() == target.str_val() && (has.empty() ? "TCP" : has) == protocol) {
          return candidate.container_port();
        }
      }
    }
    return std::nullopt;
  };
  if (auto found = find(pod.spec().containers(), false)) return found;
  return find(pod.spec().init_containers(), true);
}

std::string EndpointHostname(const Pod& pod, const Service& service) {
  const bool in_domain = !pod.spec().hostname().empty() &&
                         pod.spec().subdomain() == service.metadata().name() &&
                         pod.metadata().namespace_() == service.metadata().namespace_();
  return in_domain ? pod.spec().hostname() : "";
}

}  // namespace gantry::controllers
