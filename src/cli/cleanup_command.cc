#include <CLI/CLI.hpp>
#include <filesystem>

#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit.h"
#include "cli/ha/etcd_process.h"
#include "cli/machine_options.h"
#include "cli/node_host.h"

namespace gantry::cli {
namespace {

Status CleanUp(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return Status::Ok();
  // The lock keeps this away from a directory that is in use.
  GANTRY_ASSIGN(DataDir dir, DataDir::Open(path));
  Status etcd = EndEtcdProcess(dir.File("etcd"));
  Status host = CleanUpHost(dir.path());
  return host.ok() ? etcd : host;
}

}  // namespace

void AddCleanupCommand(CLI::App& app, int* exit_code) {
  auto data_dir = std::make_shared<std::string>("/var/lib/gantry");
  CLI::App* command = app.add_subcommand("cleanup",
                                         "Remove the containers, mounts, control groups and "
                                         "network of a stopped server or agent; data stays");
  AddTextFlag(*command, "--data-dir", "DIR", data_dir.get(), "Its data directory");
  command->callback([data_dir, exit_code] { *exit_code = ExitCodeOf(CleanUp(*data_dir)); });
}

}  // namespace gantry::cli
