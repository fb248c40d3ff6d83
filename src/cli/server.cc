#include "cli/server.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "api/duration.h"
#include "apiserver/api_server.h"
#include "apiserver/authz/authorizer.h"
#include "apiserver/http/listener.h"
#include "apiserver/rest/resource_handler.h"
#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "base/ip.h"
#include "base/log.h"
#include "base/wire/tls.h"
#include "cli/cluster_dns.h"
#include "cli/cluster_keys.h"
#include "cli/cluster_network.h"
#include "cli/control_plane.h"
#include "cli/credentials.h"
#include "cli/elected_control_plane.h"
#include "cli/failover.h"
#include "cli/ha/managed_etcd.h"
#include "cli/ha/member_routes.h"
#include "cli/host.h"
#include "cli/node_gateway.h"
#include "cli/node_host.h"
#include "store/compactor.h"
#include "store/etcd/etcd_store.h"
#include "store/sqlite/sqlite_store.h"

namespace gantry::cli {
namespace {

using apiserver::ApiServer;
using apiserver::UserInfo;

// The first addresses of the service ranges: that of the service "kubernetes", and what it would
// have of another family.
Result<std::vector<std::string>> FirstServiceAddresses(const std::string& service_cidrs) {
  Result<std::vector<Cidr>> cidrs = ParseCidrs(service_cidrs);
  if (!cidrs.ok())
    return BadRequest("--service-cidr " + service_cidrs + ": " + cidrs.status().message());
  std::vector<std::string> addresses;
  for (const Cidr& cidr : *cidrs)
    addresses.push_back(cidr.At(1).ToString());
  return addresses;
}

// A store that has failed once can promise nothing any more: the process ends, and recovery is the
// next start.
class ExitOnFailure : public store::CommitObserver {
 public:
  void OnCommit(const std::vector<store::Event>&) override {}
  void OnGap(const std::vector<store::Event>&, int64_t) override {}
  void OnCompact(int64_t) override {}
  void OnFailure(const Status& status) override {
    log::Error("server", "the store failed; stopping", {{"error", status.message()}});
    std::_Exit(1);
  }
};

constexpr char kSqlite[] = "sqlite";

ClusterSettings SettingsOf(const ServerOptions& options) {
  return {{"cluster-cidr", options.cluster_cidr},
          {"service-cidr", options.service_cidr},
          {"cluster-dns", options.cluster_dns},
          {"cluster-domain", options.cluster_domain}};
}

Result<Duration> ParseSigningDuration(const std::string& text) {
  Result<Duration> parsed = api::ParseGoDuration(text);
  if (parsed.ok() && *parsed > Duration::zero()) return parsed;
  return BadRequest("--cluster-signing-duration " + text + " is no time, such as 8760h or 30m");
}

void FillDefaults(ServerOptions* options) {
  // "Every address" of a machine that has only IPv6 ones.
  if (options->bind_address == "0.0.0.0" && DefaultAddress(false).empty() &&
      !DefaultAddress(true).empty())
    options->bind_address = "::";
  if (options->advertise_address.empty()) {
    options->advertise_address = options->bind_address == "0.0.0.0" || options->bind_address == "::"
                                     ? DefaultAddress()
                                     : options->bind_address;
  }
  if (options->node_name.empty()) options->node_name = HostName();
}

// The etcd that servers share; without `store` this is the only server, with SQLite.
struct SharedEtcd {
  SharedEtcd() = default;
  std::unique_ptr<ManagedEtcd> own;  // null: the user runs it
  std::optional<store::EtcdOptions> store;
};

// Where this machine's own is to be used, it has come up when this returns.
Result<SharedEtcd> FindEtcd(RealEnv& env, const DataDir& dir, const ServerOptions& options,
                            const std::vector<std::string>& names) {
  SharedEtcd etcd;
  if (options.runs_etcd()) {
    ManagedEtcdOptions managed;
    managed.name = options.node_name;
    managed.address = options.advertise_address;
    managed.names = names;
    managed.client_port = options.etcd_client_port;
    managed.peer_port = options.etcd_peer_port;
    managed.join = options.join;
    managed.token = options.token;
    managed.settings = SettingsOf(options);
    managed.fast = options.failover == "fast";
    managed.force_new_cluster = options.force_new_cluster;
    GANTRY_ASSIGN(etcd.own, env.RunToEnd(ManagedEtcd::Open(env, dir, std::move(managed))));
    etcd.store = etcd.own->store_options();
    return etcd;
  }
  if (ManagedEtcd::IsIn(dir.path())) {
    return BadRequest("data directory " + dir.path() +
                      " is that of a server with an etcd of its own; start it with --ha");
  }
  if (options.store != kSqlite) {
    GANTRY_ASSIGN(etcd.store, EtcdOptionsOf(options));
  }
  return etcd;
}

}  // namespace

struct Server::Parts {
  Parts(RealEnv& e, ServerOptions o, FailoverProfile f, std::unique_ptr<DataDir> d, SharedEtcd s,
        Credentials c)
      : env(e),
        options(std::move(o)),
        failover(std::move(f)),
        dir(std::move(d)),
        etcd(std::move(s)),
        credentials(std::move(c)) {}

