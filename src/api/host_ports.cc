#include "api/host_ports.h"

#include <algorithm>

#include "api/core/v1/container.pb.h"

namespace gantry::api {
namespace {

constexpr char kAnyAddress[] = "0.0.0.0";

void Append(const core::v1::Container& container, std::vector<HostPort>* out) {
  for (const auto& port : container.ports()) {
    if (port.host_port() == 0) continue;
    HostPort taken;
    taken.protocol = port.protocol().empty() ? "TCP" : port.protocol();
    taken.ip = port.host_ip().empty() ? kAnyAddress : port.host_ip();
    taken.port = port.host_port();
    taken.container_port = port.container_port();
    out->push_back(std::move(taken));
  }
}

}  // namespace

bool HostPort::ConflictsWith(const HostPort& other) const {
  return port == other.port && protocol == other.protocol &&
         (ip == other.ip || ip == kAnyAddress || other.ip == kAnyAddress);
}

std::vector<HostPort> HostPortsOf(const core::v1::Pod& pod) {
  std::vector<HostPort> ports;
  for (const auto& container : pod.spec().containers())
    Append(container, &ports);
  for (const auto& container : pod.spec().init_containers()) {
    if (container.restart_policy() == "Always") Append(container, &ports);
  }
  return ports;
}

bool AnyConflict(const std::vector<HostPort>& wanted, const std::vector<HostPort>& taken) {
  return std::any_of(wanted.begin(), wanted.end(), [&](const HostPort& one) {
    return std::any_of(taken.begin(), taken.end(),
                       [&](const HostPort& other) { return one.ConflictsWith(other); });
  });
}

}  // namespace gantry::api
