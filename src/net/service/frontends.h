#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "api/object.h"
#include "net/ip.h"

namespace gantry::api::core::v1 {
class Service;
}
namespace gantry::api::discovery::v1 {
class EndpointSlice;
}

namespace gantry::net {

// Where clients knock: an address and port, or a port on every address that the node has of a
// family.
struct FrontendKey {
  IpAddress ip;  // 0.0.0.0 or ::, a node port
  uint8_t protocol = 0;
  uint16_t port = 0;

  bool is_node_port() const { return ip.is_unspecified(); }
  std::string ToString() const;
  auto operator<=>(const FrontendKey&) const = default;
};

struct Backend {
  IpAddress ip;
  uint16_t port = 0;
  bool on_this_node = false;
  auto operator<=>(const Backend&) const = default;
};

// One way into a service, and who answers.
struct Frontend {
  enum class Kind : uint8_t {
    kInternal,       // a cluster address
    kExternal,       // from outside, to any endpoint: the sender is masqueraded
    kExternalLocal,  // from outside, only to endpoints of this node: the sender is kept
    kReject,         // no endpoints at all: refuse
    kDrop,           // endpoints, but none that this policy may use
  };

  FrontendKey key;
  Kind kind = Kind::kReject;
  std::vector<Backend>
      backends;  // sorted, without duplicates; for kExternalLocal those for clients inside
  std::vector<Backend> local;     // kExternalLocal: those for clients outside
  uint32_t affinity_seconds = 0;  // 0: none
  // Who may come in at all, sorted; nullopt: anybody. Others are dropped.
  std::optional<std::vector<Cidr>> sources;
  bool operator==(const Frontend&) const = default;
};

// This node, as far as it matters for who is sent where.
struct NodePlace {
  std::string name;
  std::string zone;                  // "" where the node has none
  std::vector<IpAddress> addresses;  // of the Node object
  bool operator==(const NodePlace&) const = default;
};

// What a service and its slices mean for a node, by the rules of kube-proxy: ready endpoints, or
// where there are none those that still serve while they terminate; of these the ones that the
// hints of the slices name for the node or its zone, where all have hints and one is for here;
// traffic policies; nothing for headless and ExternalName services, nor for those with another
// proxy (label service.kubernetes.io/service-proxy-name). Every family that the service has a
// cluster address of. Pure.
std::vector<Frontend> BuildFrontends(
    const api::core::v1::Service& service,
    std::span<const api::Ref<api::discovery::v1::EndpointSlice>> slices, const NodePlace& node);

// The port on which load balancers ask whether the node has endpoints of the service, and how many
// ready ones it has; nullopt where the service has no such port.
struct HealthCheck {
  uint16_t port = 0;
  int local_endpoints = 0;
  auto operator<=>(const HealthCheck&) const = default;
};
std::optional<HealthCheck> BuildHealthCheck(
    const api::core::v1::Service& service,
    std::span<const api::Ref<api::discovery::v1::EndpointSlice>> slices, const NodePlace& node);

}  // namespace gantry::net
