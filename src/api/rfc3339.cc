#include "api/rfc3339.h"

#include "api/quote.h"

namespace gantry::api {
namespace {

constexpr int64_t kSecondsPerDay = 86400;

// Days since 1970 of a date of the proleptic Gregorian calendar, counted in eras of 400 years that
// begin in March.
int64_t DaysOf(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
         719468;
}

struct Date {
  int64_t year, month, day;
};
Date DateOf(int64_t days) {
  days += 719468;
  const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const int64_t day_of_era = days - era * 146097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month_from_march = (5 * day_of_year + 2) / 153;
  const int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  return {year_of_era + era * 400 + (month <= 2), month,
          day_of_year - (153 * month_from_march + 2) / 5 + 1};
}

int DaysInMonth(int year, int month) {
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : kDays[month - 1];
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Reads from left to right, as Go goes along its layout. The first failure is kept.
class Parser {
 public:
  Parser(std::string_view text, TimeLayout layout) : text_(text), rest_(text), layout_(layout) {}

  Result<UnixTime> Parse() {
    const bool read =
        Number("2006", 4, 4, &year_) && Literal("-") && Number("01", 2, 2, &month_) &&
        InRange("month", month_, 1, 12) && Literal("-") && Number("02", 2, 2, &day_) &&
        Literal("T") && Number("15", 1, 2, &hour_) && InRange("hour", hour_, 0, 23) &&
        Literal(":") && Number("04", 2, 2, &minute_) && InRange("minute", minute_, 0, 59) &&
        Literal(":") && Number("05", 2, 2, &second_) && InRange("second", second_, 0, 59) &&
        Fraction() && Offset() && End() && InRange("day", day_, 1, DaysInMonth(year_, month_));
    if (!read) return BadRequest(std::move(error_));
    return UnixTime{DaysOf(year_, month_, day_) * kSecondsPerDay + hour_ * 3600 + minute_ * 60 +
                        second_ - offset_seconds_,
                    nanos_};
  }

 private:
  bool Fail(std::string_view element) {
    const std::string_view layout = layout_ == TimeLayout::kTime
                                        ? "2006-01-02T15:04:05Z07:00"
                                        : "2006-01-02T15:04:05.000000Z07:00";
    error_ = "parsing time " + GoQuote(text_) + " as " + GoQuote(layout) + ": cannot parse " +
             GoQuote(rest_) + " as " + GoQuote(element);
    return false;
  }
  bool FailWith(const std::string& why) {
    error_ = "parsing time " + GoQuote(text_) + ": " + why;
    return false;
  }

  bool Number(std::string_view element, size_t least, size_t most, int* out) {
    size_t digits = 0;
    *out = 0;
    for (; digits < most && digits < rest_.size() && IsDigit(rest_[digits]); ++digits)
      *out = *out * 10 + (rest_[digits] - '0');
    if (digits < least) return Fail(element);
    rest_.remove_prefix(digits);
    return true;
  }

  bool InRange(const char* what, int value, int low, int high) {
    return (value >= low && value <= high) || FailWith(std::string(what) + " out of range");
  }

  bool Literal(std::string_view text) {
    if (!rest_.starts_with(text)) return Fail(text);
    rest_.remove_prefix(text.size());
    return true;
  }

  bool Fraction() {
    const bool there =
        rest_.size() >= 2 && (rest_[0] == '.' || rest_[0] == ',') && IsDigit(rest_[1]);
    size_t digits = 0;
    while (there && digits + 1 < rest_.size() && IsDigit(rest_[digits + 1]))
      ++digits;
    if (layout_ == TimeLayout::kMicroTime) {
      if (digits < 6) return Fail(".000000");
      digits = 6;
    }
    if (!there) return true;
    for (size_t i = 0; i < 9; ++i)
      nanos_ = nanos_ * 10 + (i < digits ? rest_[i + 1] - '0' : 0);
    rest_.remove_prefix(digits + 1);
    return true;
  }

  bool Offset() {
    constexpr std::string_view kElement = "Z07:00";
    if (rest_.starts_with('Z')) {
      rest_.remove_prefix(1);
      return true;
    }
    auto digit = [&](size_t i) { return IsDigit(rest_[i]); };
    if (rest_.size() < 6 || (rest_[0] != '+' && rest_[0] != '-') || rest_[3] != ':' || !digit(1) ||
        !digit(2) || !digit(4) || !digit(5))
      return Fail(kElement);
    const int hours = (rest_[1] - '0') * 10 + (rest_[2] - '0');
    const int minutes = (rest_[4] - '0') * 10 + (rest_[5] - '0');
    if (!InRange("time zone offset hour", hours, 0, 24)) return false;
    if (!InRange("time zone offset minute", minutes, 0, 60)) return false;
    offset_seconds_ = (hours * 60 + minutes) * (rest_[0] == '-' ? -60 : 60);
    rest_.remove_prefix(6);
    return true;
  }

  bool End() { return rest_.empty() || FailWith("extra text: " + GoQuote(rest_)); }

  std::string_view text_;
  std::string_view rest_;
  TimeLayout layout_;
  std::string error_;
  int year_ = 0, month_ = 0, day_ = 0, hour_ = 0, minute_ = 0, second_ = 0;
  int32_t nanos_ = 0;
  int offset_seconds_ = 0;
};

void AppendDigits(int64_t value, size_t width, std::string* out) {
  const std::string digits = std::to_string(value < 0 ? -value : value);
  if (value < 0) out->push_back('-');
  if (digits.size() < width) out->append(width - digits.size(), '0');
  out->append(digits);
}

}  // namespace

Result<UnixTime> ParseRfc3339(std::string_view text, TimeLayout layout) {
  return Parser(text, layout).Parse();
}

void AppendRfc3339(UnixTime time, TimeLayout layout, std::string* out) {
  int64_t days = time.seconds / kSecondsPerDay;
  int64_t second = time.seconds % kSecondsPerDay;
  if (second < 0) {
    second += kSecondsPerDay;
    --days;
  }
  const Date date = DateOf(days);
  auto put = [out](char before, int64_t value) {
    if (before != '\0') out->push_back(before);
    out->push_back(static_cast<char>('0' + value / 10));
    out->push_back(static_cast<char>('0' + value % 10));
  };
  AppendDigits(date.year, 4, out);
  put('-', date.month);
  put('-', date.day);
  put('T', second / 3600);
  put(':', second / 60 % 60);
  put(':', second % 60);
  if (layout == TimeLayout::kMicroTime) {
    out->push_back('.');
    const int32_t nanos = time.nanos >= 0 && time.nanos < 1'000'000'000 ? time.nanos : 0;
    AppendDigits(nanos / 1000, 6, out);
  }
  out->push_back('Z');
}

}  // namespace gantry::api
