#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/env/testing/dice.h"
#include "base/env/testing/virtual_env.h"

namespace gantry::sim {

// What a simulation is played on: one virtual time, one source of chance, the story of what happens
// (whose hash is the trace), and what went wrong. Threading: one thread.
class World {
 public:
  // `tells`: the story goes to standard output.
  World(uint64_t seed, bool tells) : dice_(seed), env_(dice_.Next()), tells_(tells) {}

  VirtualEnv& env() { return env_; }
  Dice& dice() { return dice_; }
  bool tells() const { return tells_; }
  // Since the simulation began.
  Duration now() const { return env_.Steady() - SteadyTime(std::chrono::hours(1)); }

  // Calls once, `delay` from now. Calls of one moment come in the order in which they were asked
  // for.
  void After(Duration delay, absl::AnyInvocable<void()> call);

  // One event of the story.
  void Tell(std::string_view what);
  // For the reader of the story alone.
  void Narrate(std::string_view what) const;
  // An event that is part of the trace only.
  void Trace(uint64_t what);
  const std::vector<uint64_t>& trace() const { return trace_; }

  // What must never be: ends the simulation. The first one counts.
  void Breach(std::string what);
  const std::string& breach() const { return breach_; }
  bool failed() const { return !breach_.empty(); }

 private:
  Dice dice_;
  VirtualEnv env_;
  const bool tells_;
  uint64_t last_call_ = 0;
  std::map<uint64_t, std::unique_ptr<TimerHandle>> calls_;
  std::vector<uint64_t> trace_;
  std::string breach_;
};

// FNV-1a; goes on from `hash`.
uint64_t HashOf(std::string_view text, uint64_t hash = 14695981039346656037ULL);

}  // namespace gantry::sim
