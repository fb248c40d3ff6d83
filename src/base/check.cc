#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace gantry::internal {

void CheckFailed(const char* file, int line, const char* condition, std::string_view what) {
  std::fprintf(stderr, "%s:%d: broken invariant (%s): %.*s\n", file, line, condition,
               static_cast<int>(what.size()), what.data());
  std::abort();
}

}  // namespace gantry::internal
