#include "api/quantity.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace gantry::api {
namespace {

using Int = __int128;

constexpr Int Power10(int exponent) { return exponent == 0 ? 1 : 10 * Power10(exponent - 1); }
// The bound, 10^29 units: a power of ten, so that what is held there prints and reads as itself.
constexpr Int kLargest = Power10(38);
constexpr int64_t kMax64 = std::numeric_limits<int64_t>::max();
constexpr Int kNanosPerUnit = 1'000'000'000;
constexpr Int kNanosPerMilli = 1'000'000;

constexpr char kFormatWrong[] =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
constexpr char kSuffixWrong[] = "unable to parse quantity's suffix";

struct Suffix {
  std::string_view text;
  int base;
  int exponent;
};
constexpr std::array<Suffix, 16> kSuffixes = {{
    {"n", 10, -9},
    {"u", 10, -6},
    {"m", 10, -3},
    {"", 10, 0},
    {"k", 10, 3},
    {"M", 10, 6},
    {"G", 10, 9},
    {"T", 10, 12},
    {"P", 10, 15},
    {"E", 10, 18},
    {"Ki", 2, 10},
    {"Mi", 2, 20},
    {"Gi", 2, 30},
    {"Ti", 2, 40},
    {"Pi", 2, 50},
    {"Ei", 2, 60},
}};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The product, held at the largest number. Both sides are not negative.
Int Multiply(Int a, Int b) {
  Int product = 0;
  return __builtin_mul_overflow(a, b, &product) ? kLargest : std::min(product, kLargest);
}

Int Add(Int a, Int b) {
  Int sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return a < 0 ? -kLargest : kLargest;
  return std::clamp(sum, -kLargest, kLargest);
}

// a / b for b > 0, away from zero.
Int DivideAway(Int a, Int b) {
  Int quotient = a / b;
  if (a % b != 0) quotient += a < 0 ? -1 : 1;
  return quotient;
}

int64_t Clamp(Int value) {
  if (value > kMax64) return kMax64;
  if (value < std::numeric_limits<int64_t>::min()) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(value);
}

void AppendInt(Int value, std::string* out) {
  if (value < 0) {
    out->push_back('-');
    value = -value;
  }
  char digits[40];
  int n = 0;
  do {
    digits[n++] = static_cast<char>('0' + static_cast<int>(value % 10));
    value /= 10;
  } while (value != 0);
  while (n > 0)
    out->push_back(digits[--n]);
}

// A magnitude while it is being read: digits times 10^exponent, with what no longer fits counted in
// the exponent.
struct Magnitude {
  Int digits = 0;
  int64_t exponent = 0;
  bool lost = false;  // a digit that was cut off was not zero

  void Push(char c, bool fraction) {
    if (digits >= kLargest / 10) {
      lost |= c != '0';
      if (!fraction) ++exponent;
      return;
    }
    digits = digits * 10 + (c - '0');
    if (fraction) --exponent;
  }

  // Cuts off what goes beyond so many digits.
  void FitInto(Int most) {
    for (; digits > most; ++exponent) {
      lost |= digits % 10 != 0;
      digits /= 10;
    }
  }

  // In nano units, rounded up.
  Int Nanos(int64_t more_exponent) const {
    if (digits == 0) return 0;
    int64_t scale = exponent + more_exponent + 9;
    Int value = digits;
    for (; scale > 0 && value != kLargest; --scale)
      value = Multiply(value, 10);
    bool rest = lost;
    for (; scale < 0 && value != 0; ++scale) {
      rest |= value % 10 != 0;
      value /= 10;
    }
    return std::min(rest ? value + 1 : value, kLargest);
  }
};

}  // namespace

Quantity Quantity::FromValue(int64_t value, Format format) {
  Quantity quantity;
  quantity.nano_ = static_cast<Int>(value) * kNanosPerUnit;
  quantity.format_ = format;
  return quantity;
}

Quantity Quantity::FromMilli(int64_t milli, Format format) {
  Quantity quantity;
  quantity.nano_ = static_cast<Int>(milli) * kNanosPerMilli;
  quantity.format_ = format;
  return quantity;
}

