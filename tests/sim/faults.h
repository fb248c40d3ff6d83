#pragma once

#include "sim/cluster.h"

namespace gantry::sim {

// What goes wrong in a cluster, by chance, as long as it is on: each fault ends by itself after a
// while, several may be there at once. Life cycle: Start, Stop (the last faults still end later).
// Threading: one thread.
class Faults {
 public:
  explicit Faults(Cluster& cluster);

  void Start();
  void Stop() { on_ = false; }

 private:
  struct Kind;
  static const std::vector<Kind>& Kinds();

  void Next();
  // Undoes a fault `after` a while, unless everything was healed before.
  void Undo(Duration after, std::function<void()> undo);
  Server& AnyServer();
  Agent& AnyAgent();
  Server* Leader();

  void CrashServer(Server& server);
  void CrashAgent(Agent& agent);
  void CutOff(HostId host, const std::vector<HostId>& from, Duration duration);

  Cluster& cluster_;
  World& world_;
  Dice& dice_;
  bool on_ = false;
  int round_ = 0;  // of Start; what an earlier one began is not undone in a later one
};

}  // namespace gantry::sim
