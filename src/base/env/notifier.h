#pragma once

#include <absl/synchronization/mutex.h>

#include <memory>
#include <optional>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/waker.h"

namespace gantry {

enum class Wake : uint8_t { kNotified, kTimeout, kCanceled };

namespace internal {
class Waiter;
}

// Wakes coroutines. A notification that comes when nobody waits is remembered for the next Wait,
// once: so the pattern `while (queue is empty) co_await notifier.Wait(...)` loses nothing, and
// loops re-check their state. Threading: any thread. Must outlive its waiters.
class Notifier {
 public:
  Notifier();
  ~Notifier();

  // Wakes all that wait, or the next one that comes.
  void Notify();

  // Waits for a notification, for `deadline` when there is one, or for `cancel`. Resumes on the
  // caller's executor.
  Task<Wake> Wait(Env& env, CancelToken cancel = {}, std::optional<SteadyTime> deadline = {});

 private:
  absl::Mutex mutex_;
  bool pending_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::shared_ptr<internal::Waiter>> waiters_ ABSL_GUARDED_BY(mutex_);
};

// Wakes a coroutine.
class NotifyingWaker final : public Waker {
 public:
  void Wake() override { notifier.Notify(); }
  Notifier notifier;
};

// kTimeout after `duration`, or kCanceled.
Task<Wake> SleepFor(Env& env, Duration duration, CancelToken cancel = {});

}  // namespace gantry