Result<Quantity> Quantity::Parse(std::string_view text) {
  if (text.empty()) return BadRequest(kFormatWrong);
  size_t pos = 0;
  bool negative = text[0] == '-';
  if (text[0] == '-' || text[0] == '+') ++pos;

  Magnitude magnitude;
  for (; pos < text.size() && IsDigit(text[pos]); ++pos)
    magnitude.Push(text[pos], false);
  if (pos < text.size() && text[pos] == '.') {
    for (++pos; pos < text.size() && IsDigit(text[pos]); ++pos)
      magnitude.Push(text[pos], true);
  }

  size_t suffix_start = pos;
  pos = std::min(text.find_first_not_of("eEinumkKMGTP", pos), text.size());
  if (pos < text.size() && (text[pos] == '-' || text[pos] == '+')) ++pos;
  while (pos < text.size() && IsDigit(text[pos]))
    ++pos;
  if (pos != text.size()) return BadRequest(kFormatWrong);
  std::string_view suffix = text.substr(suffix_start);

  Quantity quantity;
  const Suffix* known = nullptr;
  for (const Suffix& candidate : kSuffixes) {
    if (candidate.text == suffix) known = &candidate;
  }
  if (known != nullptr && known->base == 2) {
    quantity.format_ = Format::kBinarySI;
    // The multiplication comes first, so that a fraction of it that is finer than nano is rounded
    // once.
    Magnitude scaled = magnitude;
    scaled.FitInto(kLargest >> known->exponent);
    scaled.digits <<= known->exponent;
    quantity.nano_ = std::min(scaled.Nanos(0), static_cast<Int>(kMax64) * kNanosPerUnit);
    if (quantity.nano_ > 0 && quantity.nano_ < kNanosPerUnit) quantity.format_ = Format::kDecimalSI;
  } else if (known != nullptr) {
    quantity.nano_ = magnitude.Nanos(known->exponent);
  } else {
    if (suffix.size() < 2 || (suffix[0] != 'e' && suffix[0] != 'E'))
      return BadRequest(kSuffixWrong);
    std::string_view digits = suffix.substr(1);
    if (digits[0] == '+') digits.remove_prefix(1);
    int64_t exponent = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    if (error != std::errc() || end != digits.data() + digits.size() || exponent > 1'000'000 ||
        exponent < -1'000'000) {
      return BadRequest(kSuffixWrong);
    }
    quantity.format_ = Format::kDecimalExponent;
    quantity.nano_ = magnitude.Nanos(exponent);
  }
  if (negative) quantity.nano_ = -quantity.nano_;
  return quantity;
}

Quantity Quantity::ParseOrZero(std::string_view text) {
  Result<Quantity> quantity = Parse(text);
  return quantity.ok() ? *quantity : Quantity();
}

std::string Quantity::ToString() const {
  if (nano_ == 0) return "0";
  std::string out;
  bool small = nano_ > -1024 * kNanosPerUnit && nano_ < 1024 * kNanosPerUnit;
  if (format_ == Format::kBinarySI && !small && !HasFraction()) {
    Int value = nano_ / kNanosPerUnit;
    size_t power = 0;
    for (; value % 1024 == 0; ++power)
      value /= 1024;
    AppendInt(value, &out);
    if (power > 0) out += kSuffixes[9 + power].text;
    return out;
  }
  // The largest multiple of 10^3 that leaves a whole number.
  Int value = nano_;
  int exponent = -9;
  while (value % 1000 == 0) {
    value /= 1000;
    exponent += 3;
  }
  AppendInt(value, &out);
  if (exponent == 0) return out;
  if (format_ == Format::kDecimalExponent || exponent > 18) {
    out += "e" + std::to_string(exponent);
  } else {
    out += kSuffixes[static_cast<size_t>(3 + exponent / 3)].text;
  }
  return out;
}

int64_t Quantity::Value() const { return Clamp(DivideAway(nano_, kNanosPerUnit)); }
int64_t Quantity::MilliValue() const { return Clamp(DivideAway(nano_, kNanosPerMilli)); }
double Quantity::AsDouble() const { return static_cast<double>(nano_) / 1e9; }
bool Quantity::HasSubMilli() const { return nano_ % kNanosPerMilli != 0; }
bool Quantity::HasFraction() const { return nano_ % kNanosPerUnit != 0; }

void Quantity::RoundUpToMilli() {
  if (HasSubMilli()) nano_ = Multiply(DivideAway(nano_, kNanosPerMilli), kNanosPerMilli);
}

Quantity& Quantity::operator+=(const Quantity& other) {
  if (nano_ == 0) format_ = other.format_;
  nano_ = Add(nano_, other.nano_);
  return *this;
}

Quantity& Quantity::operator-=(const Quantity& other) {
  if (nano_ == 0) format_ = other.format_;
  nano_ = Add(nano_, -other.nano_);
  return *this;
}

Quantity Quantity::operator-() const {
  Quantity negated = *this;
  negated.nano_ = -nano_;
  return negated;
}

}  // namespace gantry::api
