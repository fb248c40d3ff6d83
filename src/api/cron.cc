#include "api/cron.h"

#include <array>
#include <charconv>
#include <string>
#include <vector>

#include "api/duration.h"
#include "api/quote.h"

namespace gantry::api {
namespace {

struct Bounds {
  uint32_t low;
  uint32_t high;
  std::array<std::string_view, 12> names;  // of `low` and those after it
};
constexpr Bounds kMinutes = {0, 59, {}};
constexpr Bounds kHours = {0, 23, {}};
constexpr Bounds kDays = {1, 31, {}};
constexpr Bounds kMonths = {
    1, 12, {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}};
constexpr Bounds kWeekdays = {0, 6, {"sun", "mon", "tue", "wed", "thu", "fri", "sat"}};

struct Descriptor {
  std::string_view name;
  std::string_view schedule;
};
constexpr std::array<Descriptor, 7> kDescriptors = {{
    {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
    {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"},
    {"@daily", "0 0 * * *"},
    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
}};

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> Fields(std::string_view text) {
  std::vector<std::string_view> fields;
  constexpr std::string_view kBlank = " \t\n\v\f\r";
  while (true) {
    size_t start = text.find_first_not_of(kBlank);
    if (start == std::string_view::npos) return fields;
    size_t end = std::min(text.find_first_of(kBlank, start), text.size());
    fields.push_back(text.substr(start, end - start));
    text.remove_prefix(end);
  }
}

Result<uint32_t> ParseNumber(std::string_view text) {
  std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  int64_t value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc::result_out_of_range) {
    return BadRequest("failed to parse int from " + std::string(text) + ": strconv.Atoi: parsing " +
                      GoQuote(text) + ": value out of range");
  }
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return BadRequest("failed to parse int from " + std::string(text) + ": strconv.Atoi: parsing " +
                      GoQuote(text) + ": invalid syntax");
  }
  if (value < 0) {
    return BadRequest("negative number (" + std::to_string(value) +
                      ") not allowed: " + std::string(text));
  }
  return static_cast<uint32_t>(std::min<int64_t>(value, UINT32_MAX));
}

Result<uint32_t> ParseNumberOrName(std::string_view text, const Bounds& bounds) {
  std::string lower(text);
  for (char& c : lower)
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (size_t i = 0; i < bounds.names.size(); ++i) {
    if (!bounds.names[i].empty() && bounds.names[i] == lower)
      return bounds.low + static_cast<uint32_t>(i);
  }
  return ParseNumber(text);
}

// "*", "5", "1-5", "*/15", "10-40/5", "10/5".
Result<uint64_t> ParseRange(std::string_view text, const Bounds& bounds) {
  std::vector<std::string_view> range_and_step = Split(text, '/');
  std::vector<std::string_view> low_and_high = Split(range_and_step[0], '-');
  bool single = low_and_high.size() == 1;
  uint32_t start = bounds.low;
  uint32_t end = bounds.high;
  if (low_and_high[0] != "*" && low_and_high[0] != "?") {
    GANTRY_ASSIGN(start, ParseNumberOrName(low_and_high[0], bounds));
    if (low_and_high.size() > 2) return BadRequest("too many hyphens: " + std::string(text));
    end = start;
    if (!single) {
      GANTRY_ASSIGN(end, ParseNumberOrName(low_and_high[1], bounds));
    }
  }
  uint32_t step = 1;
  if (range_and_step.size() > 2) return BadRequest("too many slashes: " + std::string(text));
  if (range_and_step.size() == 2) {
    GANTRY_ASSIGN(step, ParseNumber(range_and_step[1]));
    // "n/step" goes on to the end.
    if (single) end = bounds.high;
  }
  std::string shown(text);
  if (start < bounds.low) {
    return BadRequest("beginning of range (" + std::to_string(start) + ") below minimum (" +
                      std::to_string(bounds.low) + "): " + shown);
  }
  if (end > bounds.high) {
    return BadRequest("end of range (" + std::to_string(end) + ") above maximum (" +
                      std::to_string(bounds.high) + "): " + shown);
  }
  if (start > end) {
    return BadRequest("beginning of range (" + std::to_string(start) + ") beyond end of range (" +
                      std::to_string(end) + "): " + shown);
  }
  if (step == 0) return BadRequest("step of range should be a positive number: " + shown);
  uint64_t bits = 0;
  for (uint64_t n = start; n <= end; n += step)
    bits |= uint64_t{1} << n;
  return bits;
}

Result<uint64_t> ParseField(std::string_view text, const Bounds& bounds) {
  uint64_t bits = 0;
  for (std::string_view part : Split(text, ',')) {
    if (part.empty()) continue;
    GANTRY_ASSIGN(uint64_t range, ParseRange(part, bounds));
    bits |= range;
  }
  return bits;
}

bool IsAny(std::string_view field) {
  for (std::string_view part : Split(field, ',')) {
    std::string_view range = part.substr(0, part.find('/'));
    bool every = part.find('/') == std::string_view::npos || part.ends_with("/1");
    if ((range == "*" || range == "?") && every) return true;
  }
  return false;
}

}  // namespace

Result<CronSchedule> CronSchedule::Parse(std::string_view text) {
  if (text.empty()) return BadRequest("empty spec string");
  if (text.starts_with("TZ=") || text.starts_with("CRON_TZ=")) {
    text.remove_prefix(std::min(text.find(' '), text.size()));
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  }
  CronSchedule schedule;
  constexpr std::string_view kEvery = "@every ";
  if (text.starts_with(kEvery)) {
    Result<Duration> every = ParseGoDuration(text.substr(kEvery.size()));
    if (!every.ok()) {
      return BadRequest("failed to parse duration " + std::string(text) + ": " +
                        every.status().message());
    }
    schedule.every = std::max<Duration>(*every, std::chrono::seconds(1));
    return schedule;
  }
  if (text.starts_with('@')) {
    for (const Descriptor& descriptor : kDescriptors) {
      if (descriptor.name == text) return Parse(descriptor.schedule);
    }
    return BadRequest("unrecognized descriptor: " + std::string(text));
  }
  std::vector<std::string_view> fields = Fields(text);
  if (fields.size() != 5) {
    std::string shown;
    for (std::string_view field : fields)
      shown.append(shown.empty() ? "" : " ").append(field);
    return BadRequest("expected exactly 5 fields, found " + std::to_string(fields.size()) + ": [" +
                      shown + "]");
  }
  GANTRY_ASSIGN(schedule.minutes, ParseField(fields[0], kMinutes));
  GANTRY_ASSIGN(schedule.hours, ParseField(fields[1], kHours));
  GANTRY_ASSIGN(schedule.days, ParseField(fields[2], kDays));
  GANTRY_ASSIGN(schedule.months, ParseField(fields[3], kMonths));
  GANTRY_ASSIGN(schedule.weekdays, ParseField(fields[4], kWeekdays));
  schedule.any_day = IsAny(fields[2]) || IsAny(fields[4]);
  return schedule;
}

}  // namespace gantry::api
