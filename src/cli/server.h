#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/env/real/real_env.h"
#include "base/status.h"
#include "cli/data_dir.h"
#include "cli/etcd_flags.h"
#include "cli/ha/ha_flags.h"
#include "cli/machine_options.h"

namespace gantry::cli {

struct ServerOptions : MachineOptions, EtcdFlags, HaFlags {
  uint16_t https_port = 6443;
  std::string bind_address = "0.0.0.0";
  std::string
      advertise_address;  // empty: the address of the default route's interface, or 127.0.0.1
  bool no_agent = false;
  bool no_service_lb = false;         // LoadBalancer services without a class are others'
  int node_cidr_mask_size_ipv4 = 24;  // bits of each node's share of the pods' range
  int node_cidr_mask_size_ipv6 = 64;
  std::string failover = "default";  // how soon the silent are taken for dead: failover.h
  std::string token;                 // empty: made once and kept in the data directory
  std::string scheduler_config;      // a KubeSchedulerConfiguration; empty: the defaults
  std::string cluster_signing_duration = "8760h";
  Duration signing_duration{};  // the same; filled by Open
};

// One server with all that runs in its process: API, controllers, scheduler and (unless no_agent)
// the node. Life cycle: Start, then Stop. A server that is killed instead leaves nothing that the
// next one does not take up.
class Server {
 public:
  // Claims the data directory and opens what is in it. Errors are one line that says what to do.
  static Result<std::unique_ptr<Server>> Open(RealEnv& env, ServerOptions options);
  ~Server();

  Task<Status> Start();
  Task<> Stop();

  const ServerOptions& options() const;

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace gantry::cli
