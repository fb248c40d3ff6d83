#include "base/env/env.h"

#include <array>
#include <limits>

namespace gantry {

uint64_t RandomUint64(Env& env) {
  std::array<uint8_t, 8> bytes{};
  env.RandomBytes(bytes);
  uint64_t value = 0;
  for (uint8_t byte : bytes)
    value = value << 8 | byte;
  return value;
}

uint64_t RandomBelow(Env& env, uint64_t bound) {
  const uint64_t limit = std::numeric_limits<uint64_t>::max() / bound * bound;
  uint64_t value = RandomUint64(env);
  while (value >= limit)
    value = RandomUint64(env);
  return value % bound;
}

std::string RandomUuid(Env& env) {
  std::array<uint8_t, 16> b{};
  env.RandomBytes(b);
  b[6] = static_cast<uint8_t>((b[6] & 0x0f) | 0x40);
  b[8] = static_cast<uint8_t>((b[8] & 0x3f) | 0x80);
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (size_t i = 0; i < b.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kHex[b[i] >> 4];
    text += kHex[b[i] & 15];
  }
  return text;
}

std::string RandomNameSuffix(Env& env, size_t length) {
  constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (size_t i = 0; i < length; ++i)
    out += kAlphabet[RandomBelow(env, kAlphabet.size())];
  return out;
}

}  // namespace gantry