  RealEnv& env;
  ServerOptions options;
  FailoverProfile failover;
  std::unique_ptr<DataDir> dir;
  SharedEtcd etcd;
  Credentials credentials;
  NodeGateway gateway{env, failover};
  ExitOnFailure exit_on_failure;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<store::Compactor> compactor;
  std::unique_ptr<ApiServer> api;
  std::unique_ptr<apiserver::Listener> listener;
  std::unique_ptr<client::Client> controllers_client;
  std::unique_ptr<client::Client> scheduler_client;
  std::unique_ptr<client::Client> node_client;
  std::unique_ptr<client::InformerSet> informers;
  // The first where this is the only server, the second where one of several runs it.
  std::unique_ptr<ControlPlane> control_plane;
  std::unique_ptr<ElectedControlPlane> elected_control_plane;
  std::unique_ptr<NodeHost> node;  // null with --no-agent

  Status OpenStore();
  Status MakeApiServer();
  Status MakeListener();
  Status MakeControlPlane();
  Status MakeNode();
  Task<> StopWithoutEtcd();
  Task<> StopWhenEtcdGoes(CancelToken stopped);
};

Status Server::Parts::OpenStore() {
  if (etcd.store) {
    GANTRY_ASSIGN(store, env.RunToEnd(store::OpenEtcdStore(env, *etcd.store)));
  } else {
    GANTRY_ASSIGN(store, store::OpenSqliteStore(env, store::SqliteOptions(dir->File("state.db"))));
  }
  store->AddObserver(&exit_on_failure);
  compactor = std::make_unique<store::Compactor>(env, *store);
  return Status::Ok();
}

Status Server::Parts::MakeApiServer() {
  apiserver::ApiServerOptions api_options;
  api_options.service_cidr = options.service_cidr;
  api_options.cluster_domain = options.cluster_domain;
  api_options.advertise_address = options.advertise_address;
  api_options.advertise_port = options.https_port;
  api_options.ca_pem = credentials.authority.certificate_pem();
  api_options.service_account_keys = {credentials.service_account_key};
  api_options.nodes = &gateway.nodes();
  api_options.default_toleration_seconds = failover.toleration_seconds;
  api = std::make_unique<ApiServer>(env, *store, std::move(api_options));
  gateway.AddRoutes(*api);
  if (etcd.own) AddMemberRoutes(*api, *etcd.own, credentials.join_token);
  return Status::Ok();
}

Status Server::Parts::MakeListener() {
  wire::TlsServerOptions tls;
  tls.certificate_pem = credentials.server.certificate_pem;
  tls.private_key_pem = credentials.server.private_key_pem;
  tls.client_ca_pem = credentials.authority.certificate_pem();
  apiserver::ListenerOptions listen;
  listen.address = options.bind_address;
  listen.port = options.https_port;
  GANTRY_ASSIGN(listen.tls, wire::TlsContext::Server(tls));
  listener = std::make_unique<apiserver::Listener>(env, api->handler(), std::move(listen));
  return Status::Ok();
}

Status Server::Parts::MakeControlPlane() {
  controllers_client =
      api->ClientFor(UserInfo("system:kube-controller-manager", {"system:masters"}));
  scheduler_client = api->ClientFor(UserInfo("system:kube-scheduler", {"system:authenticated"}));
  informers = std::make_unique<client::InformerSet>(env, *controllers_client);

  controllers::Options all;
  all.ca_certificate = credentials.authority.certificate_pem();
  all.node_ipam.cluster_cidr = options.cluster_cidr;
  all.node_ipam.node_prefix_v4 = options.node_cidr_mask_size_ipv4;
  all.node_ipam.node_prefix_v6 = options.node_cidr_mask_size_ipv6;
  all.balance_without_class = !options.no_service_lb;
  all.issue_token = [this](const auto& account, const auto& secret) {
    return api->IssueSecretToken(account, secret);
  };
  all.node_lifecycle = failover.node_lifecycle;
  all.node_lifecycle.heard = [this](const std::string& node) {
    return gateway.nodes().Hears(node);
  };
  all.node_lifecycle.since_refusal = [this]() -> std::optional<Duration> {
    const std::optional<SteadyTime> at = store->refused_at();
    if (!at) return std::nullopt;
    return env.Steady() - *at;
  };
  all.certificate_lifetime = options.signing_duration;
  all.sign = [this](const std::string& request, const std::vector<std::string>& usages,
                    Duration lifetime) {
    return credentials.authority.SignRequest(env, request, usages, lifetime);
  };
  all.read_request = [](const std::string& request) -> Result<controllers::RequestSubject> {
    GANTRY_ASSIGN(apiserver::pki::RequestInfo info, apiserver::pki::ParseRequest(request));
    return controllers::RequestSubject{info.common_name, info.organizations, info.dns_names,
                                       info.addresses,   info.emails,        info.uris};
  };
  all.may_request = [this](const auto& who, const std::string& subresource) {
    UserInfo user(who.username(), {who.groups().begin(), who.groups().end()});
    user.uid = who.uid();
    apiserver::Access access;
    access.verb = "create";
    access.is_resource = true;
    access.group = "certificates.k8s.io";
    access.version = "*";
    access.resource = "certificatesigningrequests";
    access.subresource = subresource;
    return api->authorizer().Authorize(user, access).allowed();
  };
  scheduler::Configuration scheduling;
  if (!options.scheduler_config.empty()) {
    GANTRY_ASSIGN(scheduling, scheduler::ReadConfiguration(options.scheduler_config));
  }
  if (store->shared() == nullptr) {
    GANTRY_ASSIGN(control_plane, ControlPlane::Make(env, *controllers_client, *scheduler_client,
                                                    *informers, all, scheduling));
    return Status::Ok();
  }
  GANTRY_ASSIGN(client::LeaderOptions lease, LeaseOf(options.failover));
  auto make = [this, all, scheduling](client::InformerSet& own) {
    return ControlPlane::Make(env, *controllers_client, *scheduler_client, own, all, scheduling);
  };
  const std::string identity = options.node_name + "_" + RandomUuid(env);
  elected_control_plane = std::make_unique<ElectedControlPlane>(env, *controllers_client, identity,
                                                                lease, std::move(make));
  return Status::Ok();
}

Status Server::Parts::MakeNode() {
  if (options.no_agent) return Status::Ok();
  node_client = api->ClientFor(
      UserInfo("system:node:" + options.node_name, {"system:nodes", "system:authenticated"}));
  NodeHostOptions host;
  host.data_dir = dir->path();
  host.address = options.advertise_address;
  host.network = options;
  host.lease = failover.lease;
  host.cluster_drain = [this](std::vector<std::string> addresses, Duration timeout) {
    return gateway.drain().AwaitDrained(std::move(addresses), timeout);
  };
  GANTRY_TRY(FillFromFlags(options, &host));
  GANTRY_ASSIGN(node, NodeHost::Make(env, *node_client, *informers, host));
  return Status::Ok();
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Server::~Server() = default;

const ServerOptions& Server::options() const { return parts_->options; }

Result<std::unique_ptr<Server>> Server::Open(RealEnv& env, ServerOptions options) {
  FillDefaults(&options);
  GANTRY_TRY(CheckHaFlags(options.store, &options));
  if (options.runs_etcd()) GANTRY_TRY(CheckEtcdInstalled());
  if (!options.no_agent) GANTRY_TRY(CheckNodeRequirements());
  PlaceClusterDns(&options);
  GANTRY_TRY(CheckNetwork(options));
  GANTRY_ASSIGN(FailoverProfile failover, FindFailoverProfile(options.failover));
  GANTRY_ASSIGN(options.signing_duration, ParseSigningDuration(options.cluster_signing_duration));
  GANTRY_ASSIGN(std::vector<std::string> service_addresses,
                FirstServiceAddresses(options.service_cidr));
  GANTRY_ASSIGN(DataDir opened, DataDir::Open(options.data_dir));
  auto dir = std::make_unique<DataDir>(std::move(opened));
  options.data_dir = dir->path();
  std::vector<std::string> names = {"localhost",
                                    "kubernetes",
                                    "kubernetes.default",
                                    "kubernetes.default.svc",
                                    "kubernetes.default.svc." + options.cluster_domain,
                                    options.node_name,
                                    options.advertise_address};
  std::ranges::move(service_addresses, std::back_inserter(names));
  // Agents and users may come in by any of the machine's addresses.
  for (std::string& address : LocalAddresses()) {
    if (address != options.advertise_address) names.push_back(std::move(address));
  }
  GANTRY_ASSIGN(SharedEtcd etcd, FindEtcd(env, *dir, options, names));
  if (etcd.store) {
    GANTRY_TRY(LeaseOf(options.failover).status());
    GANTRY_TRY(
        env.RunToEnd(ShareClusterKeys(env, *dir, *etcd.store, options.token, SettingsOf(options))));
  }
  GANTRY_ASSIGN(Credentials credentials,
                Credentials::LoadOrCreate(env, *dir, names, options.token));
  FillNetworkDefaults(&options, credentials.authority.certificate_pem());
  auto parts = std::make_unique<Parts>(env, std::move(options), std::move(failover), std::move(dir),
                                       std::move(etcd), std::move(credentials));
  GANTRY_TRY(parts->OpenStore());
  GANTRY_TRY(parts->MakeApiServer());
  GANTRY_TRY(parts->MakeListener());
  GANTRY_TRY(parts->MakeControlPlane());
  GANTRY_TRY(parts->MakeNode());
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Task<Status> Server::Start() {
  Parts& p = *parts_;
  if (p.etcd.own) p.etcd.own->Start();
  GANTRY_CO_TRY(co_await p.api->Start());
  p.compactor->Start();
  const std::string& bound = p.options.bind_address;
  const std::string host = UrlHost(bound == "0.0.0.0" ? "127.0.0.1"
                                   : bound == "::"    ? "::1"
                                                      : bound);
  GANTRY_CO_TRY(p.dir->Write(
      "kubeconfig", KubeconfigText("https://" + host + ":" + std::to_string(p.options.https_port),
                                   p.credentials.authority.certificate_pem(), p.credentials.admin,
                                   "kubernetes-admin")));
  GANTRY_CO_TRY(p.listener->Start().WithContext(
      "cannot serve the API; choose another port with --https-port, or address with "
      "--bind-address"));
  NetworkOptions network = p.options;
  GANTRY_CO_TRY(co_await PublishClusterNetwork(*p.controllers_client, std::move(network)));
  GANTRY_CO_TRY(co_await PublishJoinToken(*p.controllers_client, p.credentials.join_token));
  GANTRY_CO_TRY(co_await PublishClusterDns(*p.controllers_client, p.options.cluster_dns));
  if (p.control_plane) p.control_plane->Start();
  if (p.elected_control_plane) p.elected_control_plane->Start();
  p.informers->Start();
  if (p.node) {
    GANTRY_CO_TRY(co_await p.node->Start());
    p.gateway.nodes().SetLocal(p.node->agent().node_name(), p.node->agent().node_api());
  }
  co_return Status::Ok();
}

// What it would say goodbye to is not there; it is taken for dead soon.
Task<> Server::Parts::StopWithoutEtcd() {
  log::Warning("server", "stops without etcd", {});
  if (etcd.own) co_await etcd.own->Stop();
  std::_Exit(0);
}

// Others may stop at the same time, and take the majority with them.
Task<> Server::Parts::StopWhenEtcdGoes(CancelToken stopped) {
  store::SharedStore* shared = store->shared();
  while (shared && co_await SleepFor(env, std::chrono::seconds(1), stopped) == Wake::kTimeout) {
    if (!shared->health().ok()) co_await StopWithoutEtcd();
  }
}

Task<> Server::Stop() {
  Parts& p = *parts_;
  if (p.node) co_await p.node->Stop();
  if (store::SharedStore* shared = p.store->shared(); shared && !shared->health().ok()) {
    co_await p.StopWithoutEtcd();
  }
  CancelSource stopped;
  Gate gate;
  Spawn(p.env.MakeStrand(), gate, "stop", p.StopWhenEtcdGoes(stopped.token()));
  co_await p.gateway.Stop();
  if (p.control_plane) co_await p.control_plane->Stop();
  if (p.elected_control_plane) co_await p.elected_control_plane->Stop();
  co_await p.informers->Stop();
  co_await p.listener->Stop(std::chrono::seconds(1));
  co_await p.api->Stop();
  co_await p.compactor->Stop();
  p.store->RemoveObserver(&p.exit_on_failure);
  stopped.Cancel();
  co_await gate.Close(p.env);
  co_await p.store->Stop();
  if (p.etcd.own) co_await p.etcd.own->Stop();
}

}  // namespace gantry::cli
