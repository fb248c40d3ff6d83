#pragma once

#include <absl/synchronization/mutex.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "client/informer.h"
#include "net/ip.h"

namespace gantry::net::dns {

// What DNS needs to know of one service.
struct ServiceRecord {
  enum class Kind : uint8_t { kClusterIp, kHeadless, kExternalName };
  struct Port {
    std::string name, protocol;  // lower case
    uint16_t number = 0;
  };
  struct Endpoint {
    IpAddress ip;
    std::string hostname;  // lower case; where the endpoint has none, its address with dashes
  };
  // Endpoints that share their ports: one slice.
  struct Group {
    std::vector<Endpoint> endpoints;  // ready ones
    std::vector<Port> ports;
  };

  std::string name, ns;
  Kind kind = Kind::kClusterIp;
  std::vector<IpAddress> cluster_ips;
  std::vector<Port> ports;
  std::string external_name;
  std::vector<Group> groups;
};
using ServiceRecordPtr = std::shared_ptr<const ServiceRecord>;

// "10.1.2.3" as "10-1-2-3".
std::string DashedIp(const IpAddress& ip);

// Services, endpoints and namespaces as DNS sees them, kept up to date from informers.
// Life cycle: made before informers.Start(). Threading: any thread; reads do not wait for anything
// slow.
class ClusterRecords {
 public:
  explicit ClusterRecords(client::InformerSet& informers);

  // Until then a missing name may only be missing here.
  bool synced() const;
  bool HasNamespace(std::string_view ns) const;
  // Null when there is none. Names in lower case.
  ServiceRecordPtr Find(std::string_view ns, std::string_view name) const;
  // The service that has `ip` as its cluster address, else null.
  ServiceRecordPtr FindByClusterIp(const IpAddress& ip) const;
  // The services that have `ip` as an endpoint.
  std::vector<ServiceRecordPtr> FindByEndpoint(const IpAddress& ip) const;
  // Seconds; grows with changes. The serial of the zone.
  uint32_t serial() const;

 private:
  using Key = std::pair<std::string, std::string>;  // namespace, name
  void Rebuild(const Key& key);
  ServiceRecordPtr Build(const Key& key) const;
  void Index(const ServiceRecordPtr& record, bool add) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  client::Informer& services_;
  client::Informer& slices_;
  client::Informer& namespaces_;
  absl::Mutex rebuild_mutex_;  // one rebuild at a time, so that the newest view wins
  mutable absl::Mutex mutex_;
  std::unordered_map<std::string, ServiceRecordPtr> by_name_ ABSL_GUARDED_BY(mutex_);  // "name.ns"
  std::unordered_map<std::string, ServiceRecordPtr> by_cluster_ip_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<std::string, std::vector<ServiceRecordPtr>> by_endpoint_
      ABSL_GUARDED_BY(mutex_);
  uint32_t serial_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace gantry::net::dns
