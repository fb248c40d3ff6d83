#pragma once

#include <absl/functional/any_invocable.h>
#include <absl/synchronization/mutex.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/env/env.h"
#include "base/env/notifier.h"
#include "store/core/published.h"
#include "store/etcd/client.h"

namespace gantry::store::etcd {

// A write of this process whose event is on its way. The event takes over the value and the decoded
// object of the write, instead of making them again from bytes.
struct Pending {
  explicit Pending(const Write* write) : write(write) {}
  const Write* write;
  bool taken = false;  // the object is stamped and published
};

// Brings everything that happens in etcd, in order, into a Published: first what there is, then one
// watch over all keys, taken up again where it was whenever it is lost. Threading: any thread.
class Feed {
 public:
  // `offset` is added to etcd's revisions.
  Feed(Env& env, Client& client, int64_t offset) : env_(env), client_(client), offset_(offset) {}

  // All that is there now, with some of what led to it. Once.
  Task<Status> Load();
  Published& published() { return *published_; }

  // Follows until `cancel`. After Load.
  Task<> Run(CancelToken cancel);
  // Ok while the watch stands.
  Status health() const;

  // Everything up to `revision` is published. kUnknown (timed out) after `patience`.
  Task<Status> WaitFor(int64_t revision, Duration patience);

  // Forgets what came before `revision`, which etcd has compacted.
  void Compact(int64_t revision);

  // While a write is under way. `pending` stays where it is until Forget returns.
  void Expect(std::vector<Pending>& pending);
  void Forget(const std::vector<Pending>& pending);

  int64_t offset() const { return offset_; }

 private:
  Task<Status> Follow();
  Task<Result<History>> Read(int64_t revision);
  Task<Result<int64_t>> CompactedRevision();
  void Apply(WatchResponse& response);
  // Those who wait for a revision that is now published.
  void WakeUpTo(int64_t reached);
  History::Change MakeChange(WatchEvent& event);
  void Note(const Status& status);

  Env& env_;
  Client& client_;
  const int64_t offset_;
  std::optional<Published> published_;

  absl::Mutex publishing_ ABSL_ACQUIRED_BEFORE(mutex_);
  mutable absl::Mutex mutex_;
  Status health_ ABSL_GUARDED_BY(mutex_);
  std::multimap<int64_t, std::shared_ptr<Notifier>> waiting_ ABSL_GUARDED_BY(mutex_);
  std::unordered_multimap<std::string_view, Pending*> pending_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::store::etcd
