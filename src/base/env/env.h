#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/env/task.h"
#include "base/env/time.h"

namespace gantry {

// A pending call of Env::CallAt. Destroying it cancels the call if it has not begun; a call that
// has begun on another thread may still be running. Threading: any thread, one at a time.
class TimerHandle {
 public:
  virtual ~TimerHandle() = default;
};

// Where time, chance and threads come from. The real one is base/env/real/real_env.h; a simulation
// has its own with virtual time and one seed, so that a whole cluster runs repeatably in one
// process. Threading: any thread.
class Env {
 public:
  virtual ~Env() = default;

  virtual WallTime Now() const = 0;
  virtual SteadyTime Steady() const = 0;

  // Fills `out` with random bytes, good for keys and tokens.
  virtual void RandomBytes(std::span<uint8_t> out) = 0;

  // The pool of loop threads. Nothing on it may block. One strand per stateful service:
  // MakeStrand() gives an executor that never runs two handlers at once.
  virtual Executor executor() = 0;
  virtual Executor MakeStrand() = 0;

  // Threads for calls that block (disk, fsync, libraries without async forms).
  virtual Executor blocking() = 0;

  // A thread of its own for blocking calls, which run one at a time in order: for a service that
  // must not wait for others' blocking calls (the store's committer). Lives as long as the Env.
  virtual Executor MakeThread() = 0;

  // Runs `call` on the executor at `when`, or at once when that has passed.
  virtual std::unique_ptr<TimerHandle> CallAt(SteadyTime when, absl::AnyInvocable<void()> call) = 0;
};

// Helpers over Env.
uint64_t RandomUint64(Env& env);
// [0, bound), without bias. bound > 0.
uint64_t RandomBelow(Env& env, uint64_t bound);
// "f47ac10b-58cc-4372-a567-0e02b2c3d479": version 4, RFC 9562.
std::string RandomUuid(Env& env);
// `length` letters from the alphabet of generateName ("bcdfghjklmnpqrstvwxz2456789").
std::string RandomNameSuffix(Env& env, size_t length = 5);

}  // namespace gantry
