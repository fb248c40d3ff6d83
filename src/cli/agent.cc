#include "cli/agent.h"

#include <algorithm>

#include "api/discovery/v1/endpoint_slice.pb.h"
#include "apiserver/tunnel/agent.h"
#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "base/log.h"
#include "cli/cluster_network.h"
#include "cli/data_dir.h"
#include "cli/host.h"
#include "cli/join.h"
#include "cli/known_servers.h"
#include "cli/node_gateway.h"
#include "cli/node_host.h"
#include "client/http/http_client.h"

namespace gantry::cli {

namespace tunnel = apiserver::tunnel;

namespace {

// For what is asked before the node starts.
constexpr Duration kFactsTimeout = std::chrono::seconds(3);

}  // namespace

struct Agent::Parts {
  Parts(Env& e, AgentOptions o, DataDir d, JoinToken t)
      : env(e),
        options(std::move(o)),
        dir(std::move(d)),
        token(std::move(t)),
        strand(e.MakeStrand()) {}

  Task<> FollowServers();
  Task<> KeepCertificate();
  Task<> DrainCluster(std::vector<std::string> addresses, Duration timeout);
  void OnConnected(const wire::Headers& answer);

  Env& env;
  AgentOptions options;
  DataDir dir;
  JoinToken token;
  const Executor strand;  // of what follows servers and certificate
  NodeIdentity identity;
  std::shared_ptr<client::HttpTransport> transport;
  std::unique_ptr<client::HttpClient> client;
  std::unique_ptr<client::InformerSet> informers;
  client::Informer* slices = nullptr;
  Notifier slices_changed;
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
  for (std::string& server : options.servers) {
    if (!server.starts_with("https://"))
      return BadRequest("--server " + server + " is not of the form https://HOST:6443");
    while (server.ends_with('/'))
      server.pop_back();
  }
  GANTRY_ASSIGN(DataDir dir, DataDir::Open(options.data_dir));
  options.data_dir = dir.path();
  if (options.node_name.empty()) options.node_name = HostName();
  auto parts = std::make_unique<Parts>(env, std::move(options), std::move(dir), std::move(token));
  return std::unique_ptr<Agent>(new Agent(std::move(parts)));
}

Task<Status> Agent::Start() {
  Parts& p = *parts_;
  NodeHostOptions host;
  GANTRY_CO_TRY(FillFromFlags(p.options, &host));
  const std::vector<std::string> servers = LoadServers(p.dir, p.options.servers);
  GANTRY_CO_ASSIGN(p.identity,
                   co_await JoinCluster(p.env, p.dir, servers, p.token, p.options.node_name));
  GANTRY_CO_ASSIGN(client::HttpTransportOptions http, TransportFor(servers, p.identity));
  p.transport = std::make_shared<client::HttpTransport>(p.env, http);
  Result<ClusterFacts> facts = co_await FetchClusterFacts(p.env, *p.transport, kFactsTimeout);
  // A node that has joined before waits for servers that are away; everything else is to be seen
  // to by somebody.
  if (!facts.ok() && facts.code() != Code::kUnavailable) co_return facts.status();
  if (!facts.ok())
    log::Warning("agent", "no server answers", {{"error", facts.status().message()}});
  if (facts.ok()) host.lease = facts->lease;
  p.client = std::make_unique<client::HttpClient>(p.env, p.transport);
  p.informers = std::make_unique<client::InformerSet>(p.env, *p.client);
  host.data_dir = p.dir.path();
  NetworkOptions told = p.options;
  GANTRY_CO_ASSIGN(host.network, co_await LearnClusterNetwork(*p.client, p.dir, std::move(told)));
  FillNetworkDefaults(&host.network, p.identity.ca_pem);
  host.cluster_drain = [&p](std::vector<std::string> addresses, Duration timeout) {
    return p.DrainCluster(std::move(addresses), timeout);
  };
  GANTRY_CO_ASSIGN(p.node, NodeHost::Make(p.env, *p.client, *p.informers, host));
  p.slices = &p.informers->For<api::discovery::v1::EndpointSlice>();
  p.slices->AddHandler([&p](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    if ((after ? after : before)->ns() == "default") p.slices_changed.Notify();
  });
  p.informers->Start();
  GANTRY_CO_TRY(co_await p.node->Start());
  tunnel::AgentOptions tunnel_options;
  tunnel_options.http = http;
  tunnel_options.on_connected = [&p](const std::string&, const wire::Headers& answer) {
    p.OnConnected(answer);
  };
  p.tunnel =
      std::make_unique<tunnel::TunnelAgent>(p.env, p.node->agent().node_api(), tunnel_options);
  Spawn(p.env.executor(), p.gate, "tunnel", p.tunnel->Run(p.stop.token()));
  Spawn(p.strand, p.gate, "agent servers", p.FollowServers());
  Spawn(p.strand, p.gate, "agent certificate", p.KeepCertificate());
  p.slices_changed.Notify();
  co_return Status::Ok();
}

void Agent::Parts::OnConnected(const wire::Headers& answer) {
  if (const auto lease = LeaseOfHeaders(answer)) node->agent().SetLeaseTimes(*lease);
}

// Keeps transport and tunnels at the servers that the cluster names.
Task<> Agent::Parts::FollowServers() {
  const CancelToken cancel = stop.token();
  std::vector<std::string> known;
  while (!cancel.cancelled()) {
    co_await slices_changed.Wait(env, cancel);
    std::vector<std::string> found = ServersOfSlices(slices->List("default"));
    // A cluster without a server is one whose list has not come.
    if (found.empty()) continue;
    if (found == known) continue;
    known = found;
    if (Status saved = SaveServers(dir, known); !saved.ok())
      log::Warning("agent", "the list of servers was not kept", {{"error", saved.message()}});
    transport->SetServers(Merge(known, options.servers));
    tunnel->SetServers(Merge(known, options.servers));
  }
}

// Renews the certificate in time. A clock that jumps, or a machine that slept, is found within the
// hour.
Task<> Agent::Parts::KeepCertificate() {
  constexpr Duration kLook = std::chrono::hours(1);
  constexpr Duration kFirstRetry = std::chrono::seconds(10),
                     kLongestRetry = std::chrono::minutes(10);
  const CancelToken cancel = stop.token();
  Duration retry = kFirstRetry;
  while (!cancel.cancelled()) {
    Result<WallTime> when = RenewalTime(env, identity.certificate_pem);
    if (!when.ok()) {
      log::Error("agent", "the certificate cannot be read", {{"error", when.status().message()}});
      co_return;
    }
    while (!cancel.cancelled() && env.Now() < *when)
      co_await SleepFor(env, std::min<Duration>(*when - env.Now(), kLook), cancel);
    while (!cancel.cancelled()) {
      std::string ca_pem = identity.ca_pem;
      Result<NodeIdentity> renewed =
          co_await RenewIdentity(env, dir, *client, std::move(ca_pem), options.node_name);
      // Too late: the node was cut off for the rest of its certificate's life.
      if (!renewed.ok() && HasEnded(env, identity.certificate_pem)) {
        renewed = co_await JoinCluster(env, dir, LoadServers(dir, options.servers), token,
                                       options.node_name);
      }
      Result<client::HttpTransportOptions> http = renewed.status();
      if (renewed.ok()) http = TransportFor(options.servers, *renewed);
      if (http.ok()) {
        identity = *renewed;
        transport->SetTls(http->tls);
        tunnel->SetTls(http->tls);
        log::Info("agent", "the node has a new certificate");
        retry = kFirstRetry;
        break;
      }
      log::Warning("agent", "the certificate was not renewed",
                   {{"error", http.status().message()}});
      co_await SleepFor(env, retry, cancel);
      retry = std::min(retry * 2, kLongestRetry);
    }
  }
}

Task<> Agent::Parts::DrainCluster(std::vector<std::string> addresses, Duration timeout) {
  DrainRequest wanted;
  wanted.addresses = std::move(addresses);
  wanted.timeout = timeout;
  client::HttpRequest request("POST", kDrainPath);
  request.headers.Add("Content-Type", "application/json");
  request.body = WriteDrainRequest(wanted);
  CancelSource late;
  std::unique_ptr<TimerHandle> timer =
      env.CallAt(env.Steady() + timeout, [late]() mutable { late.Cancel(); });
  Result<client::HttpReply> reply = co_await transport->Fetch(std::move(request), late.token());
  if (reply.ok() && reply->status == 200) co_return;
  log::Warning("agent", "other nodes were not asked whether they still lead to a pod that goes",
               {{"error", reply.ok() ? std::to_string(reply->status) : reply.status().message()}});
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
