#include <absl/time/civil_time.h>
#include <absl/time/time.h>

#include "api/cron.h"

namespace gantry::api {
namespace {

// Within so many years every date comes about that ever does: the 29th of February has the longest
// way, over a century without a leap day.
constexpr int kYears = 9;

bool Has(uint64_t bits, int bit) { return (bits >> bit) & 1; }

bool AdmitsDay(const CronSchedule& schedule, absl::CivilDay day) {
  // Abseil's week begins on Monday, cron's on Sunday.
  const int weekday = (static_cast<int>(absl::GetWeekday(day)) + 1) % 7;
  const bool by_date = Has(schedule.days, day.day());
  const bool by_weekday = Has(schedule.weekdays, weekday);
  return schedule.any_day ? by_date && by_weekday : by_date || by_weekday;
}

WallTime ToWall(absl::Time time) {
  return WallTime(std::chrono::nanoseconds(absl::ToUnixNanos(time)));
}

}  // namespace

Result<std::optional<WallTime>> CronSchedule::Next(WallTime after, const std::string& zone) const {
  if (every > Duration::zero()) {
    const auto whole = std::chrono::floor<std::chrono::seconds>(after);
    return std::optional<WallTime>(whole + every);
  }
  absl::TimeZone where = absl::UTCTimeZone();
  if (!zone.empty() && !absl::LoadTimeZone(zone, &where))
    return Status(Code::kNotFound, "unknown time zone " + zone);
  const absl::Time start = absl::FromUnixNanos(after.time_since_epoch().count());
  absl::CivilMinute at = absl::ToCivilMinute(start, where) + 1;
  const absl::CivilYear last = absl::CivilYear(at) + kYears;
  while (absl::CivilYear(at) <= last) {
    if (!Has(months, at.month())) {
      at = absl::CivilMinute(absl::CivilMonth(at) + 1);
    } else if (!AdmitsDay(*this, absl::CivilDay(at))) {
      at = absl::CivilMinute(absl::CivilDay(at) + 1);
    } else if (!Has(hours, at.hour())) {
      at = absl::CivilMinute(absl::CivilHour(at) + 1);
    } else if (!Has(minutes, at.minute())) {
      at = at + 1;
    } else {
      const absl::TimeZone::TimeInfo info = where.At(absl::CivilSecond(at));
      // An hour that comes twice is used once, at its first time; one that does not come, not at
      // all.
      const bool skipped = info.kind == absl::TimeZone::TimeInfo::SKIPPED;
      if (!skipped && info.pre > start) return std::optional<WallTime>(ToWall(info.pre));
      at = at + 1;
    }
  }
  return std::optional<WallTime>();
}

}  // namespace gantry::api
