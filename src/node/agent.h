#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/env/env.h"
#include "base/status.h"
#include "client/client.h"
#include "client/node_api.h"
#include "net/pod_network.h"
#include "node/streams/log_file.h"

namespace gantry::node {

class Runtime;
class Images;

struct AgentOptions {
  AgentOptions() = default;
  std::string node_name;  // empty: the host's name
  std::string data_dir;
  // The node's addresses, the primary first, at most one of each family; empty: that of the
  // interface with the default route.
  std::vector<std::string> node_ips;
  std::vector<std::string> cluster_dns;  // addresses
  std::string cluster_domain = "cluster.local";
  LogLimits log_limits;
  std::string oci_runtime;  // "crun" or "runc"; empty: crun where it is installed, else runc
  // Called when the node's spec.podCIDRs become known or change, before pods that need the network
  // are attached.
  std::function<Task<Status>(std::vector<std::string> cidrs)> set_pod_cidrs;
  // Stand-ins for tests and simulations; null: crun with conmon, and the image store of the data
  // directory.
  Runtime* runtime = nullptr;
  Images* images = nullptr;
};

// The node agent: registers the node, keeps its lease and status, runs the pods that are bound to
// it, and answers what the API server asks of a node. Containers go on when the agent stops or is
// killed; the next one finds them again. Life cycle: Start once, Stop before destruction. `env`,
// `client`, `network` and `drain` outlive it. Threading: any thread.
class Agent {
 public:
  // `network` null: only pods of the host's network can run. `drain` null: nothing is waited for
  // before pods are stopped.
  Agent(Env& env, client::Client& client, AgentOptions options, net::PodNetwork* network,
        net::EndpointDrain* drain);
  ~Agent();

  // Ready to run pods when it returns. Errors say what is missing on the machine (crun, conmon,
  // cgroups, rights).
  Task<Status> Start();
  Task<> Stop();

  const std::string& node_name() const;
  // After Start; lives as long as the agent.
  std::shared_ptr<client::NodeApi> node_api();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace gantry::node
