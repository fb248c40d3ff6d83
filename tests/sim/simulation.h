#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/cluster.h"

namespace gantry::sim {

struct Outcome {
  std::string breach;  // empty: all held
  std::vector<uint64_t> trace;
  Duration simulated{};
};

// What a seed's cluster looks like: mostly small, so that many can be run; some whole.
Shape ShapeOf(uint64_t seed);

// Plays one seed from start to end: a cluster comes up; users work while things fail; then nothing
// fails any more, and all has to become as it was asked for, and rest. `tells`: the story goes to
// standard output.
Outcome Simulate(uint64_t seed, const Shape& shape, const Plants& plants, bool tells);

}  // namespace gantry::sim
