#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "net/ip.h"

namespace gantry::net {

// How packets get from the pods of one node to those of another.
enum class OverlayMode : uint8_t {
  kVxlan,       // in UDP between the nodes
  kHostRoutes,  // by routes through the nodes' addresses: all nodes on one link
  kNone,        // somebody else's business
};

// All nodes of a cluster have the same. Threading: a value.
struct OverlaySettings {
  OverlayMode mode = OverlayMode::kVxlan;
  uint32_t vni = 1;      // the network's number, 24 bits
  uint16_t port = 8472;  // UDP

  // "vxlan", "host-routes" or "none"; kInvalid names the choice.
  static Result<OverlayMode> ParseMode(std::string_view text);
  static std::string_view NameOf(OverlayMode mode);
  // How many bytes of a packet between nodes with addresses like `underlay` are not the pod's.
  uint32_t Overhead(const IpAddress& underlay) const;

  bool operator==(const OverlaySettings&) const = default;
};

}  // namespace gantry::net
