#pragma once

#include <memory>
#include <string>

#include "base/env/env.h"
#include "base/status.h"

namespace gantry::cli {

struct AgentOptions {
  std::string server;  // "https://HOST:6443"
  std::string token;
  std::string data_dir = "/var/lib/gantry";
  std::string node_name;  // empty: the host's name
  std::string node_ip;    // empty: the address of the default route's interface
  std::string cluster_cidr = "10.42.0.0/16";
  std::string service_cidr = "10.43.0.0/16";
  std::string cluster_dns = "10.43.0.10";
  std::string cluster_domain = "cluster.local";
  std::string container_log_max_size = "10Mi";
  int container_log_max_files = 5;
};

// A machine that has joined a cluster: a node, and the tunnel through which servers reach it.
// Life cycle: Open claims the data directory, Start joins (or comes back), Stop.
class Agent {
 public:
  static Result<std::unique_ptr<Agent>> Open(Env& env, AgentOptions options);
  ~Agent();

  Task<Status> Start();
  Task<> Stop();

  const AgentOptions& options() const;

 private:
  struct Parts;
  explicit Agent(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace gantry::cli
