#pragma once

#include <optional>
#include <string>

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
void AddSnapshotCommand(CLI::App& app, int* exit_code);

// Runs a command of the cluster's client (get, apply, why and so on: cli/client) when the line has
// one; its exit code then.
std::optional<int> RunClientCommand(int argc, const char* const* argv);
// One line for each of them, for the program's help.
std::string ClientCommandsHelp();

}  // namespace gantry::cli
