#pragma once

#include <cstdint>
#include <string>

namespace gantry::store::testing {

// What crash_child and crash_test agree on.
constexpr int64_t kCrashWriters = 6;

struct Acknowledgement {
  int64_t writer;
  int64_t sequence;
  int64_t revision;
};

inline std::string CrashKey(int64_t writer, int half) {
  return "/writer/" + std::to_string(writer) + (half == 0 ? "/left" : "/right");
}
// As long as a small object, so that commits take several pages.
inline std::string CrashValue(int64_t writer, int64_t sequence) {
  return std::to_string(sequence) + std::string(static_cast<size_t>(200 + 700 * writer), 'v');
}

}  // namespace gantry::store::testing
