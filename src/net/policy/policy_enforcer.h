#pragma once

#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "client/informer.h"
#include "net/address_pool.h"
#include "net/ip.h"
#include "net/policy/policy_index.h"
#include "net/policy/policy_rules.h"

namespace gantry::net {

struct PolicyOptions {
  PolicyOptions() = default;
  std::string data_dir;  // names the tables
  std::string node_name;
  // Where the node's own DNS server answers. Policies see it as a pod of kube-system with the label
  // k8s-app=kube-dns, as which everybody knows cluster DNS.
  std::vector<IpAddress> dns_addresses;
};

// A pod that has been given its addresses on this node.
struct GuardedPod {
  GuardedPod() = default;
  std::string uid, ns, name;
  int64_t revision = 0;  // of the object that it is started from
  std::vector<IpAddress> addresses;
};

// Keeps the NetworkPolicies of the cluster in the node's kernel. While there is no policy it
// follows the policies alone; from the first one on also the pods and namespaces of the cluster. A
// change is applied within milliseconds, whatever came meanwhile together with it. Stopping leaves
// the rules in place; a start replaces them in one step once it knows what they should be. Life
// cycle: made before informers.Start(); Start, then Stop. Threading: any thread.
class PolicyEnforcer {
 public:
  // `env` and `informers` outlive the enforcer.
  PolicyEnforcer(Env& env, client::InformerSet& informers, PolicyOptions options);
  ~PolicyEnforcer();

  // `pods`: those that earlier runs have attached.
  void Start(const std::vector<PodRecord>& pods);
  Task<> Stop();

  // Returns when the kernel has the policies that select the pod: all that the API server knows at
  // the time of the call. An error when the kernel refuses them.
  Task<Status> Admit(GuardedPod pod);
  // The pod's addresses belong to nobody any more.
  void Forget(const std::string& uid);
  void ForgetAllBut(const std::vector<std::string>& live_uids);

  // Until the kernel has every policy that was there at the start, or `cancel`.
  Task<Status> WaitForSync(CancelToken cancel);
  // Why the kernel refuses what we ask for; "" when all is well.
  std::string Problem() const;

 private:
  struct Waiter;
  // What has happened and is not in the index yet. Objects by uid, name or key; null: gone.
  struct Pending {
    std::map<PolicyKey, api::ObjectPtr> policies;
    std::map<std::string, api::ObjectPtr> namespaces;
    std::map<std::string, api::ObjectPtr> pods;
    std::set<std::string> touched_pods;  // attached or detached
    bool empty() const {
      return policies.empty() && namespaces.empty() && pods.empty() && touched_pods.empty();
    }
  };
  struct Attachment {
    std::vector<IpAddress> addresses;
    bool gone = false;  // detached, while the API server still has the pod
  };

  Task<> Run();
  // Starts to follow pods and namespaces. False: cancelled.
  Task<bool> FollowPods();
  void NotePod(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void ForgetNow(const std::string& uid) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakeWaiters();
  // Waits until `done`, which is called with the lock held.
  template <class Done>
  Task<Status> WaitUntil(Done done, CancelToken cancel);

  // On the blocking pool, one at a time.
  Status Sync(Pending pending, bool all);
  void UpdatePod(const std::string& uid, const std::map<std::string, api::ObjectPtr>& changed);
  bool HasSeen(const GuardedPod& pod) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Env& env_;
  client::InformerSet& informers_;
  const PolicyOptions options_;
  client::Informer& policies_;

  Gate gate_;
  CancelSource cancel_;
  Notifier wake_;

  // Of the sync loop alone.
  PolicyIndex index_;
  PolicyRules rules_;
  std::set<std::string> lingering_;  // pods that the API server has no more, but this node has

  mutable absl::Mutex mutex_;
  Pending pending_ ABSL_GUARDED_BY(mutex_);
  // Attempts to bring the kernel up to date: which one takes up what is pending now, and how far
  // they have come.
  uint64_t next_attempt_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t ended_attempt_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t good_attempt_ ABSL_GUARDED_BY(mutex_) = 0;
  bool synced_ ABSL_GUARDED_BY(mutex_) = false;
  size_t policy_count_ ABSL_GUARDED_BY(mutex_) = 0;
  client::Informer* pods_ ABSL_GUARDED_BY(mutex_) = nullptr;  // once they are followed
  std::map<std::string, Attachment> attachments_ ABSL_GUARDED_BY(mutex_);
  std::string problem_ ABSL_GUARDED_BY(mutex_);
  std::set<Waiter*> waiters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::net
