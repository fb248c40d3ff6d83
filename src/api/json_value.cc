#include "api/json_value.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <unordered_map>

#include "api/quote.h"

namespace gantry::api {
namespace {

constexpr int kMaxDepth = 1000;
constexpr size_t kFewMembers = 16;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Keeps the last of members with the same name, at the place of the first.
void DropDuplicates(JsonValue::Object* object) {
  size_t kept = 0;
  std::unordered_map<std::string_view, size_t> places;
  auto find = [&](const std::string& name) {
    if (object->size() > kFewMembers) {
      auto [it, added] = places.try_emplace((*object)[kept].first, kept);
      return added ? kept : it->second;
    }
    for (size_t i = 0; i < kept; ++i) {
      if ((*object)[i].first == name) return i;
    }
    return kept;
  };
  for (size_t i = 0; i < object->size(); ++i) {
    if (i != kept) (*object)[kept] = std::move((*object)[i]);
    size_t place = find((*object)[kept].first);
    if (place == kept) {
      ++kept;
    } else {
      (*object)[place].second = std::move((*object)[kept].second);
    }
  }
  object->resize(kept);
}

// A recursive descent over the text; its depth is bounded. Errors are worded as Go's decoder words
// them.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<JsonValue> Parse() {
    JsonValue value;
    bool ok = Value(&value, 0);
    if (ok) {
      SkipSpace();
      if (pos_ != text_.size()) ok = Unexpected("after top-level value");
    }
    if (!ok) return BadRequest(error_);
    return value;
  }

 private:
  bool AtEnd() const { return pos_ >= text_.size(); }
  char Peek() const { return text_[pos_]; }

  void SkipSpace() {
    while (!AtEnd() && (Peek() == ' ' || Peek() == '\n' || Peek() == '\t' || Peek() == '\r'))
      ++pos_;
  }

  bool Unexpected(std::string_view context) {
    if (AtEnd()) {
      error_ = "unexpected end of JSON input";
      return false;
    }
    char c = Peek();
    std::string shown = c == '\'' ? "\\'" : c == '"' ? "\"" : "";
    if (shown.empty()) {
      std::string rune;
      AppendUtf8(static_cast<unsigned char>(c), &rune);
      shown = GoQuote(rune);
      shown = shown.substr(1, shown.size() - 2);
    }
    error_ = "invalid character '" + shown + "' " + std::string(context);
    return false;
  }

  bool Value(JsonValue* out, int depth) {
    SkipSpace();
    if (AtEnd()) return Unexpected("");
    switch (Peek()) {
      case '{':
        return Object(out, depth);
      case '[':
        return Array(out, depth);
      case '"': {
        std::string text;
        if (!String(&text)) return false;
        *out = std::move(text);
        return true;
      }
      case 't':
        *out = true;
        return Literal("true");
      case 'f':
        *out = false;
        return Literal("false");
      case 'n':
        *out = nullptr;
        return Literal("null");
      default:
        return Number(out);
    }
  }

  bool Literal(std::string_view word) {
    for (size_t i = 0; i < word.size(); ++i, ++pos_) {
      if (AtEnd() || Peek() != word[i]) {
        return Unexpected("in literal " + std::string(word) + " (expecting '" + word[i] + "')");
      }
    }
    return true;
  }

  bool TooDeep(int depth) {
    if (depth < kMaxDepth) return false;
    error_ = "exceeded max depth";
    return true;
  }

  bool Object(JsonValue* out, int depth) {
    if (TooDeep(depth)) return false;
    ++pos_;
    JsonValue::Object members;
    SkipSpace();
    if (!AtEnd() && Peek() == '}') {
      ++pos_;
      *out = std::move(members);
      return true;
    }
    while (true) {
      SkipSpace();
      if (AtEnd() || Peek() != '"') return Unexpected("looking for beginning of object key string");
      JsonValue::Member& member = members.emplace_back();
      if (!String(&member.first)) return false;
      SkipSpace();
      if (AtEnd() || Peek() != ':') return Unexpected("after object key");
      ++pos_;
      if (!Value(&member.second, depth + 1)) return false;
      SkipSpace();
      if (!AtEnd() && Peek() == '}') break;
      if (AtEnd() || Peek() != ',') return Unexpected("after object key:value pair");
      ++pos_;
    }
    ++pos_;
    DropDuplicates(&members);
    *out = std::move(members);
    return true;
  }

