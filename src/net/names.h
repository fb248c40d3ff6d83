#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/ip.h"

namespace gantry::net {

// What one instance (one data directory) calls its things in the kernel, so that several can live
// side by side and each can be found and removed again. Threading: immutable.
struct InstanceNames {
  static InstanceNames ForDataDir(std::string_view data_dir);

  std::string id;             // eight hex digits
  std::string bridge;         // "gantry-1a2b3c4d"
  std::string overlay;        // the tunnel device: "gvxlan-1a2b3c4d"
  std::string veth_prefix;    // host ends of pod interfaces begin with it
  std::string pod_table;      // nf_tables: host ports and masquerade
  std::string service_table;  // nf_tables: services
  std::string policy_table;   // nf_tables: network policies
  std::array<uint8_t, 6> bridge_mac{};

  // The host end of the interface of the pod that has `ip`.
  std::string VethOf(const IpAddress& ip) const;
};

// The last four bytes of an address: what tells the pods of one node apart.
uint32_t TailOf(const IpAddress& ip);

// The interface's hardware address follows from the pod's, so that neighbours may remember it
// across reuse.
std::array<uint8_t, 6> MacOf(const IpAddress& ip);
// That of a node's tunnel device follows from the node's name, so that its peers know it unasked.
std::array<uint8_t, 6> MacOfNode(std::string_view node_name);

}  // namespace gantry::net
