#pragma once

#include <absl/synchronization/mutex.h>

#include <memory>
#include <optional>
#include <vector>

#include "base/env/waker.h"
#include "store/cache/watch_cache.h"

namespace gantry::store {

// The bounded buffer between the dispatcher and one watcher. Threading: any thread.
class Subscription {
 public:
  explicit Subscription(Selection selection) : selection_(std::move(selection)) {}

  // Before the dispatcher knows it: what the watcher begins with, and up to which revision that
  // goes.
  void Begin(std::vector<WatchItem> items, int64_t revision);

  // Takes the event if the selection admits it. A full buffer ends the subscription with kExpired.
  void Offer(const std::shared_ptr<const CacheEvent>& event);
  // Ends it; what is buffered is dropped.
  void End(Status status);

  void SetWaker(std::shared_ptr<Waker> waker);
  // As CacheWatch::Take.
  Result<bool> Take(size_t limit, std::vector<WatchItem>* items);
  // Wakes the reader, who then finds this true once.
  void Progress();
  bool TakeProgress();
  // `dispatched`: up to where the dispatcher has offered everything.
  int64_t Revision(int64_t dispatched) const;

  const Selection& selection() const { return selection_; }
  // What the watcher sees of an event; nullopt: nothing.
  static std::optional<WatchItem> View(const Selection& selection,
                                       const std::shared_ptr<const CacheEvent>& event);

 private:
  void Clear() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Selection selection_;

  mutable absl::Mutex mutex_;
  // Those before `head_` are taken. No std::deque: an empty one takes more than all the rest of an
  // idle watcher.
  std::vector<WatchItem> items_ ABSL_GUARDED_BY(mutex_);
  size_t head_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t first_items_ ABSL_GUARDED_BY(mutex_) = 0;  // of those not taken, how many it began with
  int64_t begin_revision_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t taken_revision_ ABSL_GUARDED_BY(mutex_) = 0;
  bool progress_ ABSL_GUARDED_BY(mutex_) = false;
  Status end_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Waker> waker_ ABSL_GUARDED_BY(mutex_);  // called with the lock held
};

}  // namespace gantry::store
