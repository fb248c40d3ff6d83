#include "cli/client/dry_run.h"

#include "cli/client/failure.h"

namespace gantry::cli {

Status CheckDryRun(std::string* dry_run) {
  if (*dry_run == "none") dry_run->clear();
  if (*dry_run == "unchanged") *dry_run = "client";
  if (dry_run->empty() || *dry_run == "client" || *dry_run == "server") return Status::Ok();
  return LocalError("Invalid dry-run value (" + *dry_run +
                    "). Must be \"none\", \"server\", or \"client\".");
}

const char* DryRunMark(const std::string& dry_run) {
  if (dry_run == "client") return " (dry run)";
  return dry_run == "server" ? " (server dry run)" : "";
}

}  // namespace gantry::cli
