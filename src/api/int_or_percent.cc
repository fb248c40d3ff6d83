#include "api/int_or_percent.h"

#include <charconv>

namespace gantry::api {

int Scaled(const intstr::IntOrString& value, int total, Rounding rounding) {
  if (value.type() == 0) return value.int_val();
  const std::string& text = value.str_val();
  int percent = 0;
  std::from_chars(text.data(), text.data() + text.size(), percent);
  return (percent * total + (rounding == Rounding::kUp ? 99 : 0)) / 100;
}

}  // namespace gantry::api
