#include "api/quote.h"

#include <charconv>
#include <cmath>

namespace gantry::api {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void AppendHex(char32_t value, int digits, std::string* out) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4)
    out->push_back(kHex[(value >> shift) & 15]);
}

// What Go calls printable, as far as names and messages need it: not controls, separators,
// surrogates or private use.
bool IsPrintable(char32_t rune) {
  if (rune < 0xa0) return rune >= 0x20 && rune < 0x7f;
  if (rune == 0xa0 || rune == 0xad || rune == 0x1680 || rune == 0x3000 || rune == 0xfeff)
    return false;
  if (rune >= 0x2000 && rune <= 0x200f) return false;
  if (rune >= 0x2028 && rune <= 0x202f) return false;
  if (rune >= 0x205f && rune <= 0x206f) return false;
  if (rune >= 0xe000 && rune <= 0xf8ff) return false;
  if ((rune & 0xfffe) == 0xfffe) return false;
  return rune < 0xe0000;
}

}  // namespace

Utf8Rune DecodeUtf8(std::string_view text) {
  auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  auto continues = [&](size_t i) { return i < text.size() && (byte(i) & 0xc0) == 0x80; };
  if (text.empty()) return {};
  unsigned char first = byte(0);
  if (first < 0x80) return {1, first};
  if (first >= 0xc2 && first < 0xe0 && continues(1)) {
    return {2, static_cast<char32_t>((first & 0x1f) << 6 | (byte(1) & 0x3f))};
  }
  if (first >= 0xe0 && first < 0xf0 && continues(1) && continues(2)) {
    auto rune =
        static_cast<char32_t>((first & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f));
    if (rune >= 0x800 && (rune < 0xd800 || rune > 0xdfff)) return {3, rune};
  }
  if (first >= 0xf0 && first < 0xf5 && continues(1) && continues(2) && continues(3)) {
    auto rune = static_cast<char32_t>((first & 0x07) << 18 | (byte(1) & 0x3f) << 12 |
                                      (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f));
    if (rune >= 0x10000 && rune <= 0x10ffff) return {4, rune};
  }
  return {};
}

void AppendUtf8(char32_t rune, std::string* out) {
  auto push = [out](char32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (rune < 0x80) {
    push(rune);
  } else if (rune < 0x800) {
    push(0xc0 | rune >> 6);
    push(0x80 | (rune & 0x3f));
  } else if (rune < 0x10000) {
    push(0xe0 | rune >> 12);
    push(0x80 | (rune >> 6 & 0x3f));
    push(0x80 | (rune & 0x3f));
  } else {
    push(0xf0 | rune >> 18);
    push(0x80 | (rune >> 12 & 0x3f));
    push(0x80 | (rune >> 6 & 0x3f));
    push(0x80 | (rune & 0x3f));
  }
}

std::string GoQuote(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    Utf8Rune decoded = DecodeUtf8(text);
    if (decoded.length == 0) {
      out += "\\x";
      AppendHex(static_cast<unsigned char>(text[0]), 2, &out);
      text.remove_prefix(1);
      continue;
    }
    std::string_view bytes = text.substr(0, static_cast<size_t>(decoded.length));
    text.remove_prefix(bytes.size());
    switch (decoded.rune) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\a':
        out += "\\a";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\v':
        out += "\\v";
        break;
      default:
        if (IsPrintable(decoded.rune)) {
          out += bytes;
        } else if (decoded.rune < 0x80) {
          out += "\\x";
          AppendHex(decoded.rune, 2, &out);
        } else if (decoded.rune < 0x10000) {
          out += "\\u";
          AppendHex(decoded.rune, 4, &out);
        } else {
          out += "\\U";
          AppendHex(decoded.rune, 8, &out);
        }
    }
  }
  out += '"';
  return out;
}

void AppendJsonDouble(double value, std::string* out) {
  double size = std::fabs(value);
  bool exponent = size != 0 && (size < 1e-6 || size >= 1e21);
  char buffer[64];
  auto format = exponent ? std::chars_format::scientific : std::chars_format::fixed;
  char* end = std::to_chars(buffer, buffer + sizeof buffer, value, format).ptr;
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  // e-07 is written as e-7.
  if (exponent && text.size() >= 4 && text[text.size() - 4] == 'e' &&
      text[text.size() - 2] == '0') {
    out->append(text, 0, text.size() - 2);
    out->push_back(text.back());
  } else {
    out->append(text);
  }
}

}  // namespace gantry::api
