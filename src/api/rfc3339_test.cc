#include "api/rfc3339.h"

#include <gtest/gtest.h>

#include <limits>

namespace gantry::api {
namespace {

std::string Through(std::string_view text, TimeLayout layout) {
  Result<UnixTime> time = ParseRfc3339(text, layout);
  if (!time.ok()) return time.status().message();
  std::string out;
  AppendRfc3339(*time, layout, &out);
  return out;
}

TEST(Rfc3339Test, TimesAreWrittenInUtc) {
  struct Row {
    const char* in;
    const char* out;
  };
  for (const Row& row : std::vector<Row>{
           {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
           {"2024-02-29T23:59:59Z", "2024-02-29T23:59:59Z"},
           {"2024-03-01T00:30:00+01:00", "2024-02-29T23:30:00Z"},
           {"2023-12-31T23:30:00.999999999-02:45", "2024-01-01T02:15:00Z"},
           {"1969-12-31T23:59:59,5Z", "1969-12-31T23:59:59Z"},
           {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
           {"0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"},
           {"1600-02-29T00:00:00Z", "1600-02-29T00:00:00Z"},
           {"9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"},
       }) {
    EXPECT_EQ(Through(row.in, TimeLayout::kTime), row.out) << row.in;
  }
  EXPECT_EQ(Through("2024-02-03T04:05:06.000070Z", TimeLayout::kMicroTime),
            "2024-02-03T04:05:06.000070Z");
}

TEST(Rfc3339Test, EveryDayOfFourCenturiesComesBack) {
  for (int64_t day = -719162; day < -719162 + 146097 * 2; day += 7) {
    std::string text;
    AppendRfc3339({day * 86400 + 3661, 0}, TimeLayout::kTime, &text);
    Result<UnixTime> back = ParseRfc3339(text, TimeLayout::kTime);
    ASSERT_TRUE(back.ok()) << text;
    ASSERT_EQ(back->seconds, day * 86400 + 3661) << text;
  }
}

TEST(Rfc3339Test, AnyCountOfSecondsCanBeWritten) {
  for (int64_t seconds :
       {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()}) {
    std::string text;
    AppendRfc3339({seconds, -5}, TimeLayout::kMicroTime, &text);
    EXPECT_FALSE(text.empty());
  }
}

TEST(Rfc3339Test, FailuresAreWordedAsGoWordsThem) {
  struct Row {
    const char* in;
    const char* error;
  };
  for (
      const Row& row : std::vector<Row>{
          {"", R"(parsing time "" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "2006")"},
          {"now",
           R"(parsing time "now" as "2006-01-02T15:04:05Z07:00": cannot parse "now" as "2006")"},
          {"2024-01-02",
           R"(parsing time "2024-01-02" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T")"},
          {"2024-01-02 03:04:05Z",
           R"(parsing time "2024-01-02 03:04:05Z" as "2006-01-02T15:04:05Z07:00": cannot parse " 03:04:05Z" as "T")"},
          {"2024-01-02T03:04:05",
           R"(parsing time "2024-01-02T03:04:05" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00")"},
          {"2024-13-02T03:04:05Z", R"(parsing time "2024-13-02T03:04:05Z": month out of range)"},
          {"2023-02-29T03:04:05Z", R"(parsing time "2023-02-29T03:04:05Z": day out of range)"},
          {"2024-01-02T24:04:05Z", R"(parsing time "2024-01-02T24:04:05Z": hour out of range)"},
          {"2024-01-02T03:04:05Zx", R"(parsing time "2024-01-02T03:04:05Zx": extra text: "x")"},
      }) {
    EXPECT_EQ(Through(row.in, TimeLayout::kTime), row.error) << row.in;
  }
  EXPECT_EQ(
      Through("2024-01-02T03:04:05Z", TimeLayout::kMicroTime),
      R"(parsing time "2024-01-02T03:04:05Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000")");
}

}  // namespace
}  // namespace gantry::api
