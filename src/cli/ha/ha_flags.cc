#include "cli/ha/ha_flags.h"

#include <CLI/CLI.hpp>

namespace gantry::cli {

void AddHaFlags(CLI::App& command, HaFlags* flags) {
  command.add_flag("--ha", flags->ha,
                   "Run an etcd of its own for several servers; others come in with --join");
  command
      .add_option("--join", flags->join,
                  "Join the servers of a cluster that was begun with --ha, with their --token")
      ->type_name("URL");
  command.add_flag(
      "--force-new-cluster", flags->force_new_cluster,
      "Go on alone, with what this server has, after a majority of the servers was lost "
      "for good (--ha)");
  for (const auto& [flag, port, help] :
       {std::tuple("--etcd-client-port", &flags->etcd_client_port,
                   "Port at which servers reach this server's etcd (--ha, --join)"),
        std::tuple("--etcd-peer-port", &flags->etcd_peer_port,
                   "Port at which etcd's members reach each other (--ha, --join)")}) {
    command.add_option(flag, *port, help)->type_name("PORT")->capture_default_str();
  }
}

Status CheckHaFlags(const std::string& store, HaFlags* flags) {
  if (flags->force_new_cluster && !flags->ha)
    return BadRequest("--force-new-cluster goes with --ha");
  if (!flags->runs_etcd()) return Status::Ok();
  const std::string flag = flags->ha ? "--ha" : "--join";
  if (flags->ha && !flags->join.empty()) {
    return BadRequest(
        "--ha begins a cluster and --join enters one; give --ha to the first server and --join to "
        "the others");
  }
  if (store != "sqlite") {
    return BadRequest(flag +
                      " runs an etcd of its own; leave out --store, or use the etcd of "
                      "--store without " +
                      flag);
  }
  if (flags->etcd_client_port == flags->etcd_peer_port)
    return BadRequest("--etcd-client-port and --etcd-peer-port must differ");
  for (std::string& server : flags->join) {
    if (!server.starts_with("https://"))
      return BadRequest("--join " + server + " is not of the form https://HOST:6443");
    while (server.ends_with('/'))
      server.pop_back();
  }
  return Status::Ok();
}

}  // namespace gantry::cli
