#pragma once

#include <map>
#include <string>
#include <vector>

#include "apiserver/registry/registry.h"
#include "base/env/cancel.h"
#include "base/env/spawn.h"
#include "base/status.h"
#include "store/store.h"

namespace gantry::apiserver {

struct ServerAddress {
  ServerAddress() = default;
  ServerAddress(std::string address, int port) : address(std::move(address)), port(port) {}
  std::string address;
  int port = 6443;
};

class Batch;

// Adds what the Endpoints and EndpointSlices of the service "kubernetes" lack of these servers: one
// slice for each port, "kubernetes" for the lowest.
void AddServerEndpoints(Registry& registry, const std::vector<ServerAddress>& servers,
                        Batch* batch);

// Keeps them in line with the servers that are alive, where several share a store: each announces
// itself under /registry/masterleases/ and watches the others come and go. Life cycle: Start, Stop.
class ServerEndpoints {
 public:
  ServerEndpoints(Registry& registry, store::SharedStore& store, ServerAddress own);

  // Returns when this server is among the endpoints.
  Task<Status> Start();
  Task<> Stop();

 private:
  Task<> Follow();
  Task<Status> FollowOnce();

  Registry& registry_;
  store::SharedStore& store_;
  const ServerAddress own_;
  CancelSource stopped_;
  Gate gate_;
  Notifier listed_;
  std::atomic<bool> is_listed_ = false;
};

}  // namespace gantry::apiserver
