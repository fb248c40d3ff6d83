#include "sim/checkers.h"

#include <algorithm>

#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/int_or_percent.h"

namespace gantry::sim {

using api::apps::v1::Deployment;
using api::apps::v1::ReplicaSet;
using api::core::v1::Pod;

namespace {

std::string OwnerOf(const api::meta::v1::ObjectMeta& meta) {
  for (const auto& owner : meta.owner_references()) {
    if (owner.controller()) return owner.uid();
  }
  return {};
}

// As the controller rounds it: percentages of surge up.
int SurgeOf(const Deployment& deployment, int replicas) {
  if (deployment.spec().strategy().type() == "Recreate") return 0;
  return api::Scaled(deployment.spec().strategy().rolling_update().max_surge(), replicas,
                     api::Rounding::kUp);
}

bool HasIdentity(const Container& container) {
  return container.pod.find("/db-") != std::string::npos;
}

constexpr Duration kLook = std::chrono::milliseconds(500);
// What a machine may need for its last signal, unless it is slow.
constexpr Duration kLastSignal = std::chrono::seconds(1);

}  // namespace

Checkers::Checkers(Cluster& cluster) : cluster_(cluster), world_(cluster.world()) {
  cluster_.truth().Listen([this](const Fact& fact) { OnFact(fact); });
  for (const auto& agent : cluster_.agents()) {
    Machine& machine = agent->machine();
    machine.on_create = [this, &machine](const Container& container) {
      OnCreate(machine, container);
    };
  }
  world_.After(kLook, [this] { LookAtFences(); });
}

void Checkers::OnFact(const Fact& fact) {
  if (fact.before && (fact.deleted || fact.before->uid() != fact.after->uid()))
    gone_.insert(fact.before->uid());
  if (fact.after && gone_.contains(fact.after->uid()))
    world_.Breach(fact.key + " came back under its uid " + fact.after->uid());
  if (!fact.before && !fact.after) return;
  const api::KindInfo& kind = (fact.after ? fact.after : fact.before)->kind();
  if (&kind == &api::KindOf<Pod>()) OnPod(fact);
  if (&kind == &api::KindOf<Deployment>()) OnDeployment(fact);
  if (&kind == &api::KindOf<ReplicaSet>()) OnReplicaSet(fact);
}

void Checkers::OnPod(const Fact& fact) {
  if (!fact.before || !fact.after || fact.before->uid() != fact.after->uid()) return;
  const std::string& before = fact.before->As<Pod>().spec().node_name();
  const std::string& after = fact.after->As<Pod>().spec().node_name();
  if (!before.empty() && before != after)
    world_.Breach(fact.key + " was bound to " + before + " and then to " + after);
}

void Checkers::OnDeployment(const Fact& fact) {
  if (fact.deleted) {
    highest_.erase(fact.before->uid());
    return;
  }
  const auto& deployment = fact.after->As<Deployment>();
  const auto& status = deployment.status();
  const int replicas = deployment.spec().replicas();
  int& highest = highest_[fact.after->uid()];
  highest = std::max(highest, replicas);
  int asked = 0;
  for (const auto& [uid, count] : sets_[fact.after->uid()])
    asked += count;
  const bool settled = status.observed_generation() == deployment.metadata().generation() &&
                       status.replicas() == replicas && status.updated_replicas() == replicas &&
                       status.available_replicas() == replicas && asked == replicas;
  if (settled) highest = replicas;
}

void Checkers::OnReplicaSet(const Fact& fact) {
  if (fact.deleted) {
    sets_[OwnerOf(fact.before->meta())].erase(fact.before->uid());
    return;
  }
  const std::string owner = OwnerOf(fact.after->meta());
  if (owner.empty()) return;
  std::map<std::string, int>& sets = sets_[owner];
  sets[fact.after->uid()] = fact.after->As<ReplicaSet>().spec().replicas();
  int asked = 0;
  for (const auto& [uid, count] : sets)
    asked += count;
  for (const api::Ref<Deployment>& deployment :
       cluster_.truth().All<Deployment>(fact.after->ns())) {
    if (deployment->metadata().uid() != owner) continue;
    const int bound = highest_[owner] + SurgeOf(*deployment, highest_[owner]);
    if (asked > bound) {
      world_.Breach("the sets of deployment " + deployment->metadata().name() + " ask for " +
                    std::to_string(asked) + " pods where " + std::to_string(bound) +
                    " is the most");
    }
  }
}

void Checkers::OnCreate(const Machine& machine, const Container& container) {
  if (machine.CpuInUse() > machine.cpu_capacity()) {
    world_.Breach(machine.name() + " runs containers of " + std::to_string(machine.CpuInUse()) +
                  "m where it has " + std::to_string(machine.cpu_capacity()) + "m");
  }
  if (!HasIdentity(container)) return;
  for (const auto& agent : cluster_.agents()) {
    for (const auto& [id, other] : agent->machine().containers) {
      if (other.running() && other.pod == container.pod && other.pod_uid != container.pod_uid) {
        world_.Breach(container.pod + " starts on " + machine.name() + " while it still runs on " +
                      agent->name());
      }
    }
  }
}

void Checkers::LookAtFences() {
  const SteadyTime now = world_.env().Steady();
  for (const auto& agent : cluster_.agents()) {
    const Machine& machine = agent->machine();
    if (!agent->HasHadTimeToFence(now - kLastSignal * machine.slowness)) continue;
    for (const auto& [id, container] : machine.containers) {
      if (container.running() && HasIdentity(container))
        world_.Breach(agent->name() + " still runs " + container.pod + " after its lease");
    }
  }
  world_.After(kLook, [this] { LookAtFences(); });
}

}  // namespace gantry::sim
