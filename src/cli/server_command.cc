#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/server.h"
#include "cli/service.h"

namespace gantry::cli {
void AddServerCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<ServerOptions>();
  CLI::App* command = app.add_subcommand(
      "server", "Run a server: API, controllers, scheduler and this machine's node");
  command->add_option("--data-dir", options->data_dir, "Where all state is kept")
      ->capture_default_str();
  command->add_option("--https-port", options->https_port, "Port of the API")
      ->capture_default_str();
  command->add_option("--bind-address", options->bind_address, "Address to listen on")
      ->capture_default_str();
  command->add_option("--advertise-address", options->advertise_address,
                      "Address at which pods and other machines reach this server");
  command->add_option("--node-name", options->node_name,
                      "Name of this machine's node (default: the host's name)");
  command->add_flag("--no-agent", options->no_agent, "Run no containers on this machine");
  command->add_option("--store", options->store, "sqlite")->capture_default_str();
  command->add_option("--token", options->token,
                      "Token that agents join with (default: made once)");
  command->add_option("--cluster-cidr", options->cluster_cidr, "Range of pod addresses")
      ->capture_default_str();
  command->add_option("--service-cidr", options->service_cidr, "Range of service addresses")
      ->capture_default_str();
  command->add_option("--cluster-dns", options->cluster_dns, "Address of cluster DNS")
      ->capture_default_str();
  command->add_option("--cluster-domain", options->cluster_domain, "Domain of services")
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
    *exit_code = ExitCodeOf(RunService<Server>(*options, [](const Server& server) {
      return "gantry is ready: export KUBECONFIG=" + server.options().data_dir + "/kubeconfig";
    }));
  });
}

}  // namespace gantry::cli
