#pragma once

#include "api/intstr/int_or_string.pb.h"

namespace gantry::api {

enum class Rounding : uint8_t { kDown, kUp };

// A number of things, given as such or as a share ("25%") of `total`. Text that is no percentage,
// which validation refuses, counts as 0.
int Scaled(const intstr::IntOrString& value, int total, Rounding rounding);

}  // namespace gantry::api
