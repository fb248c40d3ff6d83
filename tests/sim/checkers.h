#pragma once

#include <map>
#include <set>
#include <string>

#include "sim/cluster.h"

namespace gantry::sim {

// What must hold at every moment, whatever fails. Each breach ends the simulation:
// - a pod that has a node keeps it; an object that is gone does not come back under its uid;
// - the replicas that a deployment's sets ask for in sum never exceed maxSurge above the most
//   replicas that were asked of it since all was last as it should be (what a set asks for, not the
//   pods of a moment: one set may be slower to shrink than another is to grow);
// - no machine runs containers that ask for more than it has;
// - of a pod with an identity (name "db-...") containers run for one uid at a time in the cluster,
//   and none run any more where no server was reached for as long as the lease is.
// What is said of watches, revisions and acknowledged writes is checked by Truth and AuditedClient.
// Threading: one thread.
class Checkers {
 public:
  explicit Checkers(Cluster& cluster);

 private:
  void OnFact(const Fact& fact);
  void OnPod(const Fact& fact);
  void OnDeployment(const Fact& fact);
  void OnReplicaSet(const Fact& fact);
  void OnCreate(const Machine& machine, const Container& container);
  void LookAtFences();

  Cluster& cluster_;
  World& world_;
  std::set<std::string> gone_;          // uids
  std::map<std::string, int> highest_;  // by uid of a deployment: replicas
  // By uid of a deployment, by uid of a set: what the set asks for.
  std::map<std::string, std::map<std::string, int>> sets_;
};

}  // namespace gantry::sim
