#include "scheduler/framework/pod_info.h"

#include "api/same.h"

namespace gantry::scheduler {
namespace {

using api::core::v1::Pod;
using api::core::v1::PodSpec;

// A container that asks for nothing still counts when nodes are compared, so that such pods spread.
constexpr int64_t kDefaultMilliCpu = 100;
constexpr int64_t kDefaultMemory = 200 * 1024 * 1024;

// The scheduling-relevant part of the pod as canonical bytes. The service account token volume has
// a random name in each pod and decides nothing.
std::string SignatureOf(const Pod& pod) {
  Pod part;
  part.mutable_metadata()->set_namespace_(pod.metadata().namespace_());
  *part.mutable_metadata()->mutable_labels() = pod.metadata().labels();
  const PodSpec& from = pod.spec();
  PodSpec* spec = part.mutable_spec();
  *spec->mutable_node_selector() = from.node_selector();
  if (from.has_affinity()) *spec->mutable_affinity() = from.affinity();
  *spec->mutable_tolerations() = from.tolerations();
  *spec->mutable_topology_spread_constraints() = from.topology_spread_constraints();
  *spec->mutable_overhead() = from.overhead();
  if (from.has_resources()) *spec->mutable_resources() = from.resources();
  spec->set_node_name(from.node_name());
  spec->set_priority(from.priority());
  auto copy = [](const auto& containers, auto* out) {
    for (const auto& container : containers) {
      auto* slim = out->Add();
      slim->set_image(container.image());
      *slim->mutable_resources() = container.resources();
      *slim->mutable_ports() = container.ports();
      slim->set_restart_policy(container.restart_policy());
    }
  };
  copy(from.containers(), spec->mutable_containers());
  copy(from.init_containers(), spec->mutable_init_containers());
  for (const auto& volume : from.volumes()) {
    if (volume.volume_source().has_persistent_volume_claim()) *spec->add_volumes() = volume;
  }
  return api::StableBytes(part);
}

void TakeHostPorts(const api::core::v1::Container& container, std::vector<HostPortUse>* out) {
  for (const auto& port : container.ports()) {
    if (port.host_port() == 0) continue;
    out->push_back({port.protocol().empty() ? "TCP" : port.protocol(),
                    port.host_ip().empty() ? "0.0.0.0" : port.host_ip(), port.host_port()});
  }
}

}  // namespace

bool HostPortUse::ConflictsWith(const HostPortUse& other) const {
  return port == other.port && protocol == other.protocol &&
         (ip == other.ip || ip == "0.0.0.0" || other.ip == "0.0.0.0");
}

PodInfo::PodInfo(api::Ref<Pod> from) : pod(std::move(from)) {
  requests = Resources::From(api::PodRequests(*pod));
  requests.pods = 1;
  score_requests = requests;
  for (const auto& container : pod->spec().containers()) {
    if (!container.resources().requests().contains("cpu"))
      score_requests.milli_cpu += kDefaultMilliCpu;
    if (!container.resources().requests().contains("memory"))
      score_requests.memory += kDefaultMemory;
    TakeHostPorts(container, &host_ports);
  }
  for (const auto& container : pod->spec().init_containers()) {
    if (container.restart_policy() == "Always") TakeHostPorts(container, &host_ports);
  }
  signature = SignatureOf(*pod);
}

}  // namespace gantry::scheduler
