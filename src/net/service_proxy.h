#pragma once

#include <absl/synchronization/mutex.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "client/informer.h"
#include "net/ip.h"
#include "net/names.h"
#include "net/pod_network.h"
#include "net/service/frontends.h"
#include "net/service/health_check_server.h"
#include "net/service/service_rules.h"

namespace gantry::net {

struct ServiceProxyOptions {
  ServiceProxyOptions() = default;
  std::string data_dir;  // names the table
  std::string node_name;
  std::vector<Cidr> cluster_cidrs;
  std::vector<Cidr> service_cidrs;  // of the families that services have addresses of
  // Port 53 of these is the node's own DNS server, not a service.
  std::vector<IpAddress> dns_addresses;
};

// Leads connections to services to their endpoints, in the kernel: ClusterIP, NodePort, external
// and load balancer addresses, from pods and from this host, of both families; and answers load
// balancers on health check node ports. Follows Services, EndpointSlices and the node's own Node; a
// change is applied within milliseconds, and under many changes once per short interval. Stopping
// leaves the rules in place. Life cycle: made before informers.Start(); Start, then Stop.
// Threading: any thread.
class ServiceProxy : public EndpointDrain {
 public:
  // `env` and `informers` outlive the proxy.
  ServiceProxy(Env& env, client::InformerSet& informers, ServiceProxyOptions options);
  ~ServiceProxy() override;

  void Start();
  Task<> Stop();

  // Until the kernel has every service that was there at the start, or `cancel`.
  Task<Status> WaitForSync(CancelToken cancel);
  // Why the kernel refuses what we ask for; "" when all is well.
  std::string Problem() const;

  Task<> AwaitDrained(std::vector<std::string> pod_ips, SteadyTime deadline) override;

 private:
  using ServiceKey = std::pair<std::string, std::string>;  // namespace, name

  Task<> Run();
  void MarkDirty(ServiceKey key);
  void FollowNode(const api::ObjectPtr& node);
  // What the service means here; keeps its health check.
  std::vector<Frontend> Build(const ServiceKey& key);
  // On the blocking pool, one at a time.
  Status SyncAll();
  Status SyncSome(const std::set<ServiceKey>& dirty);
  bool ForgetDue() const;
  // On the blocking pool, when it is due.
  Status ForgetUnanswered();
  ServiceRules* RulesOf(const IpAddress& ip) const;
  void UpdateHealthChecks(bool healthy);
  // Gives the service those of `frontends` that no other one has.
  void Claim(const ServiceKey& key, std::vector<Frontend> frontends,
             std::map<FrontendKey, Frontend>* claimed);
  bool Drained(const std::vector<IpAddress>& ips) const;

  Env& env_;
  client::Informer& services_;
  client::Informer& slices_;
  client::Informer& node_;
  std::vector<FrontendKey> reserved_;  // answered by the node itself: never a frontend

  Gate gate_;
  CancelSource cancel_;
  Notifier dirty_notifier_;
  Notifier applied_notifier_;

  // Of the sync loop alone (but for ServiceRules::Uses).
  std::vector<std::unique_ptr<ServiceRules>> rules_;  // one of each family
  NodePlace synced_place_;
  std::map<ServiceKey, HealthCheck> health_checks_;
  HealthCheckServer health_;
  std::map<ServiceKey, std::vector<FrontendKey>> claims_;
  std::map<FrontendKey, ServiceKey> owners_;
  std::set<ServiceKey> contested_;  // they lack a frontend that another service has

  mutable absl::Mutex mutex_;
  std::set<ServiceKey> dirty_ ABSL_GUARDED_BY(mutex_);
  NodePlace place_ ABSL_GUARDED_BY(mutex_);
  bool synced_ ABSL_GUARDED_BY(mutex_) = false;
  std::string problem_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::net
