#include "api/base64.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace gantry::api {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> kValues = [] {
  std::array<int8_t, 256> values{};
  values.fill(-1);
  for (size_t i = 0; i < kAlphabet.size(); ++i)
    values[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  return values;
}();

}  // namespace

void AppendBase64(std::string_view bytes, std::string* out) {
  out->reserve(out->size() + (bytes.size() + 2) / 3 * 4);
  auto byte = [&](size_t i) -> uint32_t {
    return i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : 0;
  };
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const uint32_t group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    out->push_back(kAlphabet[group >> 18]);
    out->push_back(kAlphabet[group >> 12 & 63]);
    out->push_back(i + 1 < bytes.size() ? kAlphabet[group >> 6 & 63] : '=');
    out->push_back(i + 2 < bytes.size() ? kAlphabet[group & 63] : '=');
  }
}

ptrdiff_t DecodeBase64(std::string_view text, std::string* out) {
  out->reserve(out->size() + text.size() / 4 * 3);
  uint32_t group = 0;
  int digits = 0;
  size_t i = 0;
  auto is_break = [&](size_t at) { return text[at] == '\n' || text[at] == '\r'; };
  for (; i < text.size() && text[i] != '='; ++i) {
    if (is_break(i)) continue;
    const int value = kValues[static_cast<uint8_t>(text[i])];
    if (value < 0) return static_cast<ptrdiff_t>(i);
    group = group << 6 | static_cast<uint32_t>(value);
    if (++digits < 4) continue;
    out->push_back(static_cast<char>(group >> 16));
    out->push_back(static_cast<char>(group >> 8));
    out->push_back(static_cast<char>(group));
    group = 0;
    digits = 0;
  }
  if (i == text.size()) return digits == 0 ? -1 : static_cast<ptrdiff_t>(i) - digits;
  // What is left is padding: "==" after two digits, "=" after three, then the end.
  if (digits < 2) return static_cast<ptrdiff_t>(i);
  int padding = 0;
  for (; i < text.size(); ++i) {
    if (is_break(i)) continue;
    if (text[i] != '=' || padding == 4 - digits) return static_cast<ptrdiff_t>(i);
    ++padding;
  }
  if (padding != 4 - digits) return static_cast<ptrdiff_t>(text.size());
  out->push_back(static_cast<char>(group >> (digits == 2 ? 4 : 10)));
  if (digits == 3) out->push_back(static_cast<char>(group >> 2));
  return -1;
}

}  // namespace gantry::api
