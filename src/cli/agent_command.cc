#include <CLI/CLI.hpp>

#include "cli/agent.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/service.h"

namespace gantry::cli {

void AddAgentCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<AgentOptions>();
  CLI::App* command = app.add_subcommand("agent", "Join this machine to a cluster as a node");
  command->add_option("--server", options->server, "https://HOST:6443 of a server")->required();
  command->add_option("--token", options->token, "Join token: the server's DIR/token")->required();
  command->add_option("--data-dir", options->data_dir, "Where all state is kept")
      ->capture_default_str();
  command->add_option("--node-name", options->node_name,
                      "Name of the node (default: the host's name)");
  command->add_option("--node-ip", options->node_ip,
                      "Address of the node (default: that of the default route)");
  command->add_option("--cluster-cidr", options->cluster_cidr, "As the server has it")
      ->capture_default_str();
  command->add_option("--service-cidr", options->service_cidr, "As the server has it")
      ->capture_default_str();
  command->add_option("--cluster-dns", options->cluster_dns, "As the server has it")
      ->capture_default_str();
  command->add_option("--cluster-domain", options->cluster_domain, "As the server has it")
      ->capture_default_str();
  command
      ->add_option("--container-log-max-size", options->container_log_max_size,
                   "Size at which a container's log is rotated")
      ->capture_default_str();
  command
      ->add_option("--container-log-max-files", options->container_log_max_files,
                   "Files that are kept of a container's log")
      ->capture_default_str();
  command->callback([options, exit_code] {
    *exit_code = ExitCodeOf(RunService<Agent>(*options, [](const Agent& agent) {
      return "gantry agent is ready: node " + agent.options().node_name;
    }));
  });
}

}  // namespace gantry::cli
