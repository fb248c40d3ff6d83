#include "base/env/notifier.h"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace gantry {
namespace internal {

// One suspended coroutine that several sources race to wake; the first wins.
class Waiter {
 public:
  void Wakeup(Wake reason) {
    absl::AnyInvocable<void(Wake)> resume;
    {
      absl::MutexLock lock(&mutex_);
      if (reason_) return;
      reason_ = reason;
      resume = std::move(resume_);
    }
    if (resume) resume(reason);
  }

  bool done() {
    absl::MutexLock lock(&mutex_);
    return reason_.has_value();
  }

  Task<Wake> Suspend() {
    co_return co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>,
                                                   void(Wake)>(
        [this](auto handler) { Arm(std::move(handler)); }, boost::asio::use_awaitable);
  }

 private:
  template <class Handler>
  void Arm(Handler handler) {
    auto executor = boost::asio::get_associated_executor(handler);
    absl::AnyInvocable<void(Wake)> resume = [handler = std::move(handler),
                                             executor](Wake reason) mutable {
      boost::asio::post(executor, [handler = std::move(handler), reason]() mutable {
        std::move(handler)(reason);
      });
    };
    std::optional<Wake> reason;
    {
      absl::MutexLock lock(&mutex_);
      reason = reason_;
      if (!reason) resume_ = std::move(resume);
    }
    if (reason) resume(*reason);
  }

  absl::Mutex mutex_;
  std::optional<Wake> reason_ ABSL_GUARDED_BY(mutex_);
  absl::AnyInvocable<void(Wake)> resume_ ABSL_GUARDED_BY(mutex_);
};

namespace {

Task<Wake> Await(Env& env, std::shared_ptr<Waiter> waiter, CancelToken cancel,
                 std::optional<SteadyTime> deadline) {
  CancelToken::Registration registration =
      cancel.OnCancel([waiter] { waiter->Wakeup(Wake::kCanceled); });
  std::unique_ptr<TimerHandle> timer;
  if (deadline && !waiter->done()) {
    timer = env.CallAt(*deadline, [waiter] { waiter->Wakeup(Wake::kTimeout); });
  }
  co_return co_await waiter->Suspend();
}

}  // namespace
}  // namespace internal

Notifier::Notifier() = default;
Notifier::~Notifier() = default;

void Notifier::Notify() {
  std::vector<std::shared_ptr<internal::Waiter>> waiters;
  {
    absl::MutexLock lock(&mutex_);
    waiters.swap(waiters_);
    bool live = false;
    for (const auto& waiter : waiters)
      live = live || !waiter->done();
    if (!live) pending_ = true;
  }
  for (const auto& waiter : waiters)
    waiter->Wakeup(Wake::kNotified);
}

Task<Wake> Notifier::Wait(Env& env, CancelToken cancel, std::optional<SteadyTime> deadline) {
  auto waiter = std::make_shared<internal::Waiter>();
  {
    absl::MutexLock lock(&mutex_);
    if (pending_) {
      pending_ = false;
      co_return Wake::kNotified;
    }
    // Those who timed out or were cancelled are swept here rather than on their way out.
    std::erase_if(waiters_, [](const auto& old) { return old->done(); });
    waiters_.push_back(waiter);
  }
  co_return co_await internal::Await(env, std::move(waiter), std::move(cancel), deadline);
}

Task<Wake> SleepFor(Env& env, Duration duration, CancelToken cancel) {
  co_return co_await internal::Await(env, std::make_shared<internal::Waiter>(), std::move(cancel),
                                     env.Steady() + duration);
}

}  // namespace gantry
