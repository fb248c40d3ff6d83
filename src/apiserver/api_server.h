#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/core/v1/secret.pb.h"
#include "api/core/v1/service_account.pb.h"
#include "api/object.h"
#include "apiserver/authn/user.h"
#include "apiserver/http/handler.h"
#include "apiserver/pki/keys.h"
#include "base/env/env.h"
#include "base/status.h"
#include "client/client.h"
#include "client/node_api.h"
#include "store/cache/watch_cache.h"
#include "store/store.h"

namespace gantry::apiserver {

class Authorizer;
class Registry;
struct ResourceRequest;

struct ApiServerOptions {
  ApiServerOptions() = default;

  std::string service_cidr = "10.43.0.0/16";
  std::string cluster_domain = "cluster.local";
  std::string advertise_address = "127.0.0.1";  // how pods and other machines reach the server
  int advertise_port = 6443;
  std::string ca_pem;                          // of the cluster, for cluster-info
  std::vector<pki::Key> service_account_keys;  // the first one signs
  std::vector<std::pair<std::string, UserInfo>> static_tokens;
  client::NodeDirectory* nodes = nullptr;  // for logs, exec and proxies; outlives the server
  bool anonymous = true;
  // For how long pods that say nothing else stay on nodes that are not ready or not reachable.
  int64_t default_toleration_seconds = 300;
};

// The API server without its listener: the store's watch caches, the registry, who may do what, and
// the handler that a listener calls. Life cycle: construct, Start, use, Stop. Threading: any thread
// after Start.
class ApiServer {
 public:
  using PathHandler = std::function<Task<Response>(ResourceRequest request)>;

  // `env` and `store` outlive the server.
  ApiServer(Env& env, store::Store& store, ApiServerOptions options);
  ~ApiServer();

  // Loads the caches and writes what every cluster has. From then on an administrator can do
  // everything.
  Task<Status> Start();
  Task<> Stop();

  // Serves `path` (ending with '/': all below it too) after authentication and authorization.
  // Before the first request.
  void AddRoute(std::string path, PathHandler handler);
  // A condition of /readyz, by name; called for every such request. Before the first request.
  void AddReadyCheck(std::string name, std::function<Status()> check);

  Handler& handler();
  // A client in this process that acts as `user`. Lives as long as the server at most.
  std::unique_ptr<client::Client> ClientFor(UserInfo user);

  // The token of a secret of type kubernetes.io/service-account-token, for the controller that
  // fills them.
  Result<std::string> IssueSecretToken(const api::core::v1::ServiceAccount& account,
                                       const api::core::v1::Secret& secret) const;

  Registry& registry();
  Authorizer& authorizer();
  store::WatchCaches& caches();

  struct Parts;  // for api_server.cc

 private:
  std::unique_ptr<Parts> parts_;
};

}  // namespace gantry::apiserver
