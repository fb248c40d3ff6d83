#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "node/lease.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/server.h"
#include "sim/truth.h"

namespace gantry::sim {

// The node agent on a simulated machine: what of src/node needs no kernel is the real one (what to
// do next, what to report, which pods are taken, the Node object, its lease, the fence), over a
// simulated runtime; what puts it together is written again here (docs/decisions/0013-simulation.md
// says why). Containers survive the agent, not the machine. Life cycle: Start; ends with Shutdown.
// Threading: one thread.
class Agent {
 public:
  class Life;

  Agent(World& world, Network& network, Truth& truth, std::vector<Server*> servers,
        std::string name, int index, node::LeaseTimes lease, bool fences);
  ~Agent();

  const std::string& name() const { return machine_.name(); }
  HostId host() const { return host_; }
  Machine& machine() { return machine_; }

  void Start();
  void Crash(std::string_view why);
  bool up() const { return life_ != nullptr; }
  std::shared_ptr<Process> process() const;
  // Whether nothing with an identity may run here any more: the machine is off, or its agent has
  // reached no server for a lease and could do something about it.
  bool HasHadTimeToFence(SteadyTime now) const;
  void Shutdown();

 private:
  Task<> Bury(std::shared_ptr<Life> life);

  World& world_;
  Network& network_;
  Truth& truth_;
  const std::vector<Server*> servers_;
  const node::LeaseTimes lease_;
  const bool fences_;
  Machine machine_;
  HostId host_ = 0;
  std::shared_ptr<Life> life_;
  Gate burials_;
};

}  // namespace gantry::sim
