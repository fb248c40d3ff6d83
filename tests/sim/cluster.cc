#include "sim/cluster.h"

#include <utility>

#include "cli/failover.h"

namespace gantry::sim {

namespace {

// Goes on one change too late when the feed broke.
class SkippingEtcdClient final : public EtcdClient {
 public:
  using EtcdClient::EtcdClient;

 protected:
  int64_t ResumeAfter(int64_t seen) override { return seen + 1; }
};

class SkippingEtcdBackend final : public EtcdBackend {
 public:
  using EtcdBackend::EtcdBackend;

 protected:
  std::unique_ptr<EtcdClient> MakeClient(Process& process, HostId host) override {
    return std::make_unique<SkippingEtcdClient>(network_, process, host, etcd());
  }
};

}  // namespace

Cluster::Cluster(World& world, const Shape& shape, const Plants& plants)
    : world_(world), network_(world), truth_(world) {
  Backend* backend = nullptr;
  if (shape.disk) {
    disk_ = std::make_unique<DiskBackend>(world, truth_);
    disk_->disk().lies = plants.disk_lies;
    backend = disk_.get();
  } else {
    if (plants.store_skips_a_change) {
      etcd_ = std::make_unique<SkippingEtcdBackend>(world, network_, truth_);
    } else {
      etcd_ = std::make_unique<EtcdBackend>(world, network_, truth_);
    }
    backend = etcd_.get();
  }
  const cli::FailoverProfile failover =
      *cli::FindFailoverProfile(shape.fast_failover ? "fast" : "default");
  std::vector<Server*> servers;
  for (int i = 0; i < (shape.disk ? 1 : shape.servers); ++i) {
    std::string name = "server-" + std::to_string(i);
    servers_.push_back(std::make_unique<Server>(world, network_, truth_, *backend, std::move(name),
                                                failover, plants.controllers));
    servers.push_back(servers_.back().get());
  }
  for (int i = 0; i < shape.agents; ++i) {
    std::string name = "node-" + std::to_string(i);
    agents_.push_back(std::make_unique<Agent>(world, network_, truth_, servers, std::move(name), i,
                                              failover.lease, !plants.agents_do_not_fence));
  }
  user_ = std::make_shared<Process>(world, "user", user_clock_);
  const HostId host = network_.AddHost("user", [] { return std::shared_ptr<Process>(); });
  user_remote_ = std::make_unique<RemoteClient>(network_, *user_, host, servers,
                                                apiserver::UserInfo("admin", {"system:masters"}));
  user_client_ = std::make_unique<AuditedClient>(*user_remote_, *user_, truth_, "the user");
}

Cluster::~Cluster() = default;

void Cluster::Start() {
  for (const auto& server : servers_)
    server->Start();
  for (const auto& agent : agents_)
    agent->Start();
}

void Cluster::Heal() {
  network_.HealAll();
  network_.most_delay = std::chrono::milliseconds(2);
  network_.lost_permille = 0;
  if (disk_) {
    disk_->disk().full = false;
    disk_->disk().steps_until_crash = -1;
  }
  for (const auto& server : servers_) {
    network_.SetSlowness(server->host(), 1);
    server->clock().offset = {};
    if (std::shared_ptr<Process> process = server->process()) process->SlowThreads({}, {});
  }
  for (const auto& agent : agents_) {
    network_.SetSlowness(agent->host(), 1);
    Machine& machine = agent->machine();
    machine.clock().offset = {};
    machine.runtime_refuses = machine.registry_down = false;
    machine.slowness = 1;
  }
  Start();
}

void Cluster::Shutdown() {
  user_->Kill();
  for (const auto& agent : agents_)
    agent->Shutdown();
  for (const auto& server : servers_)
    server->Shutdown();
}

}  // namespace gantry::sim
