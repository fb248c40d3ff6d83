#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "base/env/env.h"
#include "base/env/spawn.h"
#include "sim/world.h"

namespace gantry::sim {

// What a machine's processes take for the time of day: wrong by `offset`. Survives them.
struct MachineClock {
  Duration offset{};
};

// One run of one program, from its start until it is killed: the Env of everything in it, with a
// clock that may be wrong and chance of its own.
//
// Killing it does not stop its coroutines (nothing can): it cuts them off. From then on nothing
// that they do has an effect on the world, nothing comes in, and whoever owns the parts stops them
// in peace, while the world goes on. To all others that is a crash at whatever await each of its
// coroutines was in. A paused process (a stopped one, a machine that is swapped out) gets neither
// time nor messages; then everything at once. Threading: one thread.
class Process : public Env, public std::enable_shared_from_this<Process> {
 public:
  // `clock` outlives it.
  Process(World& world, std::string name, const MachineClock& clock);

  const std::string& name() const { return name_; }
  World& world() { return world_; }
  bool alive() const { return alive_; }
  void Kill();
  CancelToken death() const { return death_.token(); }
  // Of the coroutines that serve others in this process.
  Gate& gate() { return gate_; }

  void PauseFor(Duration duration);
  // Since when it has been running without a pause; in the future while it is paused.
  SteadyTime awake_since() const { return std::max(began_, paused_until_); }
  // A blocking thread (the committer's) takes this long for each step.
  void SlowThreads(Duration least, Duration most);

  // Something comes in from outside: `call` runs unless the process is dead, later when it is
  // paused.
  void Receive(absl::AnyInvocable<void()> call);

  WallTime Now() const override;
  SteadyTime Steady() const override;
  void RandomBytes(std::span<uint8_t> out) override;
  Executor executor() override;
  Executor MakeStrand() override;
  Executor blocking() override;
  Executor MakeThread() override;
  std::unique_ptr<TimerHandle> CallAt(SteadyTime when, absl::AnyInvocable<void()> call) override;

 private:
  class Timer;
  class Thread;

  bool paused() const { return paused_until_ > world_.env().Steady(); }

  World& world_;
  const std::string name_;
  const MachineClock& clock_;
  Dice dice_;
  const SteadyTime began_;
  bool alive_ = true;
  CancelSource death_;
  Gate gate_;
  SteadyTime paused_until_{};
  Duration least_step_{}, most_step_{};
};

}  // namespace gantry::sim
