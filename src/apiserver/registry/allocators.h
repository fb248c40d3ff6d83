#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/core/v1/service.pb.h"
#include "api/field_error.h"
#include "base/env/env.h"
#include "base/status.h"
#include "store/cache/watch_cache.h"
#include "store/store.h"

namespace gantry::apiserver {

// Hands out the addresses of services and node ports. A claim is a key of the store that must be
// absent, written in the same commit as the service: so nothing is ever given twice, whoever else
// writes, and nothing leaks. IPAddress objects are those claims for addresses, as in Kubernetes.
// Threading: any thread.
class Allocators {
 public:
  // Both outlive this.
  Allocators(Env& env, store::WatchCaches& caches) : env_(env), caches_(caches) {}

  // Before anything else. `service_cidr`: "10.43.0.0/16"; kBadRequest when it is no IPv4 range
  // between /8 and /29.
  Status Configure(std::string_view service_cidr, int32_t first_node_port = 30000,
                   int32_t last_node_port = 32767);

  // Fills clusterIP(s), ipFamilies and node ports of a service that comes (`old` null) or changes,
  // adds the claims, and the releases of what `old` no longer uses.
  Status Allocate(api::core::v1::Service* service, const api::core::v1::Service* old,
                  std::vector<store::Write>* writes, api::FieldErrors* errors);
  void Release(const api::core::v1::Service& service, std::vector<store::Write>* writes);

  // The first address of the range: that of the service "kubernetes".
  std::string first_address() const;
  const std::string& service_cidr() const { return cidr_; }

 private:
  bool AddressTaken(const std::string& address) const;
  bool PortTaken(int32_t port) const;
  void ClaimAddress(const api::core::v1::Service& service, const std::string& address,
                    std::vector<store::Write>* writes);
  Status AllocateAddress(api::core::v1::Service* service, std::vector<store::Write>* writes,
                         api::FieldErrors* errors);
  Status AllocatePorts(api::core::v1::Service* service, const api::core::v1::Service* old,
                       std::vector<store::Write>* writes, api::FieldErrors* errors);

  Env& env_;
  store::WatchCaches& caches_;
  std::string cidr_;
  uint32_t network_ = 0;
  uint32_t size_ = 0;  // addresses in the range
  int32_t first_port_ = 0, last_port_ = 0;
};

}  // namespace gantry::apiserver
