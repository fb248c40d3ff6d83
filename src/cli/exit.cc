#include "cli/exit.h"

#include <cstdio>

namespace gantry::cli {

int ExitCodeOf(const Status& status) {
  if (status.ok()) return 0;
  std::fprintf(stderr, "gantry: %s\n", status.message().c_str());
  return 1;
}

}  // namespace gantry::cli
