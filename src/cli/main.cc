#include <CLI/CLI.hpp>

#include "cli/commands.h"

int main(int argc, char** argv) {
  CLI::App app{"gantry: a container orchestrator that speaks the Kubernetes API"};
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("gantry ") + GANTRY_VERSION);
  int exit_code = 0;
  gantry::cli::AddServerCommand(app, &exit_code);
  gantry::cli::AddAgentCommand(app, &exit_code);
  gantry::cli::AddImageCommand(app, &exit_code);
  gantry::cli::AddCleanupCommand(app, &exit_code);
  CLI11_PARSE(app, argc, argv);
  return exit_code;
}
