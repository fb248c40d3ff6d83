#pragma once

#include <absl/synchronization/mutex.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/spawn.h"
#include "client/http/transport.h"
#include "client/node_api.h"

namespace gantry::apiserver::tunnel {

struct AgentOptions {
  AgentOptions() = default;
  // Servers and credentials at the start; a tunnel is kept to every one of the servers, since a
  // client's request may reach any.
  client::HttpTransportOptions http;
  wire::Headers headers;  // sent with the request for a tunnel
  // Called with the server's answer whenever a tunnel is open; must not block.
  std::function<void(const std::string& server, const wire::Headers& answer)> on_connected;
  Duration dead_after = std::chrono::seconds(10);
  Duration min_pause = std::chrono::milliseconds(200);  // between two attempts; doubles up to
  Duration max_pause = std::chrono::seconds(10);
};

// The agent's end of its tunnels: dials, answers what the servers ask of `node`, and dials again
// when a tunnel is lost. Threading: any thread.
class TunnelAgent {
 public:
  TunnelAgent(Env& env, std::shared_ptr<client::NodeApi> node, AgentOptions options);

  // Until `stop`. Once.
  Task<> Run(CancelToken stop);

  // The servers from now on: tunnels to others are ended.
  void SetServers(std::vector<std::string> servers);
  // Other credentials: new tunnels take the place of those that are open, which end when the calls
  // on them have.
  void SetTls(std::shared_ptr<const wire::TlsContext> tls);

 private:
  struct Keeper;
  struct Live;

  Task<> KeepTunnel(std::shared_ptr<Keeper> keeper);
  // A tunnel that is open, served in the background until `keeper` is to stop.
  Task<Result<std::shared_ptr<Live>>> Open(std::shared_ptr<Keeper> keeper,
                                           std::shared_ptr<const wire::TlsContext> tls);
  Task<> Serve(std::shared_ptr<Keeper> keeper, std::shared_ptr<Live> live,
               std::unique_ptr<Stream> stream);

  Env& env_;
  const std::shared_ptr<client::NodeApi> node_;
  const AgentOptions options_;
  Gate gate_;
  Notifier changed_;

  absl::Mutex mutex_;
  std::vector<std::string> servers_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const wire::TlsContext> tls_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<Keeper>> keepers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::apiserver::tunnel
