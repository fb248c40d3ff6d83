#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/overlay/settings.h"

namespace CLI {
class App;
}

namespace gantry::cli {

// What a server and an agent are told about the network of pods. Lists are of one or two entries
// with commas between, one for each IP family, the primary first.
struct NetworkOptions {
  std::string cluster_cidr = "10.42.0.0/16";
  std::string service_cidr = "10.43.0.0/16";
  std::string cluster_dns = "10.43.0.10";
  std::string cluster_domain = "cluster.local";
  std::string node_ip;      // empty: found out
  std::string overlay;      // empty: what the cluster has, vxlan at first
  uint32_t vxlan_vni = 0;   // 0: what the cluster has, made from its CA at first
  uint16_t vxlan_port = 0;  // 0: what the cluster has, 8472 at first
  uint32_t pod_mtu = 0;     // 0: what the uplink leaves
  bool cni = false;         // pods are on the network of CNI plug-ins
  std::string cni_conf_dir = "/etc/cni/net.d";
  std::string cni_bin_dir = "/opt/cni/bin,/usr/lib/cni";
};

// Adds their flags to a command. `options` outlives it.
void AddNetworkFlags(CLI::App& command, NetworkOptions* options);

// Where cluster DNS was not told an address of its own, it has the tenth of each range of services.
// Ranges that are none are left for CheckNetwork.
void PlaceClusterDns(NetworkOptions* options);

// Refuses ranges that are none, too many, in each other's way, or of families that do not fit.
Status CheckNetwork(const NetworkOptions& options);
// Refuses ranges that overlap with networks this machine is in, other than those that an instance
// with this data directory made.
Status CheckMachineNetworks(const NetworkOptions& options, const std::string& data_dir);

// The node's own addresses: those of --node-ip, or those found out, one for each family of the
// pods. kInvalid for an address that is none. `primary`: where --node-ip says nothing, an address
// that is known already ("": none).
Result<std::vector<std::string>> NodeAddresses(const NetworkOptions& options,
                                               const std::string& primary);

// The settings of the network between nodes, of options that are complete.
Result<net::OverlaySettings> OverlayOf(const NetworkOptions& options);

// A list's entries.
std::vector<std::string> SplitList(const std::string& list);

}  // namespace gantry::cli
