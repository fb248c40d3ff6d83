#pragma once

#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "base/status.h"
#include "client/informer.h"
#include "net/bridge_network.h"
#include "net/dns_server.h"
#include "net/ip.h"
#include "net/pod_network.h"
#include "net/policy/policed_network.h"
#include "net/policy/policy_enforcer.h"
#include "net/service_proxy.h"

namespace gantry::net {

struct NodeNetworkOptions {
  NodeNetworkOptions() = default;
  std::string data_dir;
  std::string node_name;
  std::vector<std::string> cluster_cidrs = {"10.42.0.0/16"};
  std::vector<std::string> service_cidrs = {"10.43.0.0/16"};
  std::string cluster_dns = "10.43.0.10";  // "": no DNS server
  std::string cluster_domain = "cluster.local";
  std::string resolv_conf = "/etc/resolv.conf";
  uint32_t mtu = 0;  // 0: that of the uplink
};

// The whole network of one node: pods on a bridge, services, network policies, DNS. It takes the
// pod CIDR from its Node object when that has one. Life cycle: Make before informers.Start();
// Start, then Stop. What it set up in the kernel stays (see cleanup.h). Threading: any thread.
class NodeNetwork {
 public:
  // kInvalid when an option is not what it should be. `env` and `informers` outlive the network.
  static Result<std::unique_ptr<NodeNetwork>> Make(Env& env, client::InformerSet& informers,
                                                   const NodeNetworkOptions& options);
  ~NodeNetwork();

  Task<Status> Start();
  Task<> Stop();

  PodNetwork& pods() { return *policed_; }
  EndpointDrain& drain() { return *proxy_; }
  BridgeNetwork& bridge() { return *bridge_; }
  ServiceProxy& proxy() { return *proxy_; }
  PolicyEnforcer& policies() { return *policies_; }

 private:
  NodeNetwork(Env& env, client::InformerSet& informers, BridgeOptions bridge,
              ServiceProxyOptions proxy, PolicyOptions policies, DnsOptions dns);
  Task<> FollowNode();

  Env& env_;
  std::unique_ptr<BridgeNetwork> bridge_;
  std::unique_ptr<ServiceProxy> proxy_;
  std::unique_ptr<PolicyEnforcer> policies_;
  std::unique_ptr<PolicedNetwork> policed_;  // the bridge, under them
  std::unique_ptr<DnsServer> dns_;           // null: none
  CancelSource cancel_;
  Gate gate_;
  Notifier cidrs_changed_;
  absl::Mutex mutex_;
  std::vector<std::string> pod_cidrs_ ABSL_GUARDED_BY(mutex_);  // those of the Node object
};

}  // namespace gantry::net
