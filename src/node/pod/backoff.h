#pragma once

#include <algorithm>
#include <map>
#include <string>

#include "base/env/time.h"

namespace gantry::node {

// Back-off by key as the kubelet has it: the first failure costs nothing, then 10 s doubling to 5
// min; forgotten after twice the maximum without a failure. Threading: one strand.
class BackOff {
 public:
  static constexpr Duration kInitial = std::chrono::seconds(10);
  static constexpr Duration kMax = std::chrono::minutes(5);

  // How long still to wait at `now` when the last failure was at `failed`; zero: go ahead. Where
  // the clock was set back since, nobody knows how long it has been: go ahead.
  Duration Remaining(const std::string& key, WallTime failed, WallTime now) const {
    auto it = entries_.find(key);
    if (it == entries_.end() || now - it->second.updated > 2 * kMax) return Duration::zero();
    if (failed > now) return Duration::zero();
    return std::max(Duration::zero(), failed + it->second.wait - now);
  }
  // The present step, for messages.
  Duration Step(const std::string& key) const {
    auto it = entries_.find(key);
    return it == entries_.end() ? Duration::zero() : it->second.wait;
  }
  // One more attempt is being made.
  void Next(const std::string& key, WallTime now) {
    Entry& entry = entries_[key];
    bool stale = entry.wait == Duration::zero() || now - entry.updated > 2 * kMax;
    entry.wait = stale ? kInitial : std::min(entry.wait * 2, kMax);
    entry.updated = now;
  }
  void Forget(const std::string& key) { entries_.erase(key); }

 private:
  struct Entry {
    Duration wait{};
    WallTime updated;
  };
  std::map<std::string, Entry> entries_;
};

}  // namespace gantry::node
