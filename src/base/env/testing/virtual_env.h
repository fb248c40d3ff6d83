#pragma once

#include <memory>

#include "base/env/env.h"

namespace gantry {

// Time and chance for tests: one thread (the caller's), a clock that only moves when told to, and
// random bytes from a seed. The same calls give the same run. Blocking calls run on the same
// thread. Threading: one thread; nothing runs outside RunUntilIdle, Advance and RunToEnd.
class VirtualEnv : public Env {
 public:
  // Wall time begins at 2026-01-01T00:00:00Z.
  explicit VirtualEnv(uint64_t seed = 1);
  ~VirtualEnv() override;

  WallTime Now() const override;
  SteadyTime Steady() const override;
  void RandomBytes(std::span<uint8_t> out) override;
  Executor executor() override;
  Executor MakeStrand() override;
  Executor blocking() override;
  Executor MakeThread() override;
  std::unique_ptr<TimerHandle> CallAt(SteadyTime when, absl::AnyInvocable<void()> call) override;

  // Calls once, when so many more handlers have run: between two steps of whatever runs then, at
  // the end of an await. The last one that was asked for counts.
  void AfterHandlers(int count, absl::AnyInvocable<void()> call);

  // Runs what can run now.
  void RunUntilIdle();
  // Moves the clock on, stopping at each timer on the way to run what it sets off.
  void Advance(Duration duration);
  // Runs `task` to its end; the clock jumps from timer to timer while nothing else can run. A task
  // that waits for what nothing will ever do is a bug.
  void RunToEnd(Task<> task);

 private:
  struct State;
  // Shared with the timers, whose handles may outlive the Env.
  std::shared_ptr<State> state_;
};

}  // namespace gantry
