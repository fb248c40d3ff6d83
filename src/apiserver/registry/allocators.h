#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/core/v1/service.pb.h"
#include "api/field_error.h"
#include "base/env/env.h"
#include "base/ip.h"
#include "base/status.h"
#include "store/cache/watch_cache.h"
#include "store/store.h"

namespace gantry::apiserver {

// Hands out the addresses of services and node ports. A claim is a key of the store that must be
// absent, written in the same commit as the service: so nothing is ever given twice, whoever else
// writes, and nothing leaks. IPAddress objects are those claims for addresses, as in Kubernetes.
// Addresses come from the ranges that it was configured with, and from those of ServiceCIDR objects
// of the same families. Threading: any thread.
class Allocators {
 public:
  // Both outlive this.
  Allocators(Env& env, store::WatchCaches& caches) : env_(env), caches_(caches) {}

  // Before anything else. `service_cidrs`: "10.43.0.0/16" or "10.43.0.0/16,fd43::/112", the family
  // that services get by default first; kBadRequest when that is not one range of each family, or
  // one is too large (IPv4: /8, IPv6: /64) or too small for services.
  Status Configure(std::string_view service_cidrs, int32_t first_node_port = 30000,
                   int32_t last_node_port = 32767);

  // Fills cluster addresses, families, node ports and the health check port of a service that comes
  // (`old` null) or changes, adds the claims, and the releases of what `old` no longer uses.
  Status Allocate(api::core::v1::Service* service, const api::core::v1::Service* old,
                  std::vector<store::Write>* writes, api::FieldErrors* errors);
  void Release(const api::core::v1::Service& service, std::vector<store::Write>* writes);

  // The first address of the first range: that of the service "kubernetes".
  IpAddress first_address() const { return cidrs_.front().At(1); }
  const std::vector<Cidr>& service_cidrs() const { return cidrs_; }

 private:
  bool AddressTaken(const IpAddress& address) const;
  bool PortTaken(int32_t port) const;
  // "" when the port may be claimed.
  std::string WhyNotPort(int32_t port) const;
  // The ranges that addresses of a family may come from.
  std::vector<Cidr> RangesOf(std::string_view family) const;
  // A free address of the ranges; nullopt: they are full.
  std::optional<IpAddress> FreeAddress(const std::vector<Cidr>& ranges) const;
  std::optional<int32_t> FreePort(const std::vector<int32_t>& used) const;
  void ClaimAddress(const api::core::v1::Service& service, const IpAddress& address,
                    std::vector<store::Write>* writes) const;
  Status AllocateAddresses(api::core::v1::Service* service, const api::core::v1::Service* old,
                           std::vector<store::Write>* writes, api::FieldErrors* errors) const;
  Status AllocatePorts(api::core::v1::Service* service, const api::core::v1::Service* old,
                       std::vector<store::Write>* writes, api::FieldErrors* errors) const;

  Env& env_;
  store::WatchCaches& caches_;
  std::vector<Cidr> cidrs_;
  std::vector<std::string> families_;  // of cidrs_
  int32_t first_port_ = 0, last_port_ = 0;
};

// The numbers that a service has of the node ports, its health check port among them.
std::vector<int32_t> NodePortsOf(const api::core::v1::Service& service);

}  // namespace gantry::apiserver
