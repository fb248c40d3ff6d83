#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/env/env.h"
#include "base/status.h"
#include "cli/machine_options.h"

namespace gantry::cli {

struct AgentOptions : MachineOptions {
  std::vector<std::string> servers;  // "https://HOST:6443", one or more of the cluster's
  std::string token;
};

// A machine that has joined a cluster: a node, and the tunnels through which servers reach it.
// Finds the cluster's other servers and changes over to them, and renews its certificate in time.
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