  bool Array(JsonValue* out, int depth) {
    if (TooDeep(depth)) return false;
    ++pos_;
    JsonValue::Array items;
    SkipSpace();
    if (!AtEnd() && Peek() == ']') {
      ++pos_;
      *out = std::move(items);
      return true;
    }
    while (true) {
      if (!Value(&items.emplace_back(), depth + 1)) return false;
      SkipSpace();
      if (!AtEnd() && Peek() == ']') break;
      if (AtEnd() || Peek() != ',') return Unexpected("after array element");
      ++pos_;
    }
    ++pos_;
    *out = std::move(items);
    return true;
  }

  bool Number(JsonValue* out) {
    size_t start = pos_;
    bool whole = true;
    if (Peek() == '-') {
      ++pos_;
      if (AtEnd() || !IsDigit(Peek())) return Unexpected("in numeric literal");
    }
    if (!IsDigit(Peek())) return Unexpected("looking for beginning of value");
    if (Peek() == '0') {
      ++pos_;
    } else {
      SkipDigits();
    }
    if (!AtEnd() && Peek() == '.') {
      whole = false;
      ++pos_;
      if (AtEnd() || !IsDigit(Peek())) return Unexpected("after decimal point in numeric literal");
      SkipDigits();
    }
    if (!AtEnd() && (Peek() == 'e' || Peek() == 'E')) {
      whole = false;
      ++pos_;
      if (!AtEnd() && (Peek() == '+' || Peek() == '-')) ++pos_;
      if (AtEnd() || !IsDigit(Peek())) return Unexpected("in exponent of numeric literal");
      SkipDigits();
    }
    const char* begin = text_.data() + start;
    const char* end = text_.data() + pos_;
    int64_t integer = 0;
    if (whole && std::from_chars(begin, end, integer).ec == std::errc()) {
      *out = integer;
      return true;
    }
    double number = 0;
    if (std::from_chars(begin, end, number).ec == std::errc::result_out_of_range) {
      // A number too small for a double is zero; one too large is an error.
      number = std::strtod(std::string(begin, end).c_str(), nullptr);
      if (number > 1 || number < -1) {
        error_ = "json: cannot unmarshal number " + std::string(begin, end) +
                 " into Go value of type float64";
        return false;
      }
    }
    *out = number;
    return true;
  }

  void SkipDigits() {
    while (!AtEnd() && IsDigit(Peek()))
      ++pos_;
  }

  bool String(std::string* out) {
    ++pos_;
    while (true) {
      size_t start = pos_;
      while (!AtEnd() && Peek() != '"' && Peek() != '\\' &&
             static_cast<unsigned char>(Peek()) >= 0x20 &&
             static_cast<unsigned char>(Peek()) < 0x80) {
        ++pos_;
      }
      out->append(text_, start, pos_ - start);
      if (AtEnd()) return Unexpected("");
      if (Peek() == '"') break;
      if (Peek() == '\\') {
        if (!Escape(out)) return false;
      } else if (static_cast<unsigned char>(Peek()) < 0x20) {
        return Unexpected("in string literal");
      } else {
        Utf8Rune rune = DecodeUtf8(text_.substr(pos_));
        if (rune.length == 0) {
          AppendUtf8(0xfffd, out);
          ++pos_;
        } else {
          out->append(text_, pos_, static_cast<size_t>(rune.length));
          pos_ += static_cast<size_t>(rune.length);
        }
      }
    }
    ++pos_;
    return true;
  }

