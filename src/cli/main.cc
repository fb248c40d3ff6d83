#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/exit.h"
#include "cli/version.h"

int main(int argc, char** argv) {
  if (const auto code = gantry::cli::RunClientCommand(argc, argv)) return *code;
  CLI::App app{"A container orchestrator that speaks the Kubernetes API", "gantry"};
  app.require_subcommand(1);
  app.set_version_flag("--version", "gantry " + std::string(gantry::cli::ProgramVersion()));
  int exit_code = 0;
  gantry::cli::AddServerCommand(app, &exit_code);
  gantry::cli::AddAgentCommand(app, &exit_code);
  gantry::cli::AddImageCommand(app, &exit_code);
  gantry::cli::AddCleanupCommand(app, &exit_code);
  gantry::cli::AddSnapshotCommand(app, &exit_code);
  app.footer(gantry::cli::ClientCommandsHelp());  // after the commands: they would inherit it
  auto arguments = gantry::cli::WithConfigFile(std::vector<std::string>(argv + 1, argv + argc));
  if (!arguments.ok()) return gantry::cli::ExitCodeOf(arguments.status());
  // CLI11 takes them from the back.
  std::reverse(arguments->begin(), arguments->end());
  try {
    app.parse(*std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 1;
  }
  return exit_code;
}
