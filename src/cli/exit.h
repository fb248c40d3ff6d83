#pragma once

#include "base/status.h"

namespace gantry::cli {

// Prints "gantry: MESSAGE" on standard error for a failure. The program's exit code: 0, or 1.
int ExitCodeOf(const Status& status);

}  // namespace gantry::cli
