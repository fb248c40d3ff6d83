#include "api/duration.h"

#include <array>
#include <limits>

#include "api/meta/v1/time.pb.h"
#include "api/quote.h"
#include "api/rfc3339.h"

namespace gantry::api {
namespace {

using std::chrono::floor;
using std::chrono::microseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::string Units(int64_t big, const char* big_unit, int64_t small, const char* small_unit) {
  std::string text = std::to_string(big) + big_unit;
  if (small != 0) text += std::to_string(small) + small_unit;
  return text;
}

struct Unit {
  std::string_view name;
  uint64_t nanos;
};
constexpr std::array<Unit, 8> kUnits = {{
    {"ns", 1},
    {"us", 1'000},
    {"\xc2\xb5s", 1'000},  // micro sign
    {"\xce\xbcs", 1'000},  // Greek letter mu
    {"ms", 1'000'000},
    {"s", 1'000'000'000},
    {"m", 60'000'000'000},
    {"h", 3'600'000'000'000},
}};

// "1.5" with trailing zeros cut: value / 10^digits.
std::string Fraction(uint64_t value, int digits) {
  uint64_t power = 1;
  for (int i = 0; i < digits; ++i)
    power *= 10;
  std::string text = std::to_string(value / power);
  std::string rest = std::to_string(value % power);
  rest.insert(0, static_cast<size_t>(digits) - rest.size(), '0');
  size_t last = rest.find_last_not_of('0');
  if (last != std::string::npos) text += "." + rest.substr(0, last + 1);
  return text;
}

WallTime ToWall(UnixTime time) {
  // The range of WallTime is 1678 to 2262; what lies outside is held at its ends.
  constexpr int64_t kMaxSeconds = std::numeric_limits<int64_t>::max() / 1'000'000'000 - 1;
  if (time.seconds > kMaxSeconds) return WallTime(seconds(kMaxSeconds));
  if (time.seconds < -kMaxSeconds) return WallTime(seconds(-kMaxSeconds));
  return WallTime(seconds(time.seconds) + nanoseconds(time.nanos));
}

std::string FormatUtc(WallTime time, TimeLayout layout) {
  const auto whole = floor<seconds>(time.time_since_epoch());
  const auto rest = time.time_since_epoch() - whole;
  std::string text;
  AppendRfc3339({whole.count(), static_cast<int32_t>(rest.count())}, layout, &text);
  return text;
}

template <class T>
WallTime FromMessage(const T& time) {
  return ToWall({time.seconds(), time.nanos()});
}

template <class T>
void ToMessage(nanoseconds since_epoch, T* out) {
  auto whole = floor<seconds>(since_epoch);
  out->set_seconds(whole.count());
  out->set_nanos(static_cast<int32_t>((since_epoch - whole).count()));
}

}  // namespace

std::string HumanDuration(Duration duration) {
  // Clocks of machines may differ by a second.
  int64_t s = std::chrono::duration_cast<seconds>(duration).count();
  if (s < -1) return "<invalid>";
  if (s < 0) return "0s";
  if (s < 120) return Units(s, "s", 0, "");
  int64_t m = s / 60;
  if (m < 10) return Units(m, "m", s % 60, "s");
  if (m < 180) return Units(m, "m", 0, "");
  int64_t h = m / 60;
  if (h < 8) return Units(h, "h", m % 60, "m");
  if (h < 48) return Units(h, "h", 0, "");
  if (h < 24 * 8) return Units(h / 24, "d", h % 24, "h");
  if (h < 24 * 365 * 2) return Units(h / 24, "d", 0, "");
  if (h < 24 * 365 * 8) return Units(h / 24 / 365, "y", h / 24 % 365, "d");
  return Units(h / 24 / 365, "y", 0, "");
}

Result<Duration> ParseGoDuration(std::string_view text) {
  auto invalid = [text] { return BadRequest("time: invalid duration " + GoQuote(text)); };
  constexpr uint64_t kLimit = uint64_t{1} << 63;
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (rest == "0") return Duration(0);
  if (rest.empty()) return invalid();
  uint64_t total = 0;
  while (!rest.empty()) {
    uint64_t value = 0;
    uint64_t fraction = 0;
    double scale = 1;
    bool digits = false;
    for (; !rest.empty() && IsDigit(rest[0]); rest.remove_prefix(1)) {
      digits = true;
      if (value > kLimit / 10) return invalid();
      value = value * 10 + static_cast<uint64_t>(rest[0] - '0');
      if (value > kLimit) return invalid();
    }
    if (!rest.empty() && rest[0] == '.') {
      rest.remove_prefix(1);
      for (; !rest.empty() && IsDigit(rest[0]); rest.remove_prefix(1)) {
        digits = true;
        if (fraction > (kLimit - 1) / 10 - 1) continue;  // finer than a nanosecond
        fraction = fraction * 10 + static_cast<uint64_t>(rest[0] - '0');
        scale *= 10;
      }
    }
    if (!digits) return invalid();
    size_t length = 0;
    while (length < rest.size() && rest[length] != '.' && !IsDigit(rest[length]))
      ++length;
    if (length == 0) return BadRequest("time: missing unit in duration " + GoQuote(text));
    std::string_view name = rest.substr(0, length);
    rest.remove_prefix(length);
    const Unit* unit = nullptr;
    for (const Unit& candidate : kUnits) {
      if (candidate.name == name) unit = &candidate;
    }
    if (unit == nullptr) {
      return BadRequest("time: unknown unit " + GoQuote(name) + " in duration " + GoQuote(text));
    }
    if (value > kLimit / unit->nanos) return invalid();
    value *= unit->nanos;
    value += static_cast<uint64_t>(static_cast<double>(fraction) *
                                   (static_cast<double>(unit->nanos) / scale));
    if (value > kLimit || total + value > kLimit) return invalid();
    total += value;
  }
  if (negative) return Duration(static_cast<int64_t>(-total));
  if (total > kLimit - 1) return invalid();
  return Duration(static_cast<int64_t>(total));
}

std::string FormatGoDuration(Duration duration) {
  int64_t count = duration.count();
  if (count == 0) return "0s";
  uint64_t nanos = count < 0 ? -static_cast<uint64_t>(count) : static_cast<uint64_t>(count);
  std::string text = count < 0 ? "-" : "";
  if (nanos < 1'000) return text + std::to_string(nanos) + "ns";
  if (nanos < 1'000'000) return text + Fraction(nanos, 3) + "\xc2\xb5s";
  if (nanos < 1'000'000'000) return text + Fraction(nanos, 6) + "ms";
  uint64_t whole_minutes = nanos / 60'000'000'000;
  uint64_t rest = nanos % 60'000'000'000;
  if (whole_minutes >= 60) text += std::to_string(whole_minutes / 60) + "h";
  if (whole_minutes > 0) text += std::to_string(whole_minutes % 60) + "m";
  return text + Fraction(rest, 9) + "s";
}

std::string FormatTime(WallTime time) { return FormatUtc(time, TimeLayout::kTime); }
std::string FormatMicroTime(WallTime time) { return FormatUtc(time, TimeLayout::kMicroTime); }

Result<WallTime> ParseTime(std::string_view text) {
  GANTRY_ASSIGN(UnixTime time, ParseRfc3339(text, TimeLayout::kTime));
  return ToWall(time);
}

WallTime ToWallTime(const meta::v1::Time& time) { return FromMessage(time); }
WallTime ToWallTime(const meta::v1::MicroTime& time) { return FromMessage(time); }

void SetTime(WallTime time, meta::v1::Time* out) {
  ToMessage(floor<seconds>(time.time_since_epoch()), out);
}
void SetTime(WallTime time, meta::v1::MicroTime* out) {
  ToMessage(floor<microseconds>(time.time_since_epoch()), out);
}

}  // namespace gantry::api