  bool Escape(std::string* out) {
    ++pos_;
    if (AtEnd()) return Unexpected("");
    switch (Peek()) {
      case 'b':
        out->push_back('\b');
        break;
      case 'f':
        out->push_back('\f');
        break;
      case 'n':
        out->push_back('\n');
        break;
      case 'r':
        out->push_back('\r');
        break;
      case 't':
        out->push_back('\t');
        break;
      case '"':
      case '\\':
      case '/':
        out->push_back(Peek());
        break;
      case 'u': {
        ++pos_;
        char32_t rune = 0;
        if (!Hex4(&rune)) return false;
        if (rune >= 0xd800 && rune < 0xdc00 && text_.substr(pos_, 2) == "\\u") {
          size_t back = pos_;
          char32_t low = 0;
          pos_ += 2;
          if (!Hex4(&low)) return false;
          if (low >= 0xdc00 && low < 0xe000) {
            rune = 0x10000 + ((rune - 0xd800) << 10) + (low - 0xdc00);
          } else {
            pos_ = back;
          }
        }
        AppendUtf8(rune >= 0xd800 && rune < 0xe000 ? 0xfffd : rune, out);
        return true;
      }
      default:
        return Unexpected("in string escape code");
    }
    ++pos_;
    return true;
  }

  bool Hex4(char32_t* rune) {
    *rune = 0;
    for (int i = 0; i < 4; ++i, ++pos_) {
      char c = AtEnd() ? '\0' : Peek();
      int digit = IsDigit(c)             ? c - '0'
                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                         : -1;
      if (digit < 0) return Unexpected("in \\u hexadecimal character escape");
      *rune = *rune * 16 + static_cast<char32_t>(digit);
    }
    return true;
  }

  std::string_view text_;
  size_t pos_ = 0;
  std::string error_;
};

std::vector<const JsonValue::Member*> SortedMembers(const JsonValue::Object& object) {
  std::vector<const JsonValue::Member*> sorted;
  sorted.reserve(object.size());
  for (const JsonValue::Member& member : object)
    sorted.push_back(&member);
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return a->first < b->first; });
  return sorted;
}

}  // namespace

Result<JsonValue> JsonValue::Parse(std::string_view text) { return Parser(text).Parse(); }

void JsonValue::AppendTo(std::string* out) const {
  if (is_null()) {
    *out += "null";
  } else if (is_bool()) {
    *out += as_bool() ? "true" : "false";
  } else if (is_int()) {
    char buffer[24];
    out->append(buffer, std::to_chars(buffer, buffer + sizeof buffer, as_int()).ptr);
  } else if (is_double()) {
    AppendJsonDouble(as_double(), out);
  } else if (is_string()) {
    AppendJsonString(as_string(), out);
  } else if (is_array()) {
    out->push_back('[');
    bool first = true;
    for (const JsonValue& item : as_array()) {
      if (!first) out->push_back(',');
      first = false;
      item.AppendTo(out);
    }
    out->push_back(']');
  } else {
    out->push_back('{');
    bool first = true;
    for (const auto& [name, value] : as_object()) {
      if (!first) out->push_back(',');
      first = false;
      AppendJsonString(name, out);
      out->push_back(':');
      value.AppendTo(out);
    }
    out->push_back('}');
  }
}

std::string JsonValue::ToString() const {
  std::string out;
  AppendTo(&out);
  return out;
}

const JsonValue* JsonValue::Find(std::string_view key) const {
  return const_cast<JsonValue*>(this)->Find(key);
}

JsonValue* JsonValue::Find(std::string_view key) {
  if (!is_object()) return nullptr;
  for (auto& [name, value] : as_object()) {
    if (name == key) return &value;
  }
  return nullptr;
}

JsonValue& JsonValue::operator[](std::string_view key) {
  if (is_null()) value_ = Object();
  if (JsonValue* found = Find(key)) return *found;
  return as_object().emplace_back(std::string(key), JsonValue()).second;
}

bool JsonValue::Erase(std::string_view key) {
  if (!is_object()) return false;
  return std::erase_if(as_object(), [key](const Member& member) { return member.first == key; }) >
         0;
}

bool operator==(const JsonValue& a, const JsonValue& b) {
  if (a.is_number() && b.is_number()) {
    return a.is_int() && b.is_int() ? a.as_int() == b.as_int() : a.as_double() == b.as_double();
  }
  if (a.value_.index() != b.value_.index()) return false;
  if (!a.is_object()) return a.value_ == b.value_;
  if (a.as_object().size() != b.as_object().size()) return false;
  auto left = SortedMembers(a.as_object());
  auto right = SortedMembers(b.as_object());
  return std::equal(left.begin(), left.end(), right.begin(), [](const auto* x, const auto* y) {
    return x->first == y->first && x->second == y->second;
  });
}

}  // namespace gantry::api
