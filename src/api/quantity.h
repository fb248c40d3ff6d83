#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace gantry::api {

// An amount of a resource: "100m", "1.5Gi", "2e3". Decimal arithmetic down to nano units, no
// floating point; what is finer is rounded up (away from zero). Amounts with a binary suffix are
// held at 2^63-1, as Kubernetes does, all others at 10^29. Threading: a value.
class Quantity {
 public:
  enum class Format : uint8_t { kDecimalExponent, kBinarySI, kDecimalSI };

  Quantity() = default;  // "0"
  static Quantity FromValue(int64_t value, Format format = Format::kDecimalSI);
  static Quantity FromMilli(int64_t milli, Format format = Format::kDecimalSI);

  // kBadRequest, worded as resource.ParseQuantity does, for text that is no quantity.
  static Result<Quantity> Parse(std::string_view text);
  // The value of text that is known to be good; anything else counts as zero.
  static Quantity ParseOrZero(std::string_view text);

  // The canonical form: the same value always prints the same in one format ("0.5" -> "500m",
  // "1024Mi" -> "1Gi").
  std::string ToString() const;
  Format format() const { return format_; }

  // Rounded up (away from zero), held at the bounds of int64_t.
  int64_t Value() const;
  int64_t MilliValue() const;
  // For ratios and gauges only.
  double AsDouble() const;

  bool IsZero() const { return nano_ == 0; }
  int Sign() const { return nano_ < 0 ? -1 : nano_ > 0 ? 1 : 0; }
  // True where the value has a part finer than 1/1000 or 1.
  bool HasSubMilli() const;
  bool HasFraction() const;
  // Rounds up to whole 1/1000, as the server does with resource lists that come in.
  void RoundUpToMilli();

  // The sum keeps the format of the left side (of the right side where the left is zero).
  Quantity& operator+=(const Quantity& other);
  Quantity& operator-=(const Quantity& other);
  friend Quantity operator+(Quantity a, const Quantity& b) { return a += b; }
  friend Quantity operator-(Quantity a, const Quantity& b) { return a -= b; }
  Quantity operator-() const;
  friend bool operator==(const Quantity& a, const Quantity& b) { return a.nano_ == b.nano_; }
  friend std::strong_ordering operator<=>(const Quantity& a, const Quantity& b) {
    return a.nano_ < b.nano_   ? std::strong_ordering::less
           : a.nano_ > b.nano_ ? std::strong_ordering::greater
                               : std::strong_ordering::equal;
  }

 private:
  using Int = __int128;

  Int nano_ = 0;
  Format format_ = Format::kDecimalSI;
};

}  // namespace gantry::api
