#pragma once

#include <memory>
#include <string>

#include "base/env/env.h"
#include "base/status.h"
#include "cli/machine_options.h"

namespace gantry::cli {

struct AgentOptions : MachineOptions {
  std::string server;  // "https://HOST:6443"
  std::string token;
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
