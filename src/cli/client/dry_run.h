#pragma once

#include <string>

#include "base/status.h"

namespace gantry::cli {

// Checks what --dry-run was given; "none" becomes "".
Status CheckDryRun(std::string* dry_run);
// What stands behind "created": " (dry run)", " (server dry run)" or nothing.
const char* DryRunMark(const std::string& dry_run);

}  // namespace gantry::cli
