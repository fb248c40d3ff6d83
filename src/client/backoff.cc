#include "client/backoff.h"

#include <algorithm>

namespace gantry::client {

Duration ReflectorBackoff::Next() {
  constexpr Duration kFirst = std::chrono::milliseconds(800);
  constexpr Duration kLongest = std::chrono::seconds(30);
  constexpr Duration kQuiet = std::chrono::minutes(2);
  const SteadyTime now = env_.Steady();
  const bool anew = base_ == Duration::zero() || now - last_ > kQuiet;
  base_ = anew ? kFirst : std::min(base_ * 2, kLongest);
  last_ = now;
  return base_ +
         Duration(static_cast<int64_t>(RandomBelow(env_, static_cast<uint64_t>(base_.count()))));
}

}  // namespace gantry::client
