#include "api/quantity.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace gantry::api {
namespace {

struct Row {
  const char* in;
  const char* out;
};

TEST(Quantity, PrintsCanonically) {
  const Row rows[] = {
      {"0", "0"},
      {"0.0", "0"},
      {"+", "0"},
      {".", "0"},
      {"1", "1"},
      {"+1", "1"},
      {"-1", "-1"},
      {"0.5", "500m"},
      {".5", "500m"},
      {"1.", "1"},
      {"1.5", "1500m"},
      {"0.001", "1m"},
      {"100m", "100m"},
      {"1000m", "1"},
      {"1500m", "1500m"},
      {"1000k", "1M"},
      {"1024", "1024"},
      {"1Ki", "1Ki"},
      {"1024Ki", "1Mi"},
      {"1000Ki", "1000Ki"},
      {"1.5Gi", "1536Mi"},
      {"0.5Ki", "512"},
      {"0.5Mi", "512Ki"},
      {"1.1Ki", "1126400m"},
      {"500Ki", "500Ki"},
      {"1e3", "1e3"},
      {"1E3", "1e3"},
      {"12e-2", "120e-3"},
      {"1e+3", "1e3"},
      {"1E", "1E"},
      {"1000E", "1e21"},
      {"100E", "100E"},
      {"0.1n", "1n"},
      {"1.0000000001", "1000000001n"},
      {"-0.1n", "-1n"},
      {"8Ei", "9223372036854775807"},
      {"0.0000000000000000000000000000001", "1n"},
      {"9223372036854775807", "9223372036854775807"},
      {"123456789012345678901234567890m", "123456789012345678901234567890m"},
      {"0.0001Ki", "102400u"},
      {"00012", "12"},
      {"64Mi", "64Mi"},
      {"128974848", "128974848"},
      {"129e6", "129e6"},
      {"129M", "129M"},
      {"128974848000m", "128974848"},
      {"123Mi", "123Mi"},
      {"-1536Mi", "-1536Mi"},
      {"5E223", "100e27"},
      {"1.0000000000000000000000000000000000000Ei", "1Ei"},
  };
  for (const Row& row : rows) {
    Result<Quantity> quantity = Quantity::Parse(row.in);
    ASSERT_TRUE(quantity.ok()) << row.in << ": " << quantity.status().message();
    EXPECT_EQ(quantity->ToString(), row.out) << row.in;
  }
}

TEST(Quantity, RefusesWhatIsNone) {
  constexpr char kFormat[] =
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
  constexpr char kSuffix[] = "unable to parse quantity's suffix";
  const Row rows[] = {
      {"", kFormat},      {"abc", kFormat},  {"1 ", kFormat},   {" 1", kFormat},
      {"1.2.3", kFormat}, {"--1", kSuffix},  {"1Gib", kFormat}, {"1KB", kFormat},
      {"1K", kSuffix},    {"1mi", kSuffix},  {"1ki", kSuffix},  {"1e", kSuffix},
      {"1i", kSuffix},    {"1E1E", kFormat}, {"1m1", kSuffix},  {"1e99999999999", kSuffix},
      {"0x1", kFormat},   {"1,5", kFormat},  {"1e-", kSuffix},  {"\xff", kFormat},
  };
  for (const Row& row : rows) {
    Result<Quantity> quantity = Quantity::Parse(row.in);
    ASSERT_FALSE(quantity.ok()) << row.in << " gave " << quantity->ToString();
    EXPECT_EQ(quantity.status().message(), row.out) << row.in;
  }
}

TEST(Quantity, GivesWholeNumbersRoundedUp) {
  struct {
    const char* in;
    int64_t value;
    int64_t milli;
  } rows[] = {
      {"1", 1, 1000},
      {"1m", 1, 1},
      {"1001m", 2, 1001},
      {"-1001m", -2, -1001},
      {"1u", 1, 1},
      {"1Gi", 1 << 30, int64_t{1000} << 30},
      {"8Ei", INT64_MAX, INT64_MAX},
      {"100E", INT64_MAX, INT64_MAX},
      {"-100E", INT64_MIN, INT64_MIN},
      {"1e300", INT64_MAX, INT64_MAX},
  };
  for (const auto& row : rows) {
    Quantity quantity = Quantity::ParseOrZero(row.in);
    EXPECT_EQ(quantity.Value(), row.value) << row.in;
    EXPECT_EQ(quantity.MilliValue(), row.milli) << row.in;
  }
}

TEST(Quantity, AddsAndKeepsTheFormat) {
  Quantity sum;
  sum += Quantity::ParseOrZero("512Mi");
  sum += Quantity::ParseOrZero("512Mi");
  EXPECT_EQ(sum.ToString(), "1Gi");
  sum -= Quantity::ParseOrZero("1G");
  EXPECT_EQ(sum.ToString(), "73741824");
  EXPECT_EQ((Quantity::ParseOrZero("250m") + Quantity::ParseOrZero("0.75")).ToString(), "1");
  EXPECT_EQ((-Quantity::ParseOrZero("250m")).ToString(), "-250m");
  EXPECT_LT(Quantity::ParseOrZero("1G"), Quantity::ParseOrZero("1Gi"));
  EXPECT_EQ(Quantity::ParseOrZero("1k"), Quantity::ParseOrZero("1000"));
  Quantity fine = Quantity::ParseOrZero("1500u");
  fine.RoundUpToMilli();
  EXPECT_EQ(fine.ToString(), "2m");
}

TEST(Quantity, CanonicalFormIsAFixedPoint) {
  std::mt19937_64 random(7);
  const char* suffixes[] = {"",   "n",  "u",  "m",  "k",  "M",  "G",   "T", "P",
                            "Ki", "Mi", "Gi", "Ti", "Pi", "e3", "e-3", "E2"};
  for (int i = 0; i < 20000; ++i) {
    std::string text = std::to_string(random() % (i % 2 == 0 ? 10'000 : 10'000'000'000'000));
    if (random() % 2 == 0) text += "." + std::to_string(random() % 100'000);
    if (random() % 4 == 0) text.insert(0, "-");
    text += suffixes[random() % std::size(suffixes)];
    Result<Quantity> quantity = Quantity::Parse(text);
    ASSERT_TRUE(quantity.ok()) << text;
    Result<Quantity> again = Quantity::Parse(quantity->ToString());
    ASSERT_TRUE(again.ok()) << text << " -> " << quantity->ToString();
    EXPECT_EQ(*again, *quantity) << text;
    EXPECT_EQ(again->ToString(), quantity->ToString()) << text;
  }
}

}  // namespace
}  // namespace gantry::api
