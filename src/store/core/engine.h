#pragma once

#include <absl/functional/any_invocable.h>
#include <absl/synchronization/mutex.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env/notifier.h"
#include "store/core/commit_log.h"
#include "store/core/failpoints.h"
#include "store/core/published.h"
#include "store/store.h"

namespace gantry::store {

// The store of one process: everything in memory (Published), durable through a CommitLog where
// there is one. One committer takes the whole queue, checks preconditions, appends to the log in
// one step, publishes, tells observers, answers everyone. With a log the committer is a thread of
// its own; without one it is whoever comes first. Threading: any thread.
class Engine final : public Store {
 public:
  // `log` may be null. `garbage`: rows of the log that `history` does not need. `env` and
  // `failpoints` (may be null) outlive it.
  Engine(Env& env, std::unique_ptr<CommitLog> log, History history, int64_t last_row,
         std::vector<int64_t> garbage, Failpoints* failpoints);
  ~Engine() override;

  Task<Result<CommitResult>> Commit(std::vector<Write> writes) override;
  Task<Result<std::optional<Record>>> Get(std::string key, int64_t revision) override;
  Task<Result<ListPage>> List(std::string prefix, std::string after, int64_t limit,
                              int64_t revision) override;
  Result<std::unique_ptr<WatchStream>> Watch(std::string prefix, int64_t after_revision) override;
  int64_t AddObserver(CommitObserver* observer) override {
    return published_.AddObserver(observer);
  }
  void RemoveObserver(CommitObserver* observer) override { published_.RemoveObserver(observer); }
  int64_t revision() const override { return published_.revision(); }
  int64_t compacted_revision() const override { return published_.compacted_revision(); }
  std::optional<SteadyTime> refused_at() const override;
  Task<Status> Compact(int64_t revision) override;
  Task<> Stop() override;

 private:
  struct Request;
  struct Accepted;
  struct Batch;

  Task<> Run(Request& request);
  void Drain() ABSL_LOCKS_EXCLUDED(queue_mutex_);
  // The committer's steps.
  void RunBatch(const std::vector<Request*>& requests);
  void Examine(const History& history, Request& request, Batch& batch);
  Status MakeDurable(const Batch& batch);
  void Publish(Batch& batch);
  bool DoIdleWork();
  void Fail(const Status& status);
  void Reached(std::string_view place) {
    if (failpoints_) failpoints_->Reached(place);
  }

  // Constant after construction.
  Env& env_;
  const std::unique_ptr<CommitLog> log_;  // used by the committer only
  Failpoints* const failpoints_;
  std::optional<Executor> thread_;

  // The committer's own.
  int64_t last_row_;
  std::vector<int64_t> garbage_;
  int64_t logged_compaction_;

  std::atomic<SteadyTime::rep> refused_at_{0};  // 0: never

  // Serialises committers where there is no log.
  absl::Mutex commit_mutex_;

  mutable absl::Mutex queue_mutex_;
  std::vector<Request*> queue_ ABSL_GUARDED_BY(queue_mutex_);
  bool draining_ ABSL_GUARDED_BY(queue_mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(queue_mutex_) = false;
  Notifier drained_;

  // Written by the committer, read by all.
  Published published_;
};

}  // namespace gantry::store
