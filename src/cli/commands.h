#pragma once

namespace CLI {
class App;
}

namespace gantry::cli {

// Each adds one subcommand (or one family of them) to the program; the chosen one runs while the
// line is parsed and leaves its exit code in `exit_code`.
void AddServerCommand(CLI::App& app, int* exit_code);
void AddAgentCommand(CLI::App& app, int* exit_code);
void AddImageCommand(CLI::App& app, int* exit_code);
void AddCleanupCommand(CLI::App& app, int* exit_code);

}  // namespace gantry::cli
