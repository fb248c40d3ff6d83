#include "sim/server.h"

#include <algorithm>
#include <utility>

#include "apiserver/api_server.h"
#include "client/informer.h"
#include "client/leader.h"
#include "client/reconciler.h"
#include "scheduler/scheduler.h"
#include "sim/audited_client.h"
#include "store/compactor.h"

namespace gantry::sim {

using apiserver::UserInfo;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

apiserver::ApiServerOptions ApiOptions(const std::string& address,
                                       const cli::FailoverProfile& failover) {
  // The same for all servers and all runs.
  static const apiserver::pki::Key key = *apiserver::pki::Key::Generate();
  apiserver::ApiServerOptions options;
  options.service_account_keys.push_back(key);
  options.advertise_address = address;
  options.default_toleration_seconds = failover.toleration_seconds;
  return options;
}

store::CompactorOptions CompactorOptions() {
  store::CompactorOptions options;
  options.keep = seconds(60);
  options.max_revisions = 2000;
  return options;
}

client::LeaderOptions LeaderOptions(std::string identity) {
  client::LeaderOptions options;
  options.name = "gantry";
  options.identity = std::move(identity);
  options.lease_duration = seconds(8);
  options.renew_deadline = seconds(5);
  options.retry_period = seconds(2);
  return options;
}

controllers::Options ControllerOptions(const cli::FailoverProfile& failover) {
  controllers::Options options;
  options.node_lifecycle = failover.node_lifecycle;
  options.ca_certificate = "CA";
  options.node_ipam.cluster_cidr = "10.42.0.0/16";
  options.sign = [](const std::string&, const std::vector<std::string>&,
                    Duration) -> Result<std::string> { return Unavailable("no authority here"); };
  options.read_request = [](const std::string&) -> Result<controllers::RequestSubject> {
    return BadRequest("no requests here");
  };
  options.issue_token = [](const auto&...) -> Result<std::string> {
    return Unavailable("no tokens here");
  };
  options.may_request = [](const auto&, const std::string&) { return false; };
  return options;
}

// What runs where leading is.
struct ControlPlane {
  ControlPlane(Env& env, client::Client& controllers, client::Client& scheduler_client,
               const cli::FailoverProfile& failover, const ChangeControllers& change)
      : informers(env, controllers),
        runner(env, controllers, informers),
        scheduler(*scheduler::Scheduler::Make(env, scheduler_client, informers,
                                              scheduler::Configuration())) {
    Result<std::vector<controllers::Controller>> all =
        controllers::MakeAll(ControllerOptions(failover));
    if (change) change(*all);
    for (controllers::Controller& controller : *all)
      runner.Add(std::move(controller.reconciler), controller.workers);
  }
  void Start() {
    runner.Start();
    scheduler->Start();
    informers.Start();
  }
  Task<> Stop() {
    co_await scheduler->Stop();
    co_await runner.Stop();
    co_await informers.Stop();
  }

  client::InformerSet informers;
  client::ReconcilerRunner runner;
  std::unique_ptr<scheduler::Scheduler> scheduler;
};

}  // namespace

class Server::Life : public store::CommitObserver {
 public:
  Life(Server& server, std::string name)
      : server(server), process(std::make_shared<Process>(server.world_, name, server.clock_)) {}

  void OnCommit(const std::vector<store::Event>&) override {}
  void OnGap(const std::vector<store::Event>&, int64_t) override {}
  void OnCompact(int64_t) override {}
  void OnFailure(const Status& status) override {
    // Not from inside of the store.
    server.world_.After(Duration(0),
                        [this, weak = std::weak_ptr<Process>(process), why = status.message()] {
                          if (auto live = weak.lock(); live && live->alive())
                            server.Exit(this, why);
                        });
  }

  Server& server;
  std::shared_ptr<Process> process;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<store::Compactor> compactor;
  std::unique_ptr<apiserver::ApiServer> api;
  std::map<std::string, std::unique_ptr<client::Client>> clients;
  std::unique_ptr<client::Client> controllers_real, scheduler_real;
  std::unique_ptr<AuditedClient> controllers, scheduler;
  std::unique_ptr<client::LeaderElector> elector;
  std::unique_ptr<ControlPlane> plane;
  bool serving = false;
  Gate starting;
};

Server::Server(World& world, Network& network, Truth& truth, Backend& backend, std::string name,
               cli::FailoverProfile failover, ChangeControllers change)
    : world_(world),
      network_(network),
      truth_(truth),
      backend_(backend),
      name_(std::move(name)),
      failover_(std::move(failover)),
      change_(std::move(change)) {
  host_ = network_.AddHost(name_, [this] { return serving() ? life_->process : nullptr; });
}

