#pragma once

#include <absl/synchronization/mutex.h>

#include <map>
#include <string>
#include <vector>

#include "base/env/env.h"
#include "net/address_pool.h"
#include "net/cni/attachment.h"
#include "net/ip.h"
#include "net/pod_network.h"

namespace gantry::net {

struct CniOptions {
  CniOptions() = default;
  std::string data_dir;  // records are kept in DATA_DIR/net/cni
  std::string config_dir = "/etc/cni/net.d";
  std::vector<std::string> plugin_dirs = {"/opt/cni/bin", "/usr/lib/cni"};
};

// Pods on the network of CNI plug-ins: the first configuration in the directory, read anew for
// every pod. What a pod was attached with is recorded before its plug-ins are called, so that they
// are called again to take it down after a crash, with the same configuration. Threading: any
// thread; plug-ins of one pod run one after another, those of several at the same time. Calls run
// on the blocking pool.
class CniNetwork : public PodNetwork {
 public:
  CniNetwork(Env& env, CniOptions options);

  // Reads the records.
  Task<Status> Start();
  // The node's spec.podCIDRs, for plug-ins with the capability "ipRanges".
  void SetPodCidrs(std::vector<std::string> cidrs);

  Task<Result<std::vector<std::string>>> Attach(PodAttachment pod) override;
  Task<Status> Detach(std::string uid) override;
  Task<Status> ReleaseAllBut(std::vector<std::string> live_uids) override;
  std::string NotReadyReason() const override;

  // The pods that have addresses here, those of earlier runs included.
  std::vector<PodRecord> Attached() const;

  // Takes down what an instance has attached, with the plug-ins that did it.
  static Status CleanUp(const std::string& data_dir);

  // The namespace of the pod that has `ip` here, "" where none has.
  std::string NamespaceOf(const IpAddress& ip) const;

 private:
  Status StartNow();
  Result<std::vector<std::string>> AttachNow(const PodAttachment& pod);
  Status DetachNow(const std::string& uid);
  std::string PathOf(const std::string& uid) const;
  Status Write(const cni::Attachment& record) const;

  Env& env_;
  const CniOptions options_;
  mutable absl::Mutex mutex_;
  std::map<std::string, cni::Attachment> records_ ABSL_GUARDED_BY(mutex_);  // by uid
  std::vector<std::string> pod_cidrs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::net
