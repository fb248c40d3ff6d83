#include "cli/network_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/log.h"
#include "cli/host.h"
#include "cli/machine_options.h"
#include "net/ip.h"
#include "net/names.h"
#include "net/netlink/route.h"

namespace gantry::cli {
namespace {

using net::Cidr;

struct TextRow {
  const char* flag;
  const char* type;
  std::string NetworkOptions::* value;
  const char* help;
};
constexpr TextRow kTextRows[] = {
    {"--cluster-cidr", "CIDR[,CIDR]", &NetworkOptions::cluster_cidr,
     "Ranges of pod addresses, one for each IP family"},
    {"--service-cidr", "CIDR[,CIDR]", &NetworkOptions::service_cidr, "Ranges of service addresses"},
    {"--cluster-dns", "ADDRESS[,ADDRESS]", &NetworkOptions::cluster_dns,
     "Addresses of cluster DNS"},
    {"--cluster-domain", "DOMAIN", &NetworkOptions::cluster_domain, "Domain of services"},
    {"--node-ip", "ADDRESS[,ADDRESS]", &NetworkOptions::node_ip,
     "Addresses of the node (default: those of the default routes)"},
    {"--overlay", "KIND", &NetworkOptions::overlay,
     "How pods reach other nodes: vxlan, host-routes (all nodes on one link) or none (default: the "
     "cluster's, vxlan at first)"},
    {"--cni-conf-dir", "DIR", &NetworkOptions::cni_conf_dir, "Where the networks for --cni are"},
    {"--cni-bin-dir", "DIR[,DIR]", &NetworkOptions::cni_bin_dir,
     "Where the plug-ins for --cni are"},
};

// A list of ranges, at most one of each family.
Result<std::vector<Cidr>> ParseRanges(const std::string& flag, const std::string& list) {
  Result<std::vector<Cidr>> ranges = net::ParseCidrs(list);
  if (!ranges.ok()) return ranges.status().WithContext(flag);
  if (ranges->empty()) return Status(Code::kInvalid, flag + " is empty");
  if (ranges->size() > 2 ||
      (ranges->size() == 2 && ranges->at(0).address.size == ranges->at(1).address.size)) {
    return Status(Code::kInvalid,
                  flag + " " + list + ": one range, or one of IPv4 and one of IPv6, is possible");
  }
  return ranges;
}

bool HasFamily(const std::vector<Cidr>& ranges, uint8_t size) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const Cidr& range) { return range.address.size == size; });
}

}  // namespace

void AddNetworkFlags(CLI::App& command, NetworkOptions* options) {
  for (const TextRow& row : kTextRows)
    AddTextFlag(command, row.flag, row.type, &(options->*row.value), row.help);
  command
      .add_option("--vxlan-vni", options->vxlan_vni,
                  "Number of the VXLAN between nodes (default: the cluster's own)")
      ->type_name("NUMBER")
      ->check(CLI::Range(1u, (1u << 24) - 1));
  command
      .add_option("--vxlan-port", options->vxlan_port,
                  "UDP port of the VXLAN between nodes (default: the cluster's, 8472 at first)")
      ->type_name("PORT");
  command
      .add_option("--pod-mtu", options->pod_mtu,
                  "Largest packet of pods (default: what the uplink leaves)")
      ->type_name("BYTES");
  command.add_flag("--cni", options->cni,
                   "Leave the network of pods to CNI plug-ins, between nodes too");
}

