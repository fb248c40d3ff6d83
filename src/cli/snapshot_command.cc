#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit.h"
#include "cli/machine_options.h"
#include "store/sqlite/sqlite_store.h"

namespace gantry::cli {
namespace {

constexpr char kDatabase[] = "/state.db";

Status Save(const std::string& data_dir, const std::string& file) {
  GANTRY_TRY(store::SaveSqliteSnapshot(data_dir + kDatabase, file));
  std::printf("Saved %s\n", file.c_str());
  return Status::Ok();
}

Status Restore(const std::string& data_dir, const std::string& file) {
  GANTRY_ASSIGN(DataDir dir, DataDir::Open(data_dir));
  GANTRY_TRY(store::RestoreSqliteSnapshot(file, dir.path() + kDatabase));
  std::printf("Restored %s\n", file.c_str());
  return Status::Ok();
}

}  // namespace

void AddSnapshotCommand(CLI::App& app, int* exit_code) {
  struct Row {
    const char* name;
    const char* help;
    Status (*run)(const std::string& data_dir, const std::string& file);
  };
  static constexpr Row kRows[] = {
      {"save", "Write a consistent copy of the cluster's state; a server may be running", Save},
      {"restore", "Put a saved state in the place of the present one; no server may be running",
       Restore},
  };
  CLI::App* family = app.add_subcommand("snapshot", "Back up and restore the state of a cluster");
  family->require_subcommand(1);
  auto data_dir = std::make_shared<std::string>("/var/lib/gantry");
  auto file = std::make_shared<std::string>();
  for (const Row& row : kRows) {
    CLI::App* command = family->add_subcommand(row.name, row.help);
    AddTextFlag(*command, "--data-dir", "DIR", data_dir.get(), "Data directory of the server");
    command->add_option("file", *file, "The snapshot")->required();
    command->callback([=, run = row.run] { *exit_code = ExitCodeOf(run(*data_dir, *file)); });
  }
}

}  // namespace gantry::cli
