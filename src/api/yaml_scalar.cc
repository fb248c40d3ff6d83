#include "api/yaml_scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string>

namespace gantry::api {
namespace {

constexpr std::array<std::string_view, 11> kTrue = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                                    "True", "TRUE", "on",  "On",  "ON"};
constexpr std::array<std::string_view, 11> kFalse = {"n",     "N",     "no",  "No",  "NO", "false",
                                                     "False", "FALSE", "off", "Off", "OFF"};
constexpr std::array<std::string_view, 5> kNull = {"", "~", "null", "Null", "NULL"};
constexpr std::array<std::string_view, 3> kNan = {".nan", ".NaN", ".NAN"};
constexpr std::array<std::string_view, 6> kInfinity = {".inf",  ".Inf",  ".INF",
                                                       "+.inf", "+.Inf", "+.INF"};
constexpr std::array<std::string_view, 3> kMinusInfinity = {"-.inf", "-.Inf", "-.INF"};

template <size_t N>
bool IsOneOf(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

size_t SkipDigits(std::string_view text, size_t pos) {
  while (pos < text.size() && IsDigit(text[pos]))
    ++pos;
  return pos;
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool LooksLikeFloat(std::string_view text) {
  size_t pos = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  size_t whole = SkipDigits(text, pos);
  bool digits = whole > pos;
  pos = whole;
  if (pos < text.size() && text[pos] == '.') {
    size_t end = SkipDigits(text, pos + 1);
    if (!digits && end == pos + 1) return false;
    digits = true;
    pos = end;
  }
  if (!digits) return false;
  if (pos < text.size() && (text[pos] == 'e' || text[pos] == 'E')) {
    ++pos;
    if (pos < text.size() && (text[pos] == '-' || text[pos] == '+')) ++pos;
    size_t end = SkipDigits(text, pos);
    if (end == pos) return false;
    pos = end;
  }
  return pos == text.size();
}

// Base by prefix: 0x, 0o, 0b, and a leading 0 for octal.
bool ReadInteger(std::string_view text, JsonValue* out) {
  bool negative = text[0] == '-';
  if (text[0] == '-' || text[0] == '+') text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    switch (text[1]) {
      case 'x':
      case 'X':
        base = 16;
        break;
      case 'o':
      case 'O':
        base = 8;
        break;
      case 'b':
      case 'B':
        base = 2;
        break;
      default:
        break;
    }
    if (base == 10) {
      base = 8;
      text.remove_prefix(1);
    } else {
      text.remove_prefix(2);
    }
  }
  uint64_t magnitude = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), magnitude, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return false;
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (magnitude <= kMax + (negative ? 1 : 0)) {
    *out = static_cast<int64_t>(negative ? -magnitude : magnitude);
    return true;
  }
  if (negative) return false;
  *out = static_cast<double>(magnitude);
  return true;
}

bool ReadFloat(std::string_view text, JsonValue* out) {
  if (!LooksLikeFloat(text)) return false;
  if (text[0] == '+') text.remove_prefix(1);
  double value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc())
    return false;
  *out = value;
  return true;
}

// [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?: a number in other YAML libraries.
bool LooksLikeBase60(std::string_view text) {
  if (text.find(':') == std::string_view::npos) return false;
  if (text[0] == '-' || text[0] == '+') text.remove_prefix(1);
  size_t pos = 0;
  while (pos < text.size() && (IsDigit(text[pos]) || (pos > 0 && text[pos] == '_')))
    ++pos;
  if (pos == 0) return false;
  bool parts = false;
  while (pos < text.size() && text[pos] == ':') {
    size_t end = SkipDigits(text, pos + 1);
    size_t length = end - pos - 1;
    if (length == 0 || length > 2 || (length == 2 && text[pos + 1] > '5')) return false;
    pos = end;
    parts = true;
  }
  if (pos < text.size() && text[pos] == '.') {
    ++pos;
    while (pos < text.size() && (IsDigit(text[pos]) || text[pos] == '_'))
      ++pos;
  }
  return parts && pos == text.size();
}

// 2006-1-2, alone or with a time behind it.
bool LooksLikeTimestamp(std::string_view text) {
  if (SkipDigits(text, 0) != 4 || text.size() < 8 || text[4] != '-') return false;
  size_t month = SkipDigits(text, 5);
  if (month == 5 || month > 7 || month == text.size() || text[month] != '-') return false;
  size_t day = SkipDigits(text, month + 1);
  if (day == month + 1 || day > month + 3) return false;
  if (day == text.size()) return true;
  if (text[day] != 'T' && text[day] != 't' && text[day] != ' ') return false;
  std::string_view time = text.substr(day + 1);
  if (SkipDigits(time, 0) == 0 || SkipDigits(time, 0) > 2) return false;
  return std::all_of(time.begin(), time.end(), [](char c) {
    return IsDigit(c) || std::string_view(":.Z+-").find(c) != std::string_view::npos;
  });
}

}  // namespace

JsonValue ResolvePlainYaml(std::string_view text) {
  if (IsOneOf(text, kNull)) return nullptr;
  if (IsOneOf(text, kTrue)) return true;
  if (IsOneOf(text, kFalse)) return false;
  if (IsOneOf(text, kNan)) return std::numeric_limits<double>::quiet_NaN();
  if (IsOneOf(text, kInfinity)) return std::numeric_limits<double>::infinity();
  if (IsOneOf(text, kMinusInfinity)) return -std::numeric_limits<double>::infinity();
  JsonValue number;
  if (IsDigit(text[0]) || text[0] == '-' || text[0] == '+') {
    std::string plain(text);
    std::erase(plain, '_');
    if (plain.size() > 0 && (ReadInteger(plain, &number) || ReadFloat(plain, &number)))
      return number;
  } else if (text[0] == '.' && ReadFloat(text, &number)) {
    return number;
  }
  return JsonValue(text);
}

bool ResolvesToString(std::string_view text) {
  return ResolvePlainYaml(text).is_string() && text != "<<" && !LooksLikeBase60(text) &&
         !LooksLikeTimestamp(text);
}

}  // namespace gantry::api
