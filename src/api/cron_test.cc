#include "api/cron.h"

#include <gtest/gtest.h>

#include "api/duration.h"

namespace gantry::api {
namespace {

std::string NextAfter(const char* schedule, const char* after, const char* zone = "") {
  Result<CronSchedule> parsed = CronSchedule::Parse(schedule);
  if (!parsed.ok()) return parsed.status().message();
  Result<std::optional<WallTime>> next = parsed->Next(*ParseTime(after), zone);
  if (!next.ok()) return next.status().message();
  return *next ? FormatTime(**next) : "never";
}

TEST(Cron, TheNextTime) {
  const struct {
    const char* schedule;
    const char* after;
    const char* next;
  } rows[] = {
      {"* * * * *", "2026-05-01T12:00:00Z", "2026-05-01T12:01:00Z"},
      {"* * * * *", "2026-05-01T12:00:59Z", "2026-05-01T12:01:00Z"},
      {"*/15 * * * *", "2026-05-01T12:46:00Z", "2026-05-01T13:00:00Z"},
      {"30 4 * * *", "2026-05-01T04:30:00Z", "2026-05-02T04:30:00Z"},
      {"0 0 1 1 *", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
      {"0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
      {"0 0 30 2 *", "2026-01-01T00:00:00Z", "never"},
      {"0 9 * * mon-fri", "2026-05-01T09:00:00Z", "2026-05-04T09:00:00Z"},  // a Friday
      {"0 0 * * sun", "2026-05-01T00:00:00Z", "2026-05-03T00:00:00Z"},
      {"0 0 13 * fri", "2026-05-01T00:00:00Z", "2026-05-08T00:00:00Z"},  // either day will do
      {"@hourly", "2026-12-31T23:59:00Z", "2027-01-01T00:00:00Z"},
      {"@every 90s", "2026-05-01T12:00:00Z", "2026-05-01T12:01:30Z"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(NextAfter(row.schedule, row.after), row.next) << row.schedule;
}

TEST(Cron, TimeZonesAndTheirChangesOfTheClock) {
  EXPECT_EQ(NextAfter("0 9 * * *", "2026-07-01T00:00:00Z", "Europe/Berlin"),
            "2026-07-01T07:00:00Z");
  EXPECT_EQ(NextAfter("0 9 * * *", "2026-01-01T00:00:00Z", "Europe/Berlin"),
            "2026-01-01T08:00:00Z");
  // On 29 March 2026 there is no half past two.
  EXPECT_EQ(NextAfter("30 2 * * *", "2026-03-28T12:00:00Z", "Europe/Berlin"),
            "2026-03-30T00:30:00Z");
  // On 25 October 2026 there are two of them.
  EXPECT_EQ(NextAfter("30 2 * * *", "2026-10-24T12:00:00Z", "Europe/Berlin"),
            "2026-10-25T00:30:00Z");
  EXPECT_EQ(NextAfter("30 2 * * *", "2026-10-25T00:30:00Z", "Europe/Berlin"),
            "2026-10-26T01:30:00Z");
  EXPECT_EQ(NextAfter("0 9 * * *", "2026-01-01T00:00:00Z", "Nowhere/Town"),
            "unknown time zone Nowhere/Town");
}

}  // namespace
}  // namespace gantry::api