Server::~Server() = default;

bool Server::serving() const { return life_ && life_->serving; }
int64_t Server::revision() const { return serving() ? life_->store->revision() : 0; }
bool Server::leads() const { return life_ && life_->plane != nullptr; }
std::shared_ptr<Process> Server::process() const { return life_ ? life_->process : nullptr; }

client::Client& Server::ClientOf(Life& life, const UserInfo& user) {
  std::unique_ptr<client::Client>& client = life.clients[user.name];
  if (!client) client = life.api->ClientFor(user);
  return *client;
}

void Server::Start() {
  wanted_ = true;
  if (life_) return;
  world_.Tell(name_ + " starts");
  life_ = std::make_shared<Life>(*this, name_);
  Spawn(life_->process->executor(), life_->starting, "server", Run(life_));
}

void Server::Crash(std::string_view why) {
  wanted_ = false;
  if (!life_) return;
  world_.Tell(name_ + " crashes: " + std::string(why));
  std::shared_ptr<Life> life = std::move(life_);
  life->process->Kill();
  Spawn(world_.env().executor(), burials_, "bury", Bury(std::move(life)));
}

// The program ends by itself, and is started again.
void Server::Exit(Life* life, std::string_view why) {
  if (life_.get() != life) return;
  Crash(why);
  wanted_ = true;
  auto again = [this] {
    if (wanted_) Start();
  };
  world_.After(world_.dice().Between(milliseconds(500), seconds(3)), std::move(again));
}

Task<> Server::Run(std::shared_ptr<Life> life) {
  Process& process = *life->process;
  Result<std::unique_ptr<store::Store>> opened = co_await backend_.Open(process, host_);
  if (!opened.ok()) {
    Exit(life.get(), opened.status().message());
    co_return;
  }
  life->store = std::move(*opened);
  if (!process.alive()) co_return;
  life->store->AddObserver(life.get());
  life->compactor = std::make_unique<store::Compactor>(process, *life->store, CompactorOptions());
  life->api = std::make_unique<apiserver::ApiServer>(
      process, *life->store, ApiOptions("10.1.0." + std::to_string(host_ + 1), failover_));
  Status started = co_await life->api->Start();
  if (!process.alive()) co_return;
  if (!started.ok()) {
    Exit(life.get(), started.message());
    co_return;
  }
  life->compactor->Start();
  life->controllers_real =
      life->api->ClientFor(UserInfo("system:kube-controller-manager", {"system:masters"}));
  life->scheduler_real =
      life->api->ClientFor(UserInfo("system:kube-scheduler", {"system:authenticated"}));
  life->controllers = std::make_unique<AuditedClient>(*life->controllers_real, process, truth_,
                                                      "a controller on " + name_);
  life->scheduler = std::make_unique<AuditedClient>(*life->scheduler_real, process, truth_,
                                                    "the scheduler on " + name_);
  life->serving = true;
  world_.Tell(name_ + " serves");

  auto lead = [this, raw = life.get()] {
    if (raw->process->alive()) world_.Tell(name_ + " leads");
    raw->plane = std::make_unique<ControlPlane>(*raw->process, *raw->controllers, *raw->scheduler,
                                                failover_, change_);
    raw->plane->Start();
  };
  if (!backend_.shared()) {
    lead();
    co_return;
  }
  client::LeaderElector::Callbacks callbacks;
  callbacks.on_started_leading = lead;
  // Work that is under way cannot be taken back: the program ends.
  callbacks.on_stopped_leading = [this, raw = life.get(),
                                  weak = std::weak_ptr<Process>(life->process)] {
    world_.After(Duration(0), [this, raw, weak] {
      if (auto live = weak.lock(); live && live->alive()) Exit(raw, "it no longer leads");
    });
  };
  life->elector = std::make_unique<client::LeaderElector>(
      process, *life->controllers, LeaderOptions(name_), std::move(callbacks));
  life->elector->Start();
}

// Stops what was cut off by a crash, so that its memory can go.
Task<> Server::Bury(std::shared_ptr<Life> life) {
  co_await life->starting.Close(*life->process);
  if (life->elector) co_await life->elector->Stop();
  if (life->plane) co_await life->plane->Stop();
  if (life->compactor) co_await life->compactor->Stop();
  if (life->api) co_await life->api->Stop();
  co_await life->process->gate().Close(*life->process);
  if (life->store) {
    life->store->RemoveObserver(life.get());
    co_await life->store->Stop();
  }
}

void Server::Shutdown() {
  Crash("the simulation ends");
  world_.env().RunToEnd(burials_.Close(world_.env()));
}

}  // namespace gantry::sim