std::vector<std::string> SplitList(const std::string& list) {
  std::vector<std::string> entries;
  for (size_t begin = 0; begin < list.size();) {
    const size_t comma = std::min(list.find(',', begin), list.size());
    if (comma > begin) entries.push_back(list.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return entries;
}

void PlaceClusterDns(NetworkOptions* options) {
  Result<std::vector<Cidr>> services = net::ParseCidrs(options->service_cidr);
  if (!services.ok() || options->cluster_dns != NetworkOptions().cluster_dns) return;
  options->cluster_dns.clear();
  for (const Cidr& range : *services) {
    if (!options->cluster_dns.empty()) options->cluster_dns += ",";
    options->cluster_dns += range.At(10).ToString();
  }
}

Status CheckNetwork(const NetworkOptions& options) {
  GANTRY_ASSIGN(const auto pods, ParseRanges("--cluster-cidr", options.cluster_cidr));
  GANTRY_ASSIGN(const auto services, ParseRanges("--service-cidr", options.service_cidr));
  for (const Cidr& range : services) {
    if (!HasFamily(pods, range.address.size)) {
      return Status(Code::kInvalid, "--service-cidr " + range.ToString() +
                                        " is of an IP family that --cluster-cidr " +
                                        options.cluster_cidr + " has no range of");
    }
    for (const Cidr& other : pods) {
      if (range.Overlaps(other)) {
        return Status(Code::kInvalid, "--cluster-cidr " + other.ToString() +
                                          " and --service-cidr " + range.ToString() +
                                          " overlap; choose another range");
      }
    }
  }
  Result<std::vector<net::IpAddress>> dns = net::ParseAddresses(options.cluster_dns);
  if (!dns.ok()) return dns.status().WithContext("--cluster-dns");
  for (const net::IpAddress& ip : *dns) {
    const bool inside = std::any_of(services.begin(), services.end(),
                                    [&](const Cidr& range) { return range.Contains(ip); });
    if (!inside) {
      return Status(Code::kInvalid, "--cluster-dns " + ip.ToString() +
                                        " is not in --service-cidr " + options.service_cidr);
    }
  }
  if (!options.overlay.empty()) GANTRY_TRY(net::OverlaySettings::ParseMode(options.overlay));
  return Status::Ok();
}

Status CheckMachineNetworks(const NetworkOptions& options, const std::string& data_dir) {
  const auto names = net::InstanceNames::ForDataDir(data_dir);
  GANTRY_ASSIGN(auto route, net::RouteSocket::Open());
  GANTRY_ASSIGN(const auto links, route.Links());
  GANTRY_ASSIGN(const auto addresses, route.Addresses());
  for (const auto& [flag, list] : {std::pair("--cluster-cidr", &options.cluster_cidr),
                                   std::pair("--service-cidr", &options.service_cidr)}) {
    // Plug-ins give interfaces of the machine addresses of the pods' range.
    if (options.cni && list == &options.cluster_cidr) continue;
    GANTRY_ASSIGN(const auto ranges, net::ParseCidrs(*list));
    for (const net::InterfaceAddress& address : addresses) {
      auto link = std::find_if(links.begin(), links.end(), [&](const net::Link& candidate) {
        return candidate.index == address.link;
      });
      if (link == links.end() || link->name == names.bridge || link->name == names.overlay)
        continue;
      const std::string text = address.ip.ToString() + "/" + std::to_string(address.prefix);
      GANTRY_ASSIGN(const Cidr network, Cidr::Parse(text));
      for (const Cidr& range : ranges) {
        if (!range.Overlaps(network)) continue;
        const std::string what = std::string(flag) + " " + range.ToString() + " overlaps with " +
                                 text + " of interface " + link->name;
        if (!range.Contains(address.ip)) {
          // A wide network around the range: only the part that the range covers is lost.
          log::Warning("network", what + ": machines there that have such addresses are cut off");
        } else if (link->name.starts_with("gantry-")) {
          return Status(Code::kInvalid,
                        what +
                            ", another gantry's on this machine; choose another range, or "
                            "remove what that one left with: gantry cleanup --data-dir DIR");
        } else {
          return Status(Code::kInvalid, what + " of this machine; choose another range");
        }
      }
    }
  }
  return Status::Ok();
}

Result<std::vector<std::string>> NodeAddresses(const NetworkOptions& options,
                                               const std::string& primary) {
  if (!options.node_ip.empty()) {
    Result<std::vector<net::IpAddress>> given = net::ParseAddresses(options.node_ip);
    if (!given.ok()) return given.status().WithContext("--node-ip");
    if (given->size() > 2 || (given->size() == 2 && given->at(0).size == given->at(1).size)) {
      return Status(Code::kInvalid, "--node-ip " + options.node_ip +
                                        ": one address, or one of IPv4 and one of IPv6, is "
                                        "possible");
    }
    return SplitList(options.node_ip);
  }
  GANTRY_ASSIGN(const auto pods, net::ParseCidrs(options.cluster_cidr));
  std::vector<std::string> found;
  const std::optional<net::IpAddress> known = net::IpAddress::Parse(primary);
  for (const Cidr& range : pods) {
    if (known && known->size == range.address.size) {
      found.push_back(primary);
    } else if (std::string address = DefaultAddress(range.address.is_v6()); !address.empty()) {
      found.push_back(std::move(address));
    }
  }
  // A machine without a network still has a node.
  if (found.empty()) found.push_back(primary.empty() ? DefaultAddress() : primary);
  return found;
}

Result<net::OverlaySettings> OverlayOf(const NetworkOptions& options) {
  net::OverlaySettings settings;
  if (!options.overlay.empty()) {
    GANTRY_ASSIGN(settings.mode, net::OverlaySettings::ParseMode(options.overlay));
  }
  if (options.vxlan_vni != 0) settings.vni = options.vxlan_vni;
  if (options.vxlan_port != 0) settings.port = options.vxlan_port;
  return settings;
}

}  // namespace gantry::cli
