#pragma once

#include <absl/synchronization/mutex.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/env/env.h"
#include "base/env/notifier.h"
#include "store/etcd/client.h"
#include "store/store.h"

namespace gantry::store::etcd {

// What etcd knows of one running process: a lease that ends soon after the process does, the keys
// that hang on it, and the fence. Every transaction is made on the condition that the fence stands
// where it stood when it was sent. Moving the fence therefore settles the fate of all that were
// sent before: what has not been done by then never will be. Threading: any thread.
class Session {
 public:
  Session(Env& env, Client& client, Duration ttl);

  // Keeps the lease alive and does what is asked of it, until `cancel`.
  Task<> Run(CancelToken cancel);
  // The lease and all that hangs on it go at once. After Run.
  Task<> End();

  // The key, and the revision (etcd's own) that it was last written at; 0: there is none just now.
  const std::string& fence_key() const { return fence_key_; }
  int64_t fence() const;
  // Another fence than `old`, by then in place. Fails after kPatience.
  Task<Result<int64_t>> Renew(int64_t old);

  void Announce(std::string key, Bytes value);

  // When etcd last answered; and why it does not.
  SteadyTime last_answer() const;
  Status last_error() const;

 private:
  Task<Status> Establish();
  Task<Status> MoveFence();
  Task<Status> PutAnnounced();
  Task<Status> KeepAlive();
  void Note(const Status& status);
  void SetFence(int64_t revision);

  Env& env_;
  Client& client_;
  const Duration ttl_;
  const std::string fence_key_;
  Notifier work_;

  // Run's own.
  int64_t lease_ = 0;

  mutable absl::Mutex mutex_;
  int64_t fence_ ABSL_GUARDED_BY(mutex_) = 0;
  bool fence_wanted_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, Bytes> announced_ ABSL_GUARDED_BY(mutex_);
  bool announcing_ ABSL_GUARDED_BY(mutex_) = false;  // some are not written yet
  std::vector<std::shared_ptr<Notifier>> waiting_ ABSL_GUARDED_BY(mutex_);
  SteadyTime last_answer_ ABSL_GUARDED_BY(mutex_);
  Status last_error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::store::etcd
