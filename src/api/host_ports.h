#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"

namespace gantry::api {

// A port of the node that a pod takes.
struct HostPort {
  std::string protocol;  // "TCP", "UDP", "SCTP"
  std::string ip;        // "0.0.0.0": of all addresses
  int32_t port = 0;
  int32_t container_port = 0;

  // Whether the node can give only one of the two away.
  bool ConflictsWith(const HostPort& other) const;
};

// The ports that a pod takes for as long as it runs: those of its containers and of its sidecars,
// in their order. Init containers that end take none: they are gone before the others begin.
std::vector<HostPort> HostPortsOf(const core::v1::Pod& pod);

// Whether a pod with the ports `wanted` cannot run beside one with the ports `taken`.
bool AnyConflict(const std::vector<HostPort>& wanted, const std::vector<HostPort>& taken);

}  // namespace gantry::api
