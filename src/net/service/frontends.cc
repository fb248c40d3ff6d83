#include "net/service/frontends.h"

#include <algorithm>
#include <set>

#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "net/protocol.h"

namespace gantry::net {
namespace {

namespace core = api::core::v1;
namespace discovery = api::discovery::v1;

using SliceRef = api::Ref<discovery::EndpointSlice>;

constexpr uint32_t kDefaultAffinitySeconds = 10800;
constexpr char kOtherProxyLabel[] = "service.kubernetes.io/service-proxy-name";

const char* FamilyName(const IpAddress& ip) { return ip.is_v6() ? "IPv6" : "IPv4"; }

IpAddress EveryAddress(const IpAddress& of_family) {
  IpAddress ip;
  ip.size = of_family.size;
  return ip;
}

bool IsReady(const discovery::Endpoint& endpoint) {
  return !endpoint.conditions().has_ready() || endpoint.conditions().ready();
}

// It goes, but still answers.
bool IsServingToTheEnd(const discovery::Endpoint& endpoint) {
  const discovery::EndpointConditions& conditions = endpoint.conditions();
  return conditions.terminating() && (!conditions.has_serving() || conditions.serving());
}

// An endpoint of one port that takes connections.
struct Candidate {
  Backend backend;
  bool ready = false;  // else it serves while it terminates
  bool node_hint = false, zone_hint = false;
  bool for_this_node = false, for_this_zone = false;
};

Candidate MakeCandidate(const discovery::Endpoint& endpoint, const IpAddress& ip, int32_t port,
                        const NodePlace& node) {
  Candidate candidate;
  candidate.backend = {ip, static_cast<uint16_t>(port), endpoint.node_name() == node.name};
  candidate.ready = IsReady(endpoint);
  candidate.node_hint = !endpoint.hints().for_nodes().empty();
  candidate.zone_hint = !endpoint.hints().for_zones().empty();
  for (const discovery::ForNode& hint : endpoint.hints().for_nodes())
    candidate.for_this_node |= hint.name() == node.name;
  for (const discovery::ForZone& hint : endpoint.hints().for_zones())
    candidate.for_this_zone |= hint.name() == node.zone;
  return candidate;
}

std::vector<Candidate> CandidatesFor(const core::ServicePort& port, const IpAddress& of_family,
                                     std::span<const SliceRef> slices, const NodePlace& node) {
  const std::string& protocol = port.protocol().empty() ? "TCP" : port.protocol();
  std::vector<Candidate> candidates;
  for (const SliceRef& slice : slices) {
    if (slice->address_type() != FamilyName(of_family)) continue;
    for (const discovery::EndpointPort& slice_port : slice->ports()) {
      const std::string& slice_protocol = slice_port.has_protocol() ? slice_port.protocol() : "TCP";
      if (slice_port.name() != port.name() || slice_protocol != protocol || !slice_port.has_port())
        continue;
      for (const discovery::Endpoint& endpoint : slice->endpoints()) {
        if (endpoint.addresses().empty()) continue;
        std::optional<IpAddress> ip = IpAddress::Parse(endpoint.addresses(0));
        if (!ip || ip->size != of_family.size) continue;
        if (IsReady(endpoint) || IsServingToTheEnd(endpoint))
          candidates.push_back(MakeCandidate(endpoint, *ip, slice_port.port(), node));
      }
    }
  }
  return candidates;
}

template <class Accept>
std::vector<Backend> Choose(const std::vector<Candidate>& candidates, Accept accept) {
  std::vector<Backend> chosen;
  for (const Candidate& candidate : candidates) {
    if (accept(candidate)) chosen.push_back(candidate.backend);
  }
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

// The flag of the ready endpoints to use, where hints say so: all of them have a hint, and one is
// for here. Hints for nodes come before hints for zones. Null: all.
bool Candidate::* HintToFollow(const std::vector<Candidate>& candidates) {
  struct Hint {
    bool Candidate::* given;
    bool Candidate::* here;
  };
  for (const Hint& hint : {Hint{&Candidate::node_hint, &Candidate::for_this_node},
                           Hint{&Candidate::zone_hint, &Candidate::for_this_zone}}) {
    bool all = true, any_here = false;
    for (const Candidate& candidate : candidates) {
      if (!candidate.ready) continue;
      all = all && candidate.*hint.given;
      any_here = any_here || candidate.*hint.here;
    }
    if (all && any_here) return hint.here;
  }
  return nullptr;
}

// The endpoints of one port, as far as anybody may be sent there.
struct Choices {
  bool any = false;               // there are usable endpoints, wherever
  std::vector<Backend> everyone;  // for the policy Cluster
  std::vector<Backend> local;     // for the policy Local
};

Choices ChoicesOf(const std::vector<Candidate>& candidates) {
  Choices choices;
  choices.any = !candidates.empty();
  bool Candidate::* hint = HintToFollow(candidates);
  choices.everyone = Choose(candidates, [&](const Candidate& candidate) {
    return candidate.ready && (hint == nullptr || candidate.*hint);
  });
  if (choices.everyone.empty())
    choices.everyone = Choose(candidates, [](const Candidate&) { return true; });
  auto local = [&](bool ready) {
    return Choose(candidates, [&](const Candidate& candidate) {
      return candidate.backend.on_this_node && candidate.ready == ready;
    });
  };
  choices.local = local(true);
  if (choices.local.empty()) choices.local = local(false);
  return choices;
}

Frontend Internal(FrontendKey key, const Choices& choices, bool local_only) {
  Frontend frontend;
  frontend.key = key;
  if (!choices.any) return frontend;
  frontend.backends = local_only ? choices.local : choices.everyone;
  frontend.kind = frontend.backends.empty() ? Frontend::Kind::kDrop : Frontend::Kind::kInternal;
  return frontend;
}

Frontend External(FrontendKey key, const Choices& choices, bool local_only) {
  Frontend frontend;
  frontend.key = key;
  if (!choices.any) return frontend;
  frontend.backends = choices.everyone;
  frontend.kind = local_only ? Frontend::Kind::kExternalLocal : Frontend::Kind::kExternal;
  if (local_only) frontend.local = choices.local;
  return frontend;
}

// The addresses of a family among texts.
std::vector<IpAddress> Parsed(std::span<const std::string> texts, const IpAddress& of_family) {
  std::vector<IpAddress> ips;
  for (const std::string& text : texts) {
    std::optional<IpAddress> ip = IpAddress::Parse(text);
    if (ip && ip->size == of_family.size && std::find(ips.begin(), ips.end(), *ip) == ips.end())
      ips.push_back(*ip);
  }
  return ips;
}

std::vector<IpAddress> ClusterIps(const core::ServiceSpec& spec) {
  std::vector<std::string> texts(spec.cluster_ips().begin(), spec.cluster_ips().end());
  if (texts.empty()) texts.push_back(spec.cluster_ip());
  std::vector<IpAddress> ips;
  for (const std::string& text : texts) {
    if (std::optional<IpAddress> ip = IpAddress::Parse(text)) ips.push_back(*ip);
  }
  return ips;
}

std::vector<IpAddress> BalancerIps(const core::Service& service, const IpAddress& of_family) {
  std::vector<std::string> texts;
  if (service.spec().type() == "LoadBalancer") {
    for (const core::LoadBalancerIngress& ingress : service.status().load_balancer().ingress()) {
      if (ingress.ip_mode() != "Proxy") texts.push_back(ingress.ip());
    }
  }
  return Parsed(texts, of_family);
}

// Who may use the balancer's address `ip`.
std::optional<std::vector<Cidr>> SourcesOf(const core::ServiceSpec& spec, const IpAddress& ip,
                                           const NodePlace& node) {
  if (spec.load_balancer_source_ranges().empty()) return std::nullopt;
  std::vector<Cidr> sources;
  for (std::string_view text : spec.load_balancer_source_ranges()) {
    while (text.starts_with(' '))
      text.remove_prefix(1);
    while (text.ends_with(' '))
      text.remove_suffix(1);
    Result<Cidr> cidr = Cidr::Parse(text);
    if (cidr.ok() && cidr->address.size == ip.size) sources.push_back(*cidr);
  }
  // A node that may come in speaks with the balancer's address as its own where it has that.
  const bool node_may = std::ranges::any_of(sources, [&](const Cidr& cidr) {
    return std::ranges::any_of(node.addresses,
                               [&](const IpAddress& own) { return cidr.Contains(own); });
  });
  if (node_may) sources.push_back({ip, static_cast<uint8_t>(ip.size * 8)});
  std::sort(sources.begin(), sources.end());
  sources.erase(std::unique(sources.begin(), sources.end()), sources.end());
  return sources;
}

bool IsProxied(const core::Service& service) {
  return service.spec().type() != "ExternalName" &&
         !service.metadata().labels().contains(kOtherProxyLabel);
}

uint32_t AffinitySeconds(const core::ServiceSpec& spec) {
  if (spec.session_affinity() != "ClientIP") return 0;
  const int32_t seconds = spec.session_affinity_config().client_ip().timeout_seconds();
  return seconds > 0 ? static_cast<uint32_t>(seconds) : kDefaultAffinitySeconds;
}

}  // namespace

std::string FrontendKey::ToString() const {
  std::string place = ip.is_v6() ? "[" + ip.ToString() + "]" : ip.ToString();
  if (is_node_port()) place = ip.is_v6() ? "IPv6 node port" : "node port";
  return place + ":" + std::to_string(port) + "/" + std::to_string(protocol);
}

std::vector<Frontend> BuildFrontends(const core::Service& service, std::span<const SliceRef> slices,
                                     const NodePlace& node) {
  std::vector<Frontend> frontends;
  if (!IsProxied(service)) return frontends;
  const core::ServiceSpec& spec = service.spec();
  const uint32_t affinity_seconds = AffinitySeconds(spec);
  const bool internal_local = spec.internal_traffic_policy() == "Local";
  const bool external_local = spec.external_traffic_policy() == "Local";
  const bool node_ports = spec.type() == "NodePort" || spec.type() == "LoadBalancer";
  const std::vector<std::string> external(spec.external_ips().begin(), spec.external_ips().end());
  auto add = [&](Frontend frontend) {
    const bool there = std::ranges::any_of(
        frontends, [&](const Frontend& other) { return other.key == frontend.key; });
    if (there) return;
    frontend.affinity_seconds = affinity_seconds;
    frontends.push_back(std::move(frontend));
  };
  for (const IpAddress& cluster_ip : ClusterIps(spec)) {
    for (const core::ServicePort& port : spec.ports()) {
      const uint8_t protocol = ProtocolNumber(port.protocol());
      if (protocol == 0) continue;
      const Choices choices = ChoicesOf(CandidatesFor(port, cluster_ip, slices, node));
      const uint16_t number = static_cast<uint16_t>(port.port());
      add(Internal({cluster_ip, protocol, number}, choices, internal_local));
      for (const IpAddress& ip : Parsed(external, cluster_ip))
        add(External({ip, protocol, number}, choices, external_local));
      for (const IpAddress& ip : BalancerIps(service, cluster_ip)) {
        Frontend frontend = External({ip, protocol, number}, choices, external_local);
        frontend.sources = SourcesOf(spec, ip, node);
        add(std::move(frontend));
      }
      if (node_ports && port.node_port() != 0) {
        const uint16_t node_port = static_cast<uint16_t>(port.node_port());
        add(External({EveryAddress(cluster_ip), protocol, node_port}, choices, external_local));
      }
    }
  }
  return frontends;
}

std::optional<HealthCheck> BuildHealthCheck(const core::Service& service,
                                            std::span<const SliceRef> slices,
                                            const NodePlace& node) {
  const core::ServiceSpec& spec = service.spec();
  const std::vector<IpAddress> cluster_ips = ClusterIps(spec);
  if (!IsProxied(service) || spec.type() != "LoadBalancer" ||
      spec.external_traffic_policy() != "Local" || spec.health_check_node_port() == 0 ||
      cluster_ips.empty()) {
    return std::nullopt;
  }
  std::set<std::string> local;
  for (const SliceRef& slice : slices) {
    if (slice->address_type() != FamilyName(cluster_ips[0])) continue;
    for (const discovery::Endpoint& endpoint : slice->endpoints()) {
      if (!endpoint.addresses().empty() && endpoint.node_name() == node.name && IsReady(endpoint))
        local.insert(endpoint.addresses(0));
    }
  }
  return HealthCheck{static_cast<uint16_t>(spec.health_check_node_port()),
                     static_cast<int>(local.size())};
}

}  // namespace gantry::net
