#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/etcd_flags.h"
#include "cli/exit.h"
#include "cli/ha/ha_flags.h"
#include "cli/server.h"
#include "cli/service.h"

namespace gantry::cli {

void AddServerCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<ServerOptions>();
  CLI::App* command = app.add_subcommand(
      "server", "Run a server: API, controllers, scheduler and this machine's node");
  command->add_option("--https-port", options->https_port, "Port of the API")
      ->type_name("PORT")
      ->capture_default_str();
  AddTextFlag(*command, "--bind-address", "ADDRESS", &options->bind_address,
              "Address to listen on");
  AddTextFlag(*command, "--advertise-address", "ADDRESS", &options->advertise_address,
              "Address at which pods and other machines reach this server");
  command->add_flag("--no-agent", options->no_agent, "Run no containers on this machine");
  command->add_flag("--no-service-lb", options->no_service_lb,
                    "Leave LoadBalancer services without a class to another balancer");
  for (const auto& [flag, size, help] :
       {std::tuple("--node-cidr-mask-size-ipv4", &options->node_cidr_mask_size_ipv4,
                   "Prefix of each node's IPv4 share of --cluster-cidr"),
        std::tuple("--node-cidr-mask-size-ipv6", &options->node_cidr_mask_size_ipv6,
                   "Prefix of each node's IPv6 share of --cluster-cidr")}) {
    command->add_option(flag, *size, help)->type_name("BITS")->capture_default_str();
  }
  AddTextFlag(*command, "--store", "STORE", &options->store,
              "Where objects are kept: sqlite, or etcd://HOST:PORT,... for several servers");
  AddEtcdFlags(*command, options.get());
  AddHaFlags(*command, options.get());
  AddTextFlag(*command, "--failover", "PROFILE", &options->failover,
              "How soon silent machines and servers are taken for dead: default (50s and 2s), or "
              "fast (3s and 0.8s)");
  AddTextFlag(*command, "--token", "TOKEN", &options->token,
              "Token that agents and other servers join with (default: made once)");
  AddTextFlag(*command, "--scheduler-config", "FILE", &options->scheduler_config,
              "Profiles and extenders of the scheduler (a KubeSchedulerConfiguration)");
  AddTextFlag(*command, "--cluster-signing-duration", "TIME", &options->cluster_signing_duration,
              "For how long certificates of nodes and clients are issued");
  AddMachineFlags(*command, options.get());
  command->callback([options, exit_code] {
    *exit_code = ExitCodeOf(RunService<Server>(*options, [](const Server& server) {
      return "gantry is ready: export KUBECONFIG=" + server.options().data_dir + "/kubeconfig";
    }));
  });
}

}  // namespace gantry::cli
