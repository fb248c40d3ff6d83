#pragma once

#include <chrono>
#include <cstdint>

namespace gantry {

using Duration = std::chrono::nanoseconds;

// Time of day, UTC. May jump.
using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;

// Time that only moves forward; its zero means nothing.
struct SteadyClock {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<SteadyClock>;
  static constexpr bool is_steady = true;
};
using SteadyTime = SteadyClock::time_point;

}  // namespace gantry
