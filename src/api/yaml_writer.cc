#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>

#include "api/json_value.h"
#include "api/quote.h"
#include "api/yaml.h"
#include "api/yaml_scalar.h"

namespace gantry::api {
namespace {

constexpr size_t kWidth = 80;
constexpr size_t kLongestSimpleKey = 128;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
}

// Letters after all others, runs of digits by their value: the order in which go-yaml writes keys.
bool KeyLess(std::string_view a, std::string_view b) {
  size_t i = 0;
  while (i < a.size() && i < b.size() && a[i] == b[i])
    ++i;
  if (i == a.size() || i == b.size()) return a.size() < b.size();
  bool a_letter = IsLetter(a[i]);
  bool b_letter = IsLetter(b[i]);
  if (a_letter && b_letter)
    return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]);
  if (a_letter || b_letter) return b_letter;
  int64_t a_number = 0;
  int64_t b_number = 0;
  if (a[i] == '0' || b[i] == '0') {
    for (size_t j = i; j > 0 && IsDigit(a[j - 1]); --j) {
      if (a[j - 1] == '0') continue;
      a_number = b_number = 1;
      break;
    }
  }
  auto number = [i](std::string_view text, int64_t* value) {
    size_t end = i;
    for (; end < text.size() && IsDigit(text[end]); ++end) {
      *value = static_cast<int64_t>(static_cast<uint64_t>(*value) * 10 +
                                    static_cast<uint64_t>(text[end] - '0'));
    }
    return end;
  };
  size_t a_end = number(a, &a_number);
  size_t b_end = number(b, &b_number);
  if (a_number != b_number) return a_number < b_number;
  if (a_end != b_end) return a_end < b_end;
  return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]);
}

bool IsPrintable(char32_t rune) {
  return rune == '\n' || (rune >= 0x20 && rune <= 0x7e) || (rune >= 0xa0 && rune < 0xd800) ||
         (rune >= 0xe000 && rune <= 0xfffd && rune != 0xfeff);
}
bool IsBreak(char32_t rune) {
  return rune == '\n' || rune == '\r' || rune == 0x85 || rune == 0x2028 || rune == 0x2029;
}

// Which styles a string may be written in.
struct Styles {
  bool plain = true;
  bool single_quoted = true;
  bool literal = true;
  bool multiline = false;
};

Styles AllowedStyles(std::string_view text) {
  Styles styles;
  if (text.empty()) {
    styles.literal = false;
    return styles;
  }
  bool indicators = text.starts_with("---") || text.starts_with("...");
  bool special = false;
  bool edge_space = false;
  bool trailing_space = false;
  bool break_then_space = false;
  bool space_then_break = false;
  bool was_space = false;
  bool was_break = false;
  bool after_blank = true;
  for (size_t i = 0; i < text.size();) {
    Utf8Rune decoded = DecodeUtf8(text.substr(i));
    size_t length = decoded.length == 0 ? 1 : static_cast<size_t>(decoded.length);
    bool first = i == 0;
    bool last = i + length == text.size();
    char next = last ? ' ' : text[i + length];
    bool before_blank = next == ' ' || next == '\t' || next == '\n' || next == '\r';
    char32_t rune = decoded.rune;
    switch (rune) {
      case '#':
        indicators |= after_blank;
        break;
      case ',':
      case '[':
      case ']':
      case '{':
      case '}':
      case '&':
      case '*':
      case '!':
      case '|':
      case '>':
      case '\'':
      case '"':
      case '%':
      case '@':
      case '`':
        indicators |= first;
        break;
      case '?':
      case '-':
        indicators |= first && before_blank;
        break;
      case ':':
        indicators |= before_blank;
        break;
      default:
        break;
    }
    special |= decoded.length == 0 || !IsPrintable(rune);
    if (rune == ' ') {
      edge_space |= first || last;
      trailing_space |= last;
      break_then_space |= was_break;
      was_space = true;
      was_break = false;
    } else if (IsBreak(rune)) {
      styles.multiline = true;
      space_then_break |= was_space;
      was_space = false;
      was_break = true;
    } else {
      was_space = was_break = false;
    }
    after_blank = rune == ' ' || rune == '\t' || IsBreak(rune);
    i += length;
  }
  bool unsafe = space_then_break || special;
  styles.plain = !indicators && !edge_space && !styles.multiline && !break_then_space && !unsafe;
  styles.single_quoted = !break_then_space && !unsafe;
  styles.literal = !trailing_space && !unsafe;
  return styles;
}

