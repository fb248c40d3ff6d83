#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace gantry::api {

// A point in time as objects hold it: any year, unlike WallTime.
struct UnixTime {
  int64_t seconds = 0;
  int32_t nanos = 0;
};

// Go's zero time, year 1, which counts as unset.
inline constexpr int64_t kZeroTimeSeconds = -62135596800;

// "2024-05-01T12:00:00Z", with any offset. kTime takes any number of digits behind the second,
// kMicroTime wants exactly six. kBadRequest worded as Go's time.Parse words it.
enum class TimeLayout { kTime, kMicroTime };
Result<UnixTime> ParseRfc3339(std::string_view text, TimeLayout layout);

// In UTC; whole seconds, or six digits behind the second.
void AppendRfc3339(UnixTime time, TimeLayout layout, std::string* out);

}  // namespace gantry::api
