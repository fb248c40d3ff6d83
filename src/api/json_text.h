#pragma once

#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace gantry::api {

namespace internal {
// True for bytes that cannot stand as they are in a JSON string as the API server writes it.
inline constexpr std::array<bool, 256> kJsonSpecial = [] {
  std::array<bool, 256> special{};
  for (int c = 0; c < 0x20; ++c)
    special[c] = true;
  for (int c = 0x80; c < 0x100; ++c)
    special[c] = true;
  for (char c : {'"', '\\', '<', '>', '&', '\x7f'})
    special[static_cast<unsigned char>(c)] = c != '\x7f';
  return special;
}();

// Of eight bytes, the highest bit of each that is special. Behind a special one there may be more
// than are there.
inline uint64_t JsonSpecials(const char* bytes) {
  static_assert(std::endian::native == std::endian::little);
  constexpr uint64_t kOnes = 0x0101010101010101u, kHighs = 0x8080808080808080u;
  uint64_t word = 0;
  std::memcpy(&word, bytes, 8);
  auto has_zero = [](uint64_t w) { return (w - kOnes) & ~w; };
  const uint64_t quote_or_and = (word | kOnes * ('"' ^ '&')) ^ kOnes * '&';
  const uint64_t less_or_more = (word | kOnes * ('<' ^ '>')) ^ kOnes * '>';
  const uint64_t control = (word - kOnes * 0x20) & ~word;
  return (has_zero(quote_or_and) | has_zero(less_or_more) | has_zero(word ^ kOnes * '\\') |
          control | word) &
         kHighs;
}

// The first special byte at or behind `i`; the size of the text where there is none.
inline size_t FindJsonSpecial(std::string_view text, size_t i) {
  for (; i + 8 <= text.size(); i += 8) {
    if (const uint64_t found = JsonSpecials(text.data() + i))
      return i + static_cast<size_t>(std::countr_zero(found)) / 8;
  }
  while (i < text.size() && !kJsonSpecial[static_cast<unsigned char>(text[i])])
    ++i;
  return i;
}

// The length of the UTF-8 sequence at the front of `text`, 0 where it is none.
inline size_t Utf8Length(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  auto tail = [&](size_t i) { return i < text.size() && (byte(i) & 0xC0) == 0x80; };
  unsigned char c = byte(0);
  if (c < 0x80) return 1;
  if (c >= 0xC2 && c <= 0xDF) return tail(1) ? 2 : 0;
  if (c >= 0xE0 && c <= 0xEF) {
    if (!tail(1) || !tail(2)) return 0;
    if ((c == 0xE0 && byte(1) < 0xA0) || (c == 0xED && byte(1) > 0x9F)) return 0;
    return 3;
  }
  if (c >= 0xF0 && c <= 0xF4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if ((c == 0xF0 && byte(1) < 0x90) || (c == 0xF4 && byte(1) > 0x8F)) return 0;
    return 4;
  }
  return 0;
}

// Whether `text` begins with U+2028 or U+2029, which end lines in JavaScript.
inline bool IsSeparator(std::string_view text) {
  return text.starts_with("\xE2\x80\xA8") || text.starts_with("\xE2\x80\xA9");
}
}  // namespace internal

// Appends `text` as a JSON string, quotes included, as Go's encoding/json does: <, > and & are
// escaped, and what is not UTF-8 becomes U+FFFD.
inline void AppendJsonString(std::string_view text, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out->push_back('"');
  size_t from = 0;
  for (size_t i = internal::FindJsonSpecial(text, 0); i < text.size();
       i = internal::FindJsonSpecial(text, i)) {
    const auto c = static_cast<unsigned char>(text[i]);
    size_t length = 1;
    if (c >= 0x80) {
      length = internal::Utf8Length(text.substr(i));
      if (length != 0 && !internal::IsSeparator(text.substr(i))) {
        i += length;
        continue;
      }
    }
    out->append(text, from, i - from);
    switch (c) {
      case '"':
        out->append("\\\"");
        break;
      case '\\':
        out->append("\\\\");
        break;
      case '\b':
        out->append("\\b");
        break;
      case '\f':
        out->append("\\f");
        break;
      case '\n':
        out->append("\\n");
        break;
      case '\r':
        out->append("\\r");
        break;
      case '\t':
        out->append("\\t");
        break;
      default:
        if (c < 0x80) {
          out->append("\\u00");
          out->push_back(kHex[c >> 4]);
          out->push_back(kHex[c & 15]);
        } else if (length == 0) {
          out->append("\\ufffd");
          length = 1;
        } else {
          out->append(text[i + 2] & 1 ? "\\u2029" : "\\u2028");
        }
    }
    i += length;
    from = i;
  }
  out->append(text, from, text.size() - from);
  out->push_back('"');
}

inline void AppendJsonInt(int64_t value, std::string* out) {
  char buffer[24];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  out->append(buffer, end);
}

}  // namespace gantry::api
