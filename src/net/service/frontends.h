#pragma once

#include <compare>
#include <cstdint>
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

// Where clients knock: an address and port, or a port on every address of the node.
struct FrontendKey {
  IpAddress ip;  // none: a node port
  uint8_t protocol = 0;
  uint16_t port = 0;

  bool is_node_port() const { return !ip; }
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
  bool operator==(const Frontend&) const = default;
};

struct FrontendOptions {
  FrontendOptions() = default;
  std::string node_name;
  // Answered by the node itself: never a frontend.
  std::vector<FrontendKey> reserved;
};

// What a service and its slices mean for this node, by the rules of kube-proxy: ready endpoints, or
// where there are none those that still serve while they terminate; traffic policies; nothing for
// headless and ExternalName services, nor for those with another proxy (label
// service.kubernetes.io/service-proxy-name). IPv4. Pure.
std::vector<Frontend> BuildFrontends(
    const api::core::v1::Service& service,
    std::span<const api::Ref<api::discovery::v1::EndpointSlice>> slices,
    const FrontendOptions& options);

}  // namespace gantry::net
