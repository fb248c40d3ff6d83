#include "net/service/frontends.h"

#include <algorithm>
#include <optional>

#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "net/protocol.h"

namespace gantry::net {
namespace {

namespace core = api::core::v1;
namespace discovery = api::discovery::v1;

constexpr uint32_t kDefaultAffinitySeconds = 10800;
constexpr char kOtherProxyLabel[] = "service.kubernetes.io/service-proxy-name";

// The endpoints of one port, as far as anybody may be sent there.
struct Candidates {
  bool any = false;               // there are usable endpoints, wherever
  std::vector<Backend> everyone;  // on all nodes
  std::vector<Backend> local;     // on this node
};

void SortUnique(std::vector<Backend>* backends) {
  std::sort(backends->begin(), backends->end());
  backends->erase(std::unique(backends->begin(), backends->end()), backends->end());
}

// Ready ones, else those that serve while they terminate.
std::vector<Backend> Choose(std::vector<Backend> ready, std::vector<Backend> ending) {
  std::vector<Backend> chosen = ready.empty() ? std::move(ending) : std::move(ready);
  SortUnique(&chosen);
  return chosen;
}

Candidates CandidatesFor(const core::ServicePort& port,
                         std::span<const api::Ref<discovery::EndpointSlice>> slices,
                         const std::string& node_name) {
  const std::string& protocol = port.protocol().empty() ? "TCP" : port.protocol();
  std::vector<Backend> ready, ending, local_ready, local_ending;
  for (const auto& slice : slices) {
    if (slice->address_type() != "IPv4") continue;
    for (const discovery::EndpointPort& slice_port : slice->ports()) {
      const std::string& slice_protocol = slice_port.has_protocol() ? slice_port.protocol() : "TCP";
      if (slice_port.name() != port.name() || slice_protocol != protocol || !slice_port.has_port())
        continue;
      for (const discovery::Endpoint& endpoint : slice->endpoints()) {
        if (endpoint.addresses().empty()) continue;
        std::optional<IpAddress> ip = IpAddress::Parse(endpoint.addresses(0));
        if (!ip || !ip->is_v4()) continue;
        const discovery::EndpointConditions& conditions = endpoint.conditions();
        const bool is_ready = !conditions.has_ready() || conditions.ready();
        const bool is_ending =
            conditions.terminating() && (!conditions.has_serving() || conditions.serving());
        if (!is_ready && !is_ending) continue;
        const bool here = endpoint.node_name() == node_name;
        Backend backend{*ip, static_cast<uint16_t>(slice_port.port()), here};
        (is_ready ? ready : ending).push_back(backend);
        if (here) (is_ready ? local_ready : local_ending).push_back(backend);
      }
    }
  }
  Candidates candidates;
  candidates.everyone = Choose(std::move(ready), std::move(ending));
  candidates.local = Choose(std::move(local_ready), std::move(local_ending));
  candidates.any = !candidates.everyone.empty();
  return candidates;
}

Frontend Internal(FrontendKey key, const Candidates& candidates, bool local_only) {
  Frontend frontend;
  frontend.key = key;
  if (!candidates.any) return frontend;
  frontend.backends = local_only ? candidates.local : candidates.everyone;
  frontend.kind = frontend.backends.empty() ? Frontend::Kind::kDrop : Frontend::Kind::kInternal;
  return frontend;
}

Frontend External(FrontendKey key, const Candidates& candidates, bool local_only) {
  Frontend frontend;
  frontend.key = key;
  if (!candidates.any) return frontend;
  frontend.backends = candidates.everyone;
  frontend.kind = local_only ? Frontend::Kind::kExternalLocal : Frontend::Kind::kExternal;
  if (local_only) frontend.local = candidates.local;
  return frontend;
}

// The IPv4 addresses among texts.
std::vector<IpAddress> V4(std::vector<std::string> texts) {
  std::vector<IpAddress> ips;
  for (const std::string& text : texts) {
    std::optional<IpAddress> ip = IpAddress::Parse(text);
    if (ip && ip->is_v4() && std::find(ips.begin(), ips.end(), *ip) == ips.end())
      ips.push_back(*ip);
  }
  return ips;
}

std::vector<IpAddress> ClusterIps(const core::Service& service) {
  const core::ServiceSpec& spec = service.spec();
  std::vector<std::string> texts(spec.cluster_ips().begin(), spec.cluster_ips().end());
  if (texts.empty()) texts.push_back(spec.cluster_ip());
  return V4(std::move(texts));
}

std::vector<IpAddress> ExternalIps(const core::Service& service) {
  const core::ServiceSpec& spec = service.spec();
  std::vector<std::string> texts(spec.external_ips().begin(), spec.external_ips().end());
  if (spec.type() == "LoadBalancer") {
    for (const core::LoadBalancerIngress& ingress : service.status().load_balancer().ingress()) {
      if (ingress.ip_mode() != "Proxy") texts.push_back(ingress.ip());
    }
  }
  return V4(std::move(texts));
}

}  // namespace

std::string FrontendKey::ToString() const {
  return (ip ? ip.ToString() : std::string("node port")) + ":" + std::to_string(port) + "/" +
         std::to_string(protocol);
}

std::vector<Frontend> BuildFrontends(const core::Service& service,
                                     std::span<const api::Ref<discovery::EndpointSlice>> slices,
                                     const FrontendOptions& options) {
  const core::ServiceSpec& spec = service.spec();
  std::vector<IpAddress> cluster_ips = ClusterIps(service);
  if (spec.type() == "ExternalName" || cluster_ips.empty() ||
      service.metadata().labels().contains(kOtherProxyLabel)) {
    return {};
  }
  uint32_t affinity_seconds = 0;
  if (spec.session_affinity() == "ClientIP") {
    const core::ClientIPConfig& config = spec.session_affinity_config().client_ip();
    affinity_seconds = config.timeout_seconds() > 0
                           ? static_cast<uint32_t>(config.timeout_seconds())
                           : kDefaultAffinitySeconds;
  }
  const bool internal_local = spec.internal_traffic_policy() == "Local";
  const bool external_local = spec.external_traffic_policy() == "Local";
  const std::vector<IpAddress> external_ips = ExternalIps(service);
  std::vector<Frontend> frontends;
  auto add = [&](Frontend frontend) {
    const auto& reserved = options.reserved;
    if (std::find(reserved.begin(), reserved.end(), frontend.key) != reserved.end()) return;
    frontend.affinity_seconds = affinity_seconds;
    frontends.push_back(std::move(frontend));
  };
  for (const core::ServicePort& port : spec.ports()) {
    const uint8_t protocol = ProtocolNumber(port.protocol());
    if (protocol == 0) continue;
    const Candidates candidates = CandidatesFor(port, slices, options.node_name);
    const uint16_t number = static_cast<uint16_t>(port.port());
    for (const IpAddress& ip : cluster_ips)
      add(Internal({ip, protocol, number}, candidates, internal_local));
    for (const IpAddress& ip : external_ips)
      add(External({ip, protocol, number}, candidates, external_local));
    if (port.node_port() != 0 && (spec.type() == "NodePort" || spec.type() == "LoadBalancer")) {
      add(External({IpAddress(), protocol, static_cast<uint16_t>(port.node_port())}, candidates,
                   external_local));
    }
  }
  return frontends;
}

}  // namespace gantry::net
