#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/agent.h"
#include "sim/audited_client.h"
#include "sim/backend.h"
#include "sim/disk.h"
#include "sim/network.h"
#include "sim/remote_client.h"
#include "sim/server.h"
#include "sim/truth.h"

namespace gantry::sim {

// Faults that are built in on purpose, to see whether they are found.
struct Plants {
  ChangeControllers controllers;  // null: none
  // A store client that loses the first change after its feed broke.
  bool store_skips_a_change = false;
  // A disk that does not sync.
  bool disk_lies = false;
  // Agents that stop nothing when they reach no server.
  bool agents_do_not_fence = false;
};

struct Shape {
  int servers = 3, agents = 4;
  bool disk = false;           // one server over a disk of its own; else all over one etcd
  bool fast_failover = false;  // the silent are soon taken for dead (cli/failover.h)
};

// Servers, agents, what connects them, and a user outside. Life cycle: Start; Shutdown before
// destruction. Threading: one thread.
class Cluster {
 public:
  Cluster(World& world, const Shape& shape, const Plants& plants);
  ~Cluster();

  void Start();
  // All faults of the environment end, whatever is down comes up.
  void Heal();
  void Shutdown();

  World& world() { return world_; }
  Network& network() { return network_; }
  Truth& truth() { return truth_; }
  const std::vector<std::unique_ptr<Server>>& servers() const { return servers_; }
  const std::vector<std::unique_ptr<Agent>>& agents() const { return agents_; }
  // Null without a disk; and the other way round.
  DiskBackend* disk() { return disk_.get(); }
  EtcdBackend* etcd() { return etcd_.get(); }

  // The user: an administrator on a machine of his own, which does not fail.
  Process& user() { return *user_; }
  client::Client& user_client() { return *user_client_; }

 private:
  World& world_;
  Network network_;
  Truth truth_;
  std::unique_ptr<EtcdBackend> etcd_;
  std::unique_ptr<DiskBackend> disk_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<std::unique_ptr<Agent>> agents_;
  MachineClock user_clock_;
  std::shared_ptr<Process> user_;
  std::unique_ptr<RemoteClient> user_remote_;
  std::unique_ptr<AuditedClient> user_client_;
};

}  // namespace gantry::sim
