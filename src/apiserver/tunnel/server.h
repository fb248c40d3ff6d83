#pragma once

#include <absl/synchronization/mutex.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apiserver/http/handler.h"
#include "base/env/env.h"
#include "base/status.h"
#include "client/node_api.h"

namespace gantry::apiserver::tunnel {

// What an agent asks for: GET with `Upgrade: gantry-tunnel/1`.
inline constexpr char kTunnelPath[] = "/apis/gantry/v1/tunnel";
inline constexpr char kTunnelProtocol[] = "gantry-tunnel/1";

class Mux;

// The nodes that this server can reach: those whose agents have opened a tunnel to it, and those in
// this process. Threading: any thread. Outlives the requests that it has accepted.
class TunnelServer : public client::NodeDirectory {
 public:
  explicit TunnelServer(Env& env, Duration dead_after = std::chrono::seconds(10))
      : env_(env), dead_after_(dead_after) {}

  // The answer to an agent's request; `node_name` is the node that the client proved to be. Of a
  // node's tunnels the newest is used; the others serve what they have begun. kBadRequest when it
  // is no request for a tunnel.
  Result<Response> Accept(const Request& request, std::string node_name);

  // A node in this process. Null removes it.
  void SetLocal(const std::string& node_name, std::shared_ptr<client::NodeApi> node);

  Result<std::shared_ptr<client::NodeApi>> Find(const std::string& node_name) override;
  // Every node that can be reached now.
  std::vector<std::shared_ptr<client::NodeApi>> All();
  // Whether the node is in this process, or its agent was heard within the time after which a
  // silent tunnel is dead.
  bool Hears(const std::string& node_name);

 private:
  Task<> Serve(std::unique_ptr<Stream> stream, std::string node_name);

  Env& env_;
  const Duration dead_after_;
  absl::Mutex mutex_;
  // The newest last; none is empty.
  std::map<std::string, std::vector<std::shared_ptr<Mux>>> tunnels_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<client::NodeApi>> local_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::apiserver::tunnel
