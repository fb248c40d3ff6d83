#include "cli/agent.h"

#include "apiserver/tunnel/agent.h"
#include "base/env/spawn.h"
#include "cli/cluster_network.h"
#include "cli/data_dir.h"
#include "cli/host.h"
#include "cli/join.h"
#include "cli/node_host.h"
#include "client/http/http_client.h"

namespace gantry::cli {

namespace tunnel = apiserver::tunnel;

struct Agent::Parts {
  Parts(Env& e, AgentOptions o, DataDir d, JoinToken t)
      : env(e), options(std::move(o)), dir(std::move(d)), token(std::move(t)) {}

  Env& env;
  AgentOptions options;
  DataDir dir;
  JoinToken token;
  std::shared_ptr<client::HttpTransport> transport;
  std::unique_ptr<client::HttpClient> client;
  std::unique_ptr<client::InformerSet> informers;
  std::unique_ptr<NodeHost> node;
  std::unique_ptr<tunnel::TunnelAgent> tunnel;
  CancelSource stop;
  Gate gate;
};

Agent::Agent(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Agent::~Agent() = default;

const AgentOptions& Agent::options() const { return parts_->options; }

Result<std::unique_ptr<Agent>> Agent::Open(Env& env, AgentOptions options) {
  GANTRY_TRY(CheckNodeRequirements());
  GANTRY_ASSIGN(JoinToken token, JoinToken::Parse(options.token));
  GANTRY_ASSIGN(DataDir dir, DataDir::Open(options.data_dir));
  options.data_dir = dir.path();
  if (options.node_name.empty()) options.node_name = HostName();
  auto parts = std::make_unique<Parts>(env, std::move(options), std::move(dir), std::move(token));
  return std::unique_ptr<Agent>(new Agent(std::move(parts)));
}

Task<Status> Agent::Start() {
  Parts& p = *parts_;
  GANTRY_CO_ASSIGN(const NodeIdentity identity, co_await JoinCluster(p.env, p.dir, p.options.server,
                                                                     p.token, p.options.node_name));
  GANTRY_CO_ASSIGN(client::HttpTransportOptions http, TransportFor(p.options.server, identity));
  p.transport = std::make_shared<client::HttpTransport>(p.env, http);
  p.client = std::make_unique<client::HttpClient>(p.env, p.transport);
  p.informers = std::make_unique<client::InformerSet>(p.env, *p.client);
  NodeHostOptions host;
  host.data_dir = p.dir.path();
  host.node_name = p.options.node_name;
  NetworkOptions told = p.options;
  GANTRY_CO_ASSIGN(host.network, co_await LearnClusterNetwork(*p.client, std::move(told)));
  FillNetworkDefaults(&host.network, identity.ca_pem);
  host.oci_runtime = p.options.oci_runtime;
  GANTRY_CO_ASSIGN(host.log_limits, ParseLogLimits(p.options.container_log_max_size,
                                                   p.options.container_log_max_files));
  GANTRY_CO_ASSIGN(p.node, NodeHost::Make(p.env, *p.client, *p.informers, host));
  p.informers->Start();
  GANTRY_CO_TRY(co_await p.node->Start());
  tunnel::AgentOptions tunnel_options;
  tunnel_options.http = http;
  p.tunnel =
      std::make_unique<tunnel::TunnelAgent>(p.env, p.node->agent().node_api(), tunnel_options);
  Spawn(p.env.executor(), p.gate, "tunnel", p.tunnel->Run(p.stop.token()));
  co_return Status::Ok();
}

Task<> Agent::Stop() {
  Parts& p = *parts_;
  p.stop.Cancel();
  co_await p.gate.Close(p.env);
  if (p.node) co_await p.node->Stop();
  if (p.informers) co_await p.informers->Stop();
  if (p.transport) co_await p.transport->Stop();
}

}  // namespace gantry::cli