class Writer {
 public:
  std::string Document(const JsonValue& value) {
    Value(value, 0, true);
    if (!out_.ends_with('\n')) Put("\n");
    return std::move(out_);
  }

 private:
  void Put(std::string_view text) {
    out_ += text;
    size_t line_break = text.rfind('\n');
    column_ =
        line_break == std::string_view::npos ? column_ + text.size() : text.size() - line_break - 1;
  }
  void NewLine(size_t indent) {
    if (!out_.empty() && !out_.ends_with('\n')) Put("\n");
    Put(std::string(indent, ' '));
  }

  // `here`: a collection may begin on the line on which we are, for it is the root or an item of a
  // sequence.
  void Value(const JsonValue& value, size_t indent, bool here) {
    if (value.is_array() && !value.as_array().empty()) {
      bool first = true;
      for (const JsonValue& item : value.as_array()) {
        if (!first || !here) NewLine(indent);
        first = false;
        Put("- ");
        Value(item, indent + 2, true);
      }
    } else if (value.is_object() && !value.as_object().empty()) {
      std::vector<const JsonValue::Member*> members;
      for (const auto& member : value.as_object())
        members.push_back(&member);
      std::sort(members.begin(), members.end(),
                [](const auto* a, const auto* b) { return KeyLess(a->first, b->first); });
      bool first = true;
      for (const JsonValue::Member* member : members) {
        if (!first || !here) NewLine(indent);
        first = false;
        Member(*member, indent);
      }
    } else {
      Scalar(value, indent);
    }
  }

  void Member(const JsonValue::Member& member, size_t indent) {
    const auto& [key, value] = member;
    bool simple = key.size() <= kLongestSimpleKey && !AllowedStyles(key).multiline;
    if (simple) {
      String(key, indent, true);
      Put(":");
    } else {
      Put("? ");
      String(key, indent + 2, false);
      NewLine(indent);
      Put(":");
    }
    bool sequence = value.is_array() && !value.as_array().empty();
    bool mapping = value.is_object() && !value.as_object().empty();
    if (!sequence && !mapping) Put(" ");
    // Sequences in mappings are not indented.
    Value(value, sequence ? indent : indent + 2, false);
  }

  void Scalar(const JsonValue& value, size_t indent) {
    if (value.is_string()) {
      String(value.as_string(), indent, false);
    } else if (value.is_array()) {
      Put("[]");
    } else if (value.is_object()) {
      Put("{}");
    } else if (value.is_double()) {
      Double(value.as_double());
    } else {
      Put(value.ToString());
    }
  }

