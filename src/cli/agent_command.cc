#include <CLI/CLI.hpp>

#include "cli/agent.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/service.h"

namespace gantry::cli {

void AddAgentCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<AgentOptions>();
  CLI::App* command = app.add_subcommand(
      "agent",
      "Join this machine to a cluster as a node. What is not said about the network is learned");
  command
      ->add_option(
          "--server", options->servers,
          "https://HOST:6443 of a server; may be given several times. The cluster's others "
          "are found through it")
      ->type_name("URL");
  AddTextFlag(*command, "--token", "TOKEN", &options->token, "Join token: the server's DIR/token");
  for (const char* flag : {"--server", "--token"})
    command->get_option(flag)->required();
  AddMachineFlags(*command, options.get());
  command->callback([options, exit_code] {
    *exit_code = ExitCodeOf(RunService<Agent>(*options, [](const Agent& agent) {
      return "gantry agent is ready: node " + agent.options().node_name;
    }));
  });
}

}  // namespace gantry::cli
