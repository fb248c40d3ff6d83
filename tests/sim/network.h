#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "sim/process.h"

namespace gantry::sim {

using HostId = int;

// A lasting connection between two hosts, as far as the network can break it.
class Connection {
 public:
  virtual ~Connection() = default;
  virtual void Break(Status why) = 0;
};

// Hosts and what lies between them: messages are delayed, so that they overtake each other, or lost
// with their connection; hosts can be cut off from one another. Threading: one thread.
class Network {
 public:
  explicit Network(World& world) : world_(world) {}

  // `listening`: the process that takes requests at the host now; null: nobody does.
  HostId AddHost(std::string name, std::function<std::shared_ptr<Process>()> listening);
  const std::string& NameOf(HostId host) const { return hosts_[host].name; }
  std::shared_ptr<Process> ListeningAt(HostId host) const { return hosts_[host].listening(); }

  // The weather, which faults change.
  Duration least_delay = std::chrono::microseconds(100);
  Duration most_delay = std::chrono::milliseconds(2);
  int lost_permille = 0;

  void Cut(HostId a, HostId b);
  void Heal(HostId a, HostId b) { cuts_.erase(Between(a, b)); }
  void HealAll() { cuts_.clear(); }
  bool IsCut(HostId a, HostId b) const { return cuts_.contains(Between(a, b)); }
  // Everything from and to the host takes so many times as long.
  void SetSlowness(HostId host, int factor) { hosts_[host].slowness = factor; }

  // How long a message that is sent now will be under way; nullopt: it never arrives.
  std::optional<Duration> Transit(HostId from, HostId to);
  // After how long an end notices that the other one is silent.
  Duration NoticeSilence();

  // The connection is broken at some time after a cut between the two.
  void Follow(HostId a, HostId b, std::weak_ptr<Connection> connection);

  World& world() { return world_; }

 private:
  struct Host {
    std::string name;
    std::function<std::shared_ptr<Process>()> listening;
    int slowness = 1;
  };
  struct Followed {
    std::pair<HostId, HostId> between;
    std::weak_ptr<Connection> connection;
  };
  static std::pair<HostId, HostId> Between(HostId a, HostId b) {
    return {std::min(a, b), std::max(a, b)};
  }

  World& world_;
  std::vector<Host> hosts_;
  std::set<std::pair<HostId, HostId>> cuts_;
  std::vector<Followed> followed_;
};

}  // namespace gantry::sim
