#include "base/env/real/real_env.h"

#include <absl/synchronization/mutex.h>
#include <sys/random.h>
#include <time.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <thread>

#include "base/check.h"

namespace gantry {
namespace asio = boost::asio;

namespace {

int64_t Nanoseconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

class AsioTimer : public TimerHandle {
 public:
  AsioTimer(asio::io_context& io, Duration delay, absl::AnyInvocable<void()> call)
      : timer_(std::make_shared<asio::steady_timer>(io, delay)) {
    timer_->async_wait(
        [timer = timer_, call = std::move(call)](boost::system::error_code error) mutable {
          if (!error) call();
        });
  }
  ~AsioTimer() override {
    // A timer object is not thread-safe, so it is cancelled where its handler runs.
    asio::post(timer_->get_executor(), [timer = timer_] { timer->cancel(); });
  }

 private:
  std::shared_ptr<asio::steady_timer> timer_;
};

}  // namespace

struct RealEnv::Threads {
  Threads(int loops, int blocking_threads)
      : io(loops), work(io.get_executor()), pool(static_cast<size_t>(blocking_threads)) {
    for (int i = 0; i < loops; ++i)
      loop_threads.emplace_back([this] { io.run(); });
  }

  asio::io_context io;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  asio::thread_pool pool;
  std::vector<std::thread> loop_threads;
  absl::Mutex mutex;
  std::vector<std::unique_ptr<asio::thread_pool>> own ABSL_GUARDED_BY(mutex);
};

RealEnv::RealEnv(int loop_threads, int blocking_threads) {
#ifdef NDEBUG
  // Debian builds Abseil with its lock-order checks on: a graph node per mutex and a search per
  // lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  if (loop_threads <= 0) loop_threads = std::max(2u, std::thread::hardware_concurrency());
  threads_ = std::make_unique<Threads>(loop_threads, blocking_threads);
}

RealEnv::~RealEnv() { Stop(); }

void RealEnv::Stop() {
  threads_->work.reset();
  threads_->io.stop();
  for (std::thread& thread : threads_->loop_threads)
    thread.join();
  threads_->loop_threads.clear();
  threads_->pool.stop();
  threads_->pool.join();
  std::vector<std::unique_ptr<asio::thread_pool>> own;
  {
    absl::MutexLock lock(&threads_->mutex);
    own.swap(threads_->own);
  }
  for (const auto& thread : own) {
    thread->stop();
    thread->join();
  }
}

WallTime RealEnv::Now() const { return WallTime(Duration(Nanoseconds(CLOCK_REALTIME))); }
SteadyTime RealEnv::Steady() const { return SteadyTime(Duration(Nanoseconds(CLOCK_MONOTONIC))); }

namespace {

void AskKernel(std::span<uint8_t> out) {
  size_t done = 0;
  while (done < out.size()) {
    ssize_t got = getrandom(out.data() + done, out.size() - done, 0);
    if (got < 0 && errno == EINTR) continue;
    GANTRY_CHECK(got > 0, "getrandom failed");
    done += static_cast<size_t>(got);
  }
}

}  // namespace

// Names and ids ask for a few bytes at a time, several times for one object.
void RealEnv::RandomBytes(std::span<uint8_t> out) {
  constexpr size_t kAhead = 256;
  thread_local std::array<uint8_t, kAhead> ahead;
  thread_local size_t left = 0;
  if (out.size() > kAhead / 4) return AskKernel(out);
  if (left < out.size()) {
    AskKernel(ahead);
    left = kAhead;
  }
  const std::span<uint8_t> taken = std::span(ahead).subspan(left - out.size(), out.size());
  std::copy(taken.begin(), taken.end(), out.begin());
  std::fill(taken.begin(), taken.end(), uint8_t{0});  // what was a secret does not stay here
  left -= out.size();
}

Executor RealEnv::executor() { return threads_->io.get_executor(); }
Executor RealEnv::MakeStrand() { return asio::make_strand(threads_->io); }
Executor RealEnv::blocking() { return threads_->pool.get_executor(); }
Executor RealEnv::MakeThread() {
  auto thread = std::make_unique<asio::thread_pool>(1);
  Executor executor = thread->get_executor();
  absl::MutexLock lock(&threads_->mutex);
  threads_->own.push_back(std::move(thread));
  return executor;
}
asio::io_context& RealEnv::io() { return threads_->io; }

std::unique_ptr<TimerHandle> RealEnv::CallAt(SteadyTime when, absl::AnyInvocable<void()> call) {
  return std::make_unique<AsioTimer>(threads_->io, std::max(Duration::zero(), when - Steady()),
                                     std::move(call));
}

void RealEnv::RunToEnd(Task<> task) {
  asio::co_spawn(MakeStrand(), std::move(task), asio::use_future).get();
}

}  // namespace gantry
