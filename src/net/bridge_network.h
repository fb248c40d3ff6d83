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
  uint32_t mtu = 0;  // 0: that of the interface with the default route
};

// Pods on a bridge with a subnet of the node's own. A pod gets one address (/32, everything through
// the gateway, so that all of its traffic passes the host's rules whether or not the bridge
// filters), an interface eth0 and a default route. Life cycle: Start once; SetPodCidrs when the
// node learns its subnet (the last one is remembered over restarts). Nothing is taken down at the
// end: pods keep their network while the agent is away; see cleanup.h. Threading: any thread.
// Kernel calls run on the blocking pool.
class BridgeNetwork : public PodNetwork {
 public:
  BridgeNetwork(Env& env, BridgeOptions options);
  ~BridgeNetwork() override;

  // Takes up what an earlier run left. Fails where the kernel or the rights are missing.
  Task<Status> Start();
  // The node's spec.podCIDRs; the first IPv4 one is used. A change applies to pods attached from
  // then on.
  Task<Status> SetPodCidrs(std::vector<std::string> cidrs);

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
  Status SetPodCidrNow(const Cidr& cidr);
  Status EnsureBridge(const Cidr& cidr) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Result<std::vector<std::string>> AttachNow(const PodAttachment& pod);
  Status AttachInterface(const PodAttachment& pod, const IpAddress& ip, const IpAddress& gateway);
  Status DetachNow(const std::string& uid);
  Status ReleaseAllButNow(const std::vector<std::string>& live_uids);

  Env& env_;
  const BridgeOptions options_;
  const InstanceNames names_;
  PodRules rules_;
  mutable absl::Mutex mutex_;
  std::optional<AddressPool> pool_ ABSL_GUARDED_BY(mutex_);
  std::string not_ready_ ABSL_GUARDED_BY(mutex_);
  int bridge_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t mtu_ ABSL_GUARDED_BY(mutex_) = 1500;
};

}  // namespace gantry::net
