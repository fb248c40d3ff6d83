#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/env/env.h"

namespace gantry::net {

// One service as load balancers see it on this node.
struct HealthCheckState {
  std::string ns, name;
  int local_endpoints = 0;
};

// Tells load balancers whether this node has endpoints of a service: an HTTP server on each
// healthCheckNodePort, on every address of the node, with kube-proxy's answers (200 or 503, and the
// count as JSON). Life cycle: Update as often as something changes, then Stop once. Threading: any
// thread.
class HealthCheckServer {
 public:
  // `env` outlives the server.
  explicit HealthCheckServer(Env& env);
  ~HealthCheckServer();

  // The ports to serve from now on, and whether the node's rules are what they should be. A port
  // that another program has is logged, and tried again with the next update.
  void Update(std::map<uint16_t, HealthCheckState> services, bool healthy);
  Task<> Stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace gantry::net
