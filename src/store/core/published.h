#pragma once

#include <absl/functional/function_ref.h>
#include <absl/synchronization/mutex.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env/env.h"
#include "store/core/history.h"
#include "store/store.h"

namespace gantry::store {

// That a batch names no key twice; else kInternalError.
Status CheckBatch(const std::vector<Write>& writes);

// What a store knows and whom it tells: the history behind a lock, the watch streams that read it,
// and the observers. Whoever makes revisions durable publishes them here, one call at a time, in
// order; everybody else reads. Threading: any thread.
class Published {
 public:
  // `env` outlives it.
  Published(Env& env, History history);

  // The changes of one revision: at least one.
  struct Revision {
    int64_t revision = 0;
    std::vector<History::Change> changes;
  };
  // Shows `revisions`, which are above all before, wakes watchers and tells observers. `compact` >
  // 0: history up to there is forgotten; returned are the log rows that nobody needs any more.
  std::vector<int64_t> Publish(std::vector<Revision> revisions, int64_t compact = 0);
  // Some changes were missed: `fresh` is what there is now. Watches of before expire.
  void Replace(History fresh);
  // Final: every call answers `status`, watches and observers are told.
  void Fail(const Status& status);
  // Final: watches end with kCanceled.
  void End();

  // Runs `read` under the lock; it must be short.
  void Read(absl::FunctionRef<void(const History&)> read) const;
  Status failure() const;

  // As the Store's.
  Result<std::optional<Record>> Get(std::string_view key, int64_t revision) const;
  Result<ListPage> List(std::string_view prefix, std::string_view after, int64_t limit,
                        int64_t revision) const;
  Result<std::unique_ptr<WatchStream>> Watch(std::string prefix, int64_t after_revision);
  int64_t AddObserver(CommitObserver* observer);
  void RemoveObserver(CommitObserver* observer);
  int64_t revision() const;
  int64_t compacted_revision() const;

 private:
  class Stream;

  Env& env_;

  mutable absl::Mutex mutex_;
  History history_ ABSL_GUARDED_BY(mutex_);
  Status failure_ ABSL_GUARDED_BY(mutex_);
  std::vector<Stream*> streams_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;

  // Held while observers are called.
  absl::Mutex observers_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  std::vector<CommitObserver*> observers_ ABSL_GUARDED_BY(observers_mutex_);
};

}  // namespace gantry::store
