#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/env/env.h"
#include "cli/network_options.h"
#include "client/informer.h"
#include "net/node_network.h"
#include "node/agent.h"

namespace gantry::cli {

struct NodeHostOptions {
  std::string data_dir;  // of the server or agent; the node's own part is below it
  std::string node_name;
  std::string address;     // one of the machine's that is known; "": none
  NetworkOptions network;  // complete
  node::LogLimits log_limits;
  std::string oci_runtime;
  std::map<std::string, std::string> labels;  // what the node gets when it is new
  std::vector<api::core::v1::Taint> taints;
  bool fencing = true;
  node::LeaseTimes lease;
  std::function<Task<>(std::vector<std::string> addresses, Duration timeout)> cluster_drain;
};

struct MachineOptions;
// Takes over what flags say of a machine. kInvalid for what is malformed.
Status FillFromFlags(const MachineOptions& flags, NodeHostOptions* options);

// What the flags of container logs say. kInvalid for sizes that are none, or not positive, and for
// less than two files.
Result<node::LogLimits> ParseLogLimits(const std::string& max_size, int max_files);

// A machine as a node: its network and its agent. Life cycle: Make before informers.Start(); Start,
// Stop.
class NodeHost {
 public:
  // `client` acts as the node; all outlive it.
  static Result<std::unique_ptr<NodeHost>> Make(Env& env, client::Client& client,
                                                client::InformerSet& informers,
                                                const NodeHostOptions& options);
  Task<Status> Start();
  Task<> Stop();

  node::Agent& agent() { return *agent_; }

 private:
  NodeHost() = default;

  std::unique_ptr<net::NodeNetwork> network_;
  std::unique_ptr<node::Agent> agent_;
};

// Removes what a node with this data directory has left on the machine: containers, mounts, control
// groups, namespaces, network. Nothing may be running on it. Blocks.
Status CleanUpHost(const std::string& data_dir);

}  // namespace gantry::cli
