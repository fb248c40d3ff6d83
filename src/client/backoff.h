#pragma once

#include "base/env/env.h"

namespace gantry::client {

// How long a reflector waits after a failure: 800 ms doubling to 30 s, each with up to as much
// again at random, anew after two quiet minutes. The numbers are client-go's. Threading: one caller
// at a time.
class ReflectorBackoff {
 public:
  explicit ReflectorBackoff(Env& env) : env_(env) {}
  Duration Next();

 private:
  Env& env_;
  Duration base_{};
  SteadyTime last_{};
};

}  // namespace gantry::client
