#include "node/pod/admission.h"

#include <algorithm>

#include "api/core/v1/node_status.pb.h"
#include "api/core/v1/security.pb.h"
#include "api/host_ports.h"
#include "api/pod_resources.h"

namespace gantry::node {
namespace {

using api::core::v1::Node;
using api::core::v1::Pod;

// The sysctls that pods may set: each belongs to a namespace of the pod's own.
struct SafeSysctl {
  std::string_view name, ns;
};
constexpr SafeSysctl kSafeSysctls[] = {
    {"kernel.shm_rmid_forced", "IPC"},           {"net.ipv4.ip_local_port_range", "Net"},
    {"net.ipv4.ip_local_reserved_ports", "Net"}, {"net.ipv4.ip_unprivileged_port_start", "Net"},
    {"net.ipv4.ping_group_range", "Net"},        {"net.ipv4.tcp_fin_timeout", "Net"},
    {"net.ipv4.tcp_keepalive_intvl", "Net"},     {"net.ipv4.tcp_keepalive_probes", "Net"},
    {"net.ipv4.tcp_keepalive_time", "Net"},      {"net.ipv4.tcp_rmem", "Net"},
    {"net.ipv4.tcp_syncookies", "Net"},          {"net.ipv4.tcp_wmem", "Net"},
};

std::optional<Rejection> ForbiddenSysctl(const Pod& pod) {
  for (const auto& sysctl : pod.spec().security_context().sysctls()) {
    std::string name = SysctlName(sysctl.name());
    auto safe = std::find_if(std::begin(kSafeSysctls), std::end(kSafeSysctls),
                             [&](const SafeSysctl& s) { return s.name == name; });
    std::string why;
    if (safe == std::end(kSafeSysctls)) {
      why = "not allowlisted";
    } else if (safe->ns == "IPC" ? pod.spec().host_ipc() : pod.spec().host_network()) {
      why = "not allowed with host " + std::string(safe->ns) + " enabled";
    }
    if (!why.empty())
      return Rejection{"SysctlForbidden", "forbidden sysctl: \"" + name + "\" " + why};
  }
  return std::nullopt;
}

}  // namespace

std::string SysctlName(std::string_view name) {
  std::string dotted(name);
  // The first separator says which kind they are: "net/ipv4/conf/eth0.5/x" has its dots for
  // slashes.
  size_t first = dotted.find_first_of("./");
  if (first == std::string::npos || dotted[first] == '.') return dotted;
  for (char& c : dotted)
    c = c == '/' ? '.' : c == '.' ? '/' : c;
  return dotted;
}

std::optional<Rejection> AdmitPod(const Pod& pod, const std::vector<const Pod*>& others,
                                  const Node& node) {
  if (std::optional<Rejection> sysctl = ForbiddenSysctl(pod)) return sysctl;
  const auto& labels = node.metadata().labels();
  for (const auto& [key, value] : pod.spec().node_selector()) {
    auto it = labels.find(key);
    if (it == labels.end() || it->second != value) {
      return Rejection{
          "NodeAffinity",
          "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"};
    }
  }
  api::ResourceAmounts used;
  for (const Pod* other : others) {
    for (const auto& [name, amount] : api::PodRequests(*other))
      used[name] += amount;
  }
  const api::ResourceAmounts asked = api::PodRequests(pod);
  const api::ResourceAmounts capacity = api::ToAmounts(node.status().allocatable());
  auto allocatable = [&capacity](const std::string& name) {
    auto it = capacity.find(name);
    return it == capacity.end() ? int64_t{0} : it->second;
  };
  auto insufficient = [](const std::string& name, int64_t request, int64_t in_use,
                         int64_t capacity) {
    return Rejection{"OutOf" + name, "Node didn't have enough resource: " + name +
                                         ", requested: " + std::to_string(request) +
                                         ", used: " + std::to_string(in_use) +
                                         ", capacity: " + std::to_string(capacity)};
  };
  int64_t pods = static_cast<int64_t>(others.size());
  if (pods + 1 > allocatable("pods")) return insufficient("pods", 1, pods, allocatable("pods"));
  for (const auto& [name, request] : asked) {
    if (request > 0 && used[name] + request > allocatable(name))
      return insufficient(name, request, used[name], allocatable(name));
  }
  const std::vector<api::HostPort> ports = api::HostPortsOf(pod);
  for (const Pod* other : others) {
    if (!ports.empty() && api::AnyConflict(ports, api::HostPortsOf(*other))) {
      return Rejection{"NodePorts",
                       "Predicate NodePorts failed: node(s) didn't have free ports for the "
                       "requested pod ports"};
    }
  }
  return std::nullopt;
}

}  // namespace gantry::node
