#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/env/time.h"
#include "base/status.h"

namespace gantry::api {
namespace meta::v1 {
class MicroTime;
class Time;
}  // namespace meta::v1

// An age as tables print it: "45s", "3m12s", "5h", "2d4h", "3y120d". "<invalid>" for more than one
// second ahead.
std::string HumanDuration(Duration duration);

// Go's time.ParseDuration: "1h15m30.5s", "-1.5h", "0". kBadRequest worded as Go does.
Result<Duration> ParseGoDuration(std::string_view text);
// Go's Duration.String: "1h0m0s", "1.5s", "100ms", "0s".
std::string FormatGoDuration(Duration duration);

// RFC 3339 in UTC: "2024-05-01T12:00:00Z"; micro with exactly six digits behind the second.
std::string FormatTime(WallTime time);
std::string FormatMicroTime(WallTime time);
// Any RFC 3339 time with any number of digits behind the second and any offset. kBadRequest worded
// as Go does.
Result<WallTime> ParseTime(std::string_view text);

// Times of API objects. An unset time is the zero WallTime.
WallTime ToWallTime(const meta::v1::Time& time);
WallTime ToWallTime(const meta::v1::MicroTime& time);
// Cut to whole seconds, and to microseconds, as they are stored.
void SetTime(WallTime time, meta::v1::Time* out);
void SetTime(WallTime time, meta::v1::MicroTime* out);

}  // namespace gantry::api
