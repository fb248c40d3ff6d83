#pragma once

#include <string>

#include "apiserver/api_server.h"
#include "apiserver/rest/resource_handler.h"
#include "apiserver/tunnel/cluster_drain.h"
#include "apiserver/tunnel/server.h"
#include "base/env/env.h"
#include "cli/failover.h"

namespace gantry::cli {

// What a server offers to agents beside the Kubernetes API, below /apis/gantry/v1. Only nodes may
// use it, each for itself:
//   tunnel    the way by which servers reach the node
//   cluster   what an agent has to know: the server's version and clock, the times of leases
//   drain     POST: answered when no node's service maps lead to the addresses any more
// Life cycle: Stop before destruction. Threading: any thread.
class NodeGateway {
 public:
  // `env` outlives it.
  NodeGateway(Env& env, const FailoverProfile& profile);

  apiserver::tunnel::TunnelServer& nodes() { return nodes_; }
  apiserver::tunnel::ClusterDrain& drain() { return drain_; }

  // Before the server's first request.
  void AddRoutes(apiserver::ApiServer& api);
  Task<> Stop();

 private:
  Task<apiserver::Response> AcceptTunnel(apiserver::ResourceRequest request);
  Task<apiserver::Response> DescribeCluster(apiserver::ResourceRequest request);
  Task<apiserver::Response> Drain(apiserver::ResourceRequest request);

  Env& env_;
  const node::LeaseTimes lease_;
  apiserver::tunnel::TunnelServer nodes_;
  apiserver::tunnel::ClusterDrain drain_;
};

// What DescribeCluster tells, and how agents read it.
struct ClusterFacts {
  std::string version;  // of the server
  WallTime now;         // by the server's clock
  node::LeaseTimes lease;
};
inline constexpr char kClusterPath[] = "/apis/gantry/v1/cluster";
inline constexpr char kDrainPath[] = "/apis/gantry/v1/drain";
std::string WriteClusterFacts(const ClusterFacts& facts);
Result<ClusterFacts> ReadClusterFacts(std::string_view json);
// The body of a request to drain.
struct DrainRequest {
  std::vector<std::string> addresses;
  Duration timeout{};
};
std::string WriteDrainRequest(const DrainRequest& request);
Result<DrainRequest> ReadDrainRequest(std::string_view json);

// The times of leases in the answer to a request for a tunnel.
void AddLeaseHeaders(const node::LeaseTimes& lease, wire::Headers* headers);
std::optional<node::LeaseTimes> LeaseOfHeaders(const wire::Headers& headers);

}  // namespace gantry::cli
