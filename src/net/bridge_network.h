#pragma once

#include <absl/synchronization/mutex.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env/env.h"
#include "net/address_pool.h"
#include "net/ip.h"
#include "net/names.h"
#include "net/netlink/route.h"
#include "net/pod_network.h"
#include "net/pod_rules.h"

namespace gantry::net {

struct BridgeOptions {
  BridgeOptions() = default;
  std::string data_dir;             // records are kept in DATA_DIR/net
  std::vector<Cidr> cluster_cidrs;  // all pods of the cluster
  std::vector<Cidr> service_cidrs;  // routed to the bridge, so that the host reaches services
                                    // without a default route
  // Addresses that the node itself answers on (cluster DNS), put on the bridge.
  std::vector<IpAddress> node_addresses;
  IpAddress node_ip;      // whose interface is the uplink; none: the one with the default route
  uint32_t mtu = 0;       // of the pods; 0: the uplink's, less the overhead, and it follows that
  uint32_t overhead = 0;  // bytes that the network between nodes puts before a pod's packet
};

// Pods on a bridge with subnets of the node's own, one for each IP family of the cluster. A pod
// gets one address of each (/32 and /128, everything through the gateway, so that all of its
// traffic passes the host's rules whether or not the bridge filters), an interface eth0 and default
// routes. Life cycle: Start once; SetPodCidrs when the node learns its subnets (the last ones are
// remembered over restarts). Nothing is taken down at the end: pods keep their network while the
// agent is away; see cleanup.h. Threading: any thread. Kernel calls run on the blocking pool.
class BridgeNetwork : public PodNetwork {
 public:
  BridgeNetwork(Env& env, BridgeOptions options);
  ~BridgeNetwork() override;

  // Takes up what an earlier run left. Fails where the kernel or the rights are missing.
  Task<Status> Start();
  // The node's spec.podCIDRs, at most one of each family. A change applies to pods attached from
  // then on.
  Task<Status> SetPodCidrs(std::vector<std::string> cidrs);
  // Why pods cannot have a network although there are subnets ("": they can), for
  // NotReadyReason().
  void SetObstacle(std::string reason);
  // Looks at the uplink and gives bridge and pods the MTU that goes with it.
  Task<Status> FollowUplink();
  // What pods may send, and the index of the interface that decides it.
  uint32_t mtu() const;
  int uplink() const;

  Task<Result<std::vector<std::string>>> Attach(PodAttachment pod) override;
  Task<Status> Detach(std::string uid) override;
  Task<Status> ReleaseAllBut(std::vector<std::string> live_uids) override;
  std::string NotReadyReason() const override;

  // The pods that have addresses here, those of earlier runs included.
  std::vector<PodRecord> Attached() const;
  // The namespace of the pod that has `ip` here, "" where none has.
  std::string NamespaceOf(const IpAddress& ip) const;

  const InstanceNames& names() const { return names_; }

 private:
  Status StartNow();
  Status SetPodCidrsNow(const std::vector<Cidr>& cidrs);
  Status EnsureBridge(RouteSocket& route, const std::vector<Cidr>& cidrs)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status EnsureBridgeAddress(RouteSocket& route, const Cidr& cidr)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status FollowUplinkNow();
  Status SetPodMtu(RouteSocket& route, const PodRecord& pod, uint32_t mtu);
  Result<std::vector<std::string>> AttachNow(const PodAttachment& pod);
  Status AttachInterface(const PodRecord& pod);
  Status DetachNow(const std::string& uid);
  Status ReleaseAllButNow(const std::vector<std::string>& live_uids);

  Env& env_;
  const BridgeOptions options_;
  const InstanceNames names_;
  std::vector<PodRules> rules_;  // one for each family of the cluster
  mutable absl::Mutex mutex_;
  std::optional<AddressPool> pool_ ABSL_GUARDED_BY(mutex_);
  std::string not_ready_ ABSL_GUARDED_BY(mutex_);
  std::string obstacle_ ABSL_GUARDED_BY(mutex_);
  int bridge_ ABSL_GUARDED_BY(mutex_) = 0;
  int uplink_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t mtu_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace gantry::net
