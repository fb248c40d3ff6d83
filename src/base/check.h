#pragma once

#include <string_view>

namespace gantry::internal {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              std::string_view what);
}

// A broken invariant is a bug: say where, then abort. On in every build.
#define GANTRY_CHECK(condition, what)                                        \
  do {                                                                       \
    if (!(condition)) [[unlikely]]                                           \
      ::gantry::internal::CheckFailed(__FILE__, __LINE__, #condition, what); \
  } while (false)
