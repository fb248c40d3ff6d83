#pragma once

#include <memory>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/spawn.h"
#include "client/http/transport.h"
#include "client/node_api.h"

namespace gantry::apiserver::tunnel {

struct AgentOptions {
  AgentOptions() = default;
  // Servers and credentials; a tunnel is kept to every one of the servers, since a client's request
  // may reach any.
  client::HttpTransportOptions http;
  Duration dead_after = std::chrono::seconds(10);
  Duration min_pause = std::chrono::milliseconds(200);  // between two attempts; doubles up to
  Duration max_pause = std::chrono::seconds(10);
};

// The agent's end of its tunnels: dials, answers what the servers ask of `node`, and dials again
// when a tunnel is lost.
class TunnelAgent {
 public:
  TunnelAgent(Env& env, std::shared_ptr<client::NodeApi> node, AgentOptions options);

  // Until `stop`. Once.
  Task<> Run(CancelToken stop);

 private:
  Task<> KeepTunnel(std::string server, CancelToken stop);
  Task<Status> ServeTunnel(std::string server, CancelToken stop);

  Env& env_;
  const std::shared_ptr<client::NodeApi> node_;
  const AgentOptions options_;
};

}  // namespace gantry::apiserver::tunnel