  // Go's %g with the shortest digits.
  void Double(double value) {
    char buffer[64];
    char* end =
        std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
    std::string_view text(buffer, static_cast<size_t>(end - buffer));
    int exponent = std::atoi(std::string(text.substr(text.find('e') + 1)).c_str());
    if (exponent >= -4 && exponent < 6) {
      end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed).ptr;
      text = std::string_view(buffer, static_cast<size_t>(end - buffer));
    }
    Put(text);
  }

  void String(std::string_view text, size_t indent, bool key) {
    Styles styles = AllowedStyles(text);
    if (text.find('\n') != std::string_view::npos) {
      if (styles.literal && !key) {
        Literal(text, indent);
      } else {
        DoubleQuoted(text, indent, key);
      }
    } else if (!ResolvesToString(text)) {
      DoubleQuoted(text, indent, key);
    } else if (styles.plain) {
      Plain(text, indent, key);
    } else if (styles.single_quoted && !(key && styles.multiline)) {
      SingleQuoted(text, indent, key);
    } else {
      DoubleQuoted(text, indent, key);
    }
  }

  // A blank between words at which a line that became too long may be broken.
  bool BreakHere(std::string_view text, size_t i, bool key) const {
    return !key && column_ > kWidth && text[i] == ' ' && (i == 0 || text[i - 1] != ' ') &&
           i + 1 < text.size() && text[i + 1] != ' ';
  }

  void Plain(std::string_view text, size_t indent, bool key) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (BreakHere(text, i, key)) {
        NewLine(indent);
      } else {
        Put(text.substr(i, 1));
      }
    }
  }

  void SingleQuoted(std::string_view text, size_t indent, bool key) {
    Put("'");
    for (size_t i = 0; i < text.size(); ++i) {
      if (i > 0 && BreakHere(text, i, key)) {
        NewLine(indent);
      } else {
        Put(text[i] == '\'' ? "''" : text.substr(i, 1));
      }
    }
    Put("'");
  }

  void DoubleQuoted(std::string_view text, size_t indent, bool key) {
    Put("\"");
    bool spaces = false;
    for (size_t i = 0; i < text.size();) {
      Utf8Rune decoded = DecodeUtf8(text.substr(i));
      size_t length = decoded.length == 0 ? 1 : static_cast<size_t>(decoded.length);
      char32_t rune = decoded.length == 0 ? 0xfffd : decoded.rune;
      if (!IsPrintable(rune) || IsBreak(rune) || rune == '"' || rune == '\\') {
        Escape(rune);
        spaces = false;
      } else if (rune == ' ') {
        if (!key && !spaces && column_ > kWidth && i > 0 && i + 1 < text.size()) {
          NewLine(indent);
          if (text[i + 1] == ' ') Put("\\");
        } else {
          Put(" ");
        }
        spaces = true;
      } else {
        Put(decoded.length == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(i, length));
        spaces = false;
      }
      i += length;
    }
    Put("\"");
  }

  void Escape(char32_t rune) {
    switch (rune) {
      case 0:
        Put("\\0");
        return;
      case 7:
        Put("\\a");
        return;
      case 8:
        Put("\\b");
        return;
      case 9:
        Put("\\t");
        return;
      case 10:
        Put("\\n");
        return;
      case 11:
        Put("\\v");
        return;
      case 12:
        Put("\\f");
        return;
      case 13:
        Put("\\r");
        return;
      case 27:
        Put("\\e");
        return;
      case '"':
        Put("\\\"");
        return;
      case '\\':
        Put("\\\\");
        return;
      case 0x85:
        Put("\\N");
        return;
      case 0xa0:
        Put("\\_");
        return;
      case 0x2028:
        Put("\\L");
        return;
      case 0x2029:
        Put("\\P");
        return;
      default:
        break;
    }
    char buffer[16];
    const char* format = rune <= 0xff ? "\\x%02X" : rune <= 0xffff ? "\\u%04X" : "\\U%08X";
    int length = std::snprintf(buffer, sizeof buffer, format, static_cast<unsigned>(rune));
    Put(std::string_view(buffer, static_cast<size_t>(length)));
  }

  void Literal(std::string_view text, size_t indent) {
    Put("|");
    if (text[0] == ' ' || text[0] == '\n') Put("2");
    if (!text.ends_with('\n')) {
      Put("-");
    } else if (text == "\n" || text.ends_with("\n\n")) {
      Put("+");
    }
    Put("\n");
    // A document that is one string has its text indented nevertheless.
    size_t inner = std::max<size_t>(indent, 2);
    for (size_t start = 0; start < text.size();) {
      size_t end = std::min(text.find('\n', start), text.size());
      if (end > start) Put(std::string(inner, ' ') + std::string(text.substr(start, end - start)));
      Put("\n");
      start = end + 1;
    }
  }

  std::string out_;
  size_t column_ = 0;
};

}  // namespace

std::string JsonToYaml(const JsonValue& value) { return Writer().Document(value); }

}  // namespace gantry::api
