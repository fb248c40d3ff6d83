#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/core/v1/node.pb.h"

#include "base/env/env.h"
#include "base/status.h"
#include "client/client.h"
#include "client/node_api.h"
#include "net/pod_network.h"
#include "node/lease.h"
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
  // What the node gets when it is new.
  std::map<std::string, std::string> labels;
  std::vector<api::core::v1::Taint> taints;
  LeaseTimes lease;
  // Whether pods of which there must be only one are stopped when no server is reached for most of
  // a lease (node/fencing.h).
  bool fencing = true;
  // Waits until no service map of the whole cluster sends anybody to the addresses, or for
  // `timeout`; null: there is nobody else. Asked, after `drain`, for pods that services select.
  std::function<Task<>(std::vector<std::string> addresses, Duration timeout)> cluster_drain;
  // Called when another agent has taken the node's name: this one must end.
  std::function<void(const Status& why)> on_replaced;
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
  // cgroups, rights), or that the node's name is another's. A server that is not there is waited
  // for.
  Task<Status> Start();
  Task<> Stop();

  // From the next renewal on.
  void SetLeaseTimes(LeaseTimes times);

  const std::string& node_name() const;
  // After Start; lives as long as the agent.
  std::shared_ptr<client::NodeApi> node_api();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace gantry::node
