#pragma once

#include <cstdint>
#include <random>

#include "base/env/time.h"

namespace gantry {

// Chance from a seed, for tests and simulations. Threading: one thread.
class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}

  uint64_t Next() { return engine_(); }
  int Below(int bound) { return static_cast<int>(engine_() % static_cast<uint64_t>(bound)); }
  bool Percent(int chance) { return Below(100) < chance; }
  // Of a thousand.
  bool Permille(int chance) { return Below(1000) < chance; }
  Duration Between(Duration least, Duration most) {
    const auto span = static_cast<uint64_t>((most - least).count()) + 1;
    return least + Duration(static_cast<Duration::rep>(engine_() % span));
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace gantry
