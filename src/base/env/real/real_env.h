#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/env/env.h"

namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace gantry {

// The machine's own clocks, random source and threads.
// Life cycle: threads start with the constructor; Stop (or the destructor) ends the loops and joins
// them.
class RealEnv : public Env {
 public:
  // `loop_threads` run coroutines (0: one per core), `blocking_threads` calls that block.
  explicit RealEnv(int loop_threads = 0, int blocking_threads = 4);
  ~RealEnv() override;

  WallTime Now() const override;
  SteadyTime Steady() const override;
  void RandomBytes(std::span<uint8_t> out) override;
  Executor executor() override;
  Executor MakeStrand() override;
  Executor blocking() override;
  Executor MakeThread() override;
  std::unique_ptr<TimerHandle> CallAt(SteadyTime when, absl::AnyInvocable<void()> call) override;

  // For the adapters in base/env/real and the transports that need Asio's own objects.
  boost::asio::io_context& io();

  // Drops what has not run and joins all threads. Not from a loop thread.
  void Stop();

  // Runs `task` to its end, on a strand of its own, while the calling thread waits. For main() and
  // tests; not from a loop thread.
  void RunToEnd(Task<> task);
  // The same, and hands back what it gave.
  template <class T>
  T RunToEnd(Task<T> task) {
    std::optional<T> result;
    RunToEnd(Keep(std::move(task), &result));
    return std::move(*result);
  }

 private:
  template <class T>
  static Task<> Keep(Task<T> task, std::optional<T>* result) {
    result->emplace(co_await std::move(task));
  }

  struct Threads;
  std::unique_ptr<Threads> threads_;
};

}  // namespace gantry
