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
#include "net/cni/cni_network.h"
#include "net/dns_server.h"
#include "net/ip.h"
#include "net/overlay/overlay.h"
#include "net/overlay/plan.h"
#include "net/overlay/settings.h"
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
  std::vector<std::string> node_ips;  // this node's addresses, the primary first
  OverlaySettings overlay;
  std::string cluster_dns = "10.43.0.10";  // a list; "": no DNS server
  std::string cluster_domain = "cluster.local";
  std::string resolv_conf = "/etc/resolv.conf";
  uint32_t mtu = 0;  // of pods; 0: what the uplink leaves
  // Pods are on the network of CNI plug-ins, which is theirs between nodes too.
  bool cni = false;
  std::string cni_config_dir = "/etc/cni/net.d";
  std::vector<std::string> cni_plugin_dirs = {"/opt/cni/bin", "/usr/lib/cni"};
};

// The whole network of one node: pods on a bridge (or on CNI plug-ins' network), the way to other
// nodes' pods, services, network policies, DNS. It takes the pod CIDRs from its Node object when
// that has some, and peers from all Node objects. Life cycle: Make before informers.Start(); Start,
// then Stop. What it set up in the kernel stays (see cleanup.h). Threading: any thread.
class NodeNetwork {
 public:
  // kInvalid when an option is not what it should be. `env` and `informers` outlive the network.
  static Result<std::unique_ptr<NodeNetwork>> Make(Env& env, client::InformerSet& informers,
                                                   const NodeNetworkOptions& options);
  ~NodeNetwork();

  Task<Status> Start();
  Task<> Stop();

  // The node's spec.podCIDRs, for who knows them before the informer.
  Task<Status> SetPodCidrs(std::vector<std::string> cidrs);

  PodNetwork& pods() { return *policed_; }
  EndpointDrain& drain() { return *proxy_; }
  ServiceProxy& proxy() { return *proxy_; }
  PolicyEnforcer& policies() { return *policies_; }
  // The namespace of the pod that has `ip` here, "" where none has.
  std::string NamespaceOf(const IpAddress& ip) const;

 private:
  NodeNetwork(Env& env, client::InformerSet& informers, const NodeNetworkOptions& options,
              BridgeOptions bridge, ServiceProxyOptions proxy, PolicyOptions policies,
              DnsOptions dns);
  void MakePodNetwork(client::InformerSet& informers, const NodeNetworkOptions& options);
  Task<Status> StartPodNetwork();
  void NodeChanged(const api::ObjectPtr& before, const api::ObjectPtr& after);
  Task<> FollowNodes();
  Task<> FollowUplink(Executor strand);
  Task<Status> ApplyNodes(OverlayNodes nodes);
  void Report(const OverlayPlan& plan);

  Env& env_;
  const std::string node_name_;
  const OverlaySettings settings_;
  const IpAddress underlay_;
  const BridgeOptions bridge_options_;
  std::unique_ptr<CniNetwork> cni_;  // null: the following three are there
  client::Informer* informer_ = nullptr;
  std::unique_ptr<Overlay> overlay_;
  std::unique_ptr<BridgeNetwork> bridge_;
  std::unique_ptr<ServiceProxy> proxy_;
  std::unique_ptr<PolicyEnforcer> policies_;
  std::unique_ptr<PolicedNetwork> policed_;  // the network of pods, under them
  std::unique_ptr<DnsServer> dns_;           // null: none
  CancelSource cancel_;
  Gate gate_;
  Notifier nodes_changed_, uplink_changed_;
  std::vector<std::string> reported_;  // of FollowNodes: what was said about other nodes last
  absl::Mutex mutex_;
  OverlayNodes nodes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::net
