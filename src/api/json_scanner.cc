#include "api/json_scanner.h"

#include <cstdint>
#include <cstring>

#include "api/quote.h"

namespace gantry::api {
namespace {

constexpr uint64_t kOnes = 0x0101010101010101u;
constexpr uint64_t kHighs = 0x8080808080808080u;

// True where any of eight bytes is a quote, a backslash or a control character.
bool HasSpecial(uint64_t word) {
  const uint64_t quote = word ^ (kOnes * '"');
  const uint64_t slash = word ^ (kOnes * '\\');
  return (((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash) |
          ((word - kOnes * 0x20) & ~word)) &
         kHighs;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

bool JsonScanner::Fail(std::string_view context) {
  if (at_ == end_) {
    error_ = "unexpected end of JSON input";
    return false;
  }
  std::string shown;
  if (*at_ == '\'') {
    shown = "\\'";
  } else if (*at_ == '"') {
    shown = "\"";
  } else {
    std::string rune;
    AppendUtf8(static_cast<unsigned char>(*at_), &rune);  // Go shows the byte, not the character
    shown = GoQuote(rune);
    shown = shown.substr(1, shown.size() - 2);
  }
  error_ = "invalid character '" + shown + "' " + std::string(context);
  return false;
}

bool JsonScanner::Key(std::string_view* name) {
  if (Peek() != '"') return Fail("looking for beginning of object key string");
  if (!String(name)) return false;
  if (Peek() != ':') return Fail("after object key");
  Take();
  return true;
}

bool JsonScanner::String(std::string_view* value) {
  const char* start = ++at_;
  const char* p = start;
  while (end_ - p >= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    if (HasSpecial(word)) break;
    p += 8;
  }
  while (p != end_ && *p != '"' && *p != '\\' && static_cast<unsigned char>(*p) >= 0x20)
    ++p;
  at_ = p;
  if (p != end_ && *p == '"') {
    *value = {start, static_cast<size_t>(p - start)};
    ++at_;
    return true;
  }
  return StringSlow(start, value);
}

bool JsonScanner::StringSlow(const char* start, std::string_view* value) {
  buffer_.assign(start, at_);
  while (at_ != end_) {
    const char c = *at_;
    if (c == '"') {
      ++at_;
      *value = buffer_;
      return true;
    }
    if (static_cast<unsigned char>(c) < 0x20) return Fail("in string literal");
    ++at_;
    if (c != '\\') {
      buffer_.push_back(c);
    } else if (!Escape()) {
      return false;
    }
  }
  return Fail("");
}

bool JsonScanner::Escape() {
  if (at_ == end_) return Fail("");
  switch (*at_) {
    case '"':
    case '\\':
    case '/':
      buffer_.push_back(*at_);
      break;
    case 'b':
      buffer_.push_back('\b');
      break;
    case 'f':
      buffer_.push_back('\f');
      break;
    case 'n':
      buffer_.push_back('\n');
      break;
    case 'r':
      buffer_.push_back('\r');
      break;
    case 't':
      buffer_.push_back('\t');
      break;
    case 'u': {
      ++at_;
      uint32_t unit = 0;
      if (!Hex4(&unit)) return false;
      if (unit >= 0xD800 && unit < 0xE000) {
        // Half of a surrogate pair: the other half must follow, else it becomes U+FFFD.
        uint32_t low = 0;
        const char* behind = at_;
        if (unit < 0xDC00 && end_ - at_ >= 6 && at_[0] == '\\' && at_[1] == 'u') {
          at_ += 2;
          if (!Hex4(&low)) return false;
        }
        if (low >= 0xDC00 && low < 0xE000) {
          unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        } else {
          at_ = behind;
          unit = 0xFFFD;
        }
      }
      AppendUtf8(unit, &buffer_);
      return true;
    }
    default:
      return Fail("in string escape code");
  }
  ++at_;
  return true;
}

bool JsonScanner::Hex4(uint32_t* value) {
  *value = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    if (at_ == end_) return Fail("");
    const char c = *at_;
    uint32_t digit;
    if (IsDigit(c)) {
      digit = static_cast<uint32_t>(c - '0');
    } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
      digit = static_cast<uint32_t>((c | 0x20) - 'a' + 10);
    } else {
      return Fail("in \\u hexadecimal character escape");
    }
    *value = *value << 4 | digit;
  }
  return true;
}

bool JsonScanner::Number(std::string_view* text) {
  const char* start = at_;
  auto digit = [this] { return at_ != end_ && IsDigit(*at_); };
  if (*at_ == '-') ++at_;
  if (!digit()) return Fail("in numeric literal");
  if (*at_ == '0') {
    ++at_;
  } else {
    while (digit())
      ++at_;
  }
  if (at_ != end_ && *at_ == '.') {
    ++at_;
    if (!digit()) return Fail("after decimal point in numeric literal");
    while (digit())
      ++at_;
  }
  if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
    ++at_;
    if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
    if (!digit()) return Fail("in exponent of numeric literal");
    while (digit())
      ++at_;
  }
  *text = {start, static_cast<size_t>(at_ - start)};
  return true;
}

bool JsonScanner::Literal(std::string_view word) {
  for (char c : word) {
    if (at_ == end_ || *at_ != c)
      return Fail("in literal " + std::string(word) + " (expecting '" + c + "')");
    ++at_;
  }
  return true;
}

bool JsonScanner::Next(char close, bool* more) {
  const char c = Peek();
  if (c == ',' || c == close) {
    Take();
    *more = c == ',';
    return true;
  }
  return Fail(close == '}' ? "after object key:value pair" : "after array element");
}

bool JsonScanner::Skip(int depth) {
  std::string_view ignored;
  const char c = Peek();
  switch (c) {
    case '"':
      return String(&ignored);
    case 't':
      return Literal("true");
    case 'f':
      return Literal("false");
    case 'n':
      return Literal("null");
    case '{':
    case '[': {
      if (depth >= kMaxDepth) return TooDeep();
      const char close = c == '{' ? '}' : ']';
      Take();
      if (Peek() == close) {
        Take();
        return true;
      }
      for (bool more = true; more;) {
        if (c == '{' && !Key(&ignored)) return false;
        if (!Skip(depth + 1) || !Next(close, &more)) return false;
      }
      return true;
    }
    default:
      break;
  }
  if (StartsNumber(c)) return Number(&ignored);
  return Fail("looking for beginning of value");
}

bool JsonScanner::End() {
  return Peek() == '\0' && at_ == end_ ? true : Fail("after top-level value");
}

}  // namespace gantry::api
