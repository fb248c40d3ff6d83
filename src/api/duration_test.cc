#include "api/duration.h"

#include <gtest/gtest.h>

#include <random>

#include "api/meta/v1/time.pb.h"

namespace gantry::api {
namespace {

using namespace std::chrono_literals;  // NOLINT: units are the point here

TEST(Duration, AgesReadAsInTables) {
  struct {
    Duration duration;
    const char* text;
  } rows[] = {
      {-5s, "<invalid>"},
      {-1s, "0s"},
      {0s, "0s"},
      {119s, "119s"},
      {120s, "2m"},
      {183s, "3m3s"},
      {600s, "10m"},
      {179min, "179m"},
      {180min, "3h"},
      {181min, "3h1m"},
      {8h, "8h"},
      {47h, "47h"},
      {48h, "2d"},
      {49h, "2d1h"},
      {24h * 8, "8d"},
      {24h * 365, "365d"},
      {24h * 365 * 2, "2y"},
      {24h * 800, "2y70d"},
      {24h * 365 * 9, "9y"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(HumanDuration(row.duration), row.text);
}

TEST(Duration, GoForm) {
  struct {
    const char* text;
    Duration duration;
    const char* printed;
  } rows[] = {
      {"0", 0s, "0s"},
      {"1h", 1h, "1h0m0s"},
      {"1h15m30.918s", 1h + 15min + 30918ms, "1h15m30.918s"},
      {"-1.5h", -90min, "-1h30m0s"},
      {"100ms", 100ms, "100ms"},
      {"1.5us", 1500ns, "1.5\xc2\xb5s"},
      {"2\xce\xbcs", 2us, "2\xc2\xb5s"},
      {"7ns", 7ns, "7ns"},
      {".5m", 30s, "30s"},
      {"90s", 90s, "1m30s"},
  };
  for (const auto& row : rows) {
    Result<Duration> duration = ParseGoDuration(row.text);
    ASSERT_TRUE(duration.ok()) << row.text;
    EXPECT_EQ(*duration, row.duration) << row.text;
    EXPECT_EQ(FormatGoDuration(*duration), row.printed);
  }
  EXPECT_EQ(ParseGoDuration("").status().message(), "time: invalid duration \"\"");
  EXPECT_EQ(ParseGoDuration("1").status().message(), "time: missing unit in duration \"1\"");
  EXPECT_EQ(ParseGoDuration("1d").status().message(),
            "time: unknown unit \"d\" in duration \"1d\"");
  EXPECT_EQ(ParseGoDuration(".s").status().message(), "time: invalid duration \".s\"");
  EXPECT_FALSE(ParseGoDuration("9999999999h").ok());
}

TEST(Duration, TimesRoundTrip) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 5000; ++i) {
    WallTime time(
        std::chrono::microseconds(static_cast<int64_t>(random() % 4'000'000'000'000'000)));
    EXPECT_EQ(*ParseTime(FormatMicroTime(time)), time);
    EXPECT_EQ(*ParseTime(FormatTime(time)), std::chrono::floor<std::chrono::seconds>(time));
    meta::v1::MicroTime message;
    SetTime(time, &message);
    EXPECT_EQ(ToWallTime(message), time);
  }
  EXPECT_EQ(FormatTime(WallTime(0s)), "1970-01-01T00:00:00Z");
  EXPECT_EQ(FormatMicroTime(*ParseTime("2024-02-29T23:59:59.123456789+02:00")),
            "2024-02-29T21:59:59.123456Z");
  for (const char* bad :
       {"", "2024", "2024-02-30T00:00:00Z", "2024-01-01 00:00:00Z", "2024-01-01T24:00:00Z",
        "2024-01-01T00:00:00", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00Zx"}) {
    EXPECT_FALSE(ParseTime(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace gantry::api
