#include "controllers/deployment/rollout.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace gantry::controllers {
namespace {

using api::apps::v1::Deployment;
using api::apps::v1::ReplicaSet;

template <class Count>
int Sum(const std::vector<SetRef>& sets, Count count) {
  int sum = 0;
  for (const SetRef& set : sets)
    sum += count(*set);
  return sum;
}

std::vector<SetRef> WithReplicas(const std::vector<SetRef>& sets) {
  std::vector<SetRef> active;
  for (const SetRef& set : sets) {
    if (set->spec().replicas() > 0) active.push_back(set);
  }
  return active;
}

int MaxReplicasOf(const ReplicaSet& set) {
  auto it = set.metadata().annotations().find(kMaxReplicasAnnotation);
  int max = 0;
  if (it != set.metadata().annotations().end()) {
    std::from_chars(it->second.data(), it->second.data() + it->second.size(), max);
  }
  return max;
}

// Shrinks the old sets: first what is broken anyway, then what availability can spare.
std::vector<Resize> ShrinkOld(const Deployment& deployment, const Revisions& revisions) {
  std::vector<Resize> steps;
  const int old_total = TotalReplicas(revisions.old);
  if (old_total == 0) return steps;
  const std::vector<SetRef> all = revisions.All();
  const int min_available = deployment.spec().replicas() - MaxUnavailable(deployment);
  const int current_wanted = revisions.current->spec().replicas();
  const int current_unavailable = current_wanted - revisions.current->status().available_replicas();
  int budget = TotalReplicas(all) - min_available - current_unavailable;
  if (budget <= 0) return steps;

  std::map<std::string, int> wanted;
  for (const SetRef& set : revisions.old)
    wanted[set->metadata().name()] = set->spec().replicas();
  for (const SetRef& set : revisions.old) {
    int& replicas = wanted[set->metadata().name()];
    const int unhealthy = replicas - set->status().available_replicas();
    const int take = std::clamp(unhealthy, 0, budget);
    replicas -= take;
    budget -= take;
  }
  // Availability counts what is there now, so what was just taken (unavailable pods) does not lower
  // it. A set that has been told to shrink may still report what it is about to lose.
  int spare = Sum(all,
                  [](const ReplicaSet& set) {
                    return std::min(set.status().available_replicas(), set.spec().replicas());
                  }) -
              min_available;
  for (const SetRef& set : revisions.old) {
    int& replicas = wanted[set->metadata().name()];
    const int take = std::clamp(spare, 0, replicas);
    replicas -= take;
    spare -= take;
  }
  for (const SetRef& set : revisions.old) {
    const int replicas = wanted[set->metadata().name()];
    if (replicas != set->spec().replicas()) steps.push_back({set, replicas});
  }
  return steps;
}

}  // namespace

int TotalReplicas(const std::vector<SetRef>& sets) {
  return Sum(sets, [](const ReplicaSet& set) { return set.spec().replicas(); });
}
int ActualReplicas(const std::vector<SetRef>& sets) {
  return Sum(sets, [](const ReplicaSet& set) { return set.status().replicas(); });
}
int AvailableReplicas(const std::vector<SetRef>& sets) {
  return Sum(sets, [](const ReplicaSet& set) { return set.status().available_replicas(); });
}
int ReadyReplicas(const std::vector<SetRef>& sets) {
  return Sum(sets, [](const ReplicaSet& set) { return set.status().ready_replicas(); });
}

int CurrentSetReplicas(const Deployment& deployment, const std::vector<SetRef>& sets,
                       int current_replicas) {
  const int wanted = deployment.spec().replicas();
  if (deployment.spec().strategy().type() != "RollingUpdate") return wanted;
  const int room = wanted + MaxSurge(deployment) - TotalReplicas(sets);
  if (room <= 0) return current_replicas;
  return std::max(current_replicas, std::min(current_replicas + room, wanted));
}

std::vector<Resize> RollingStep(const Deployment& deployment, const Revisions& revisions) {
  const int current = revisions.current->spec().replicas();
  int wanted = deployment.spec().replicas();
  if (current < wanted) wanted = CurrentSetReplicas(deployment, revisions.All(), current);
  if (current != wanted) return {{revisions.current, wanted}};
  return ShrinkOld(deployment, revisions);
}

bool IsScalingEvent(const Deployment& deployment, const Revisions& revisions) {
  for (const SetRef& set : WithReplicas(revisions.All())) {
    const int desired = DesiredReplicasOf(*set);
    if (desired >= 0 && desired != deployment.spec().replicas()) return true;
  }
  return false;
}

std::vector<Resize> ScalingStep(const Deployment& deployment, const Revisions& revisions) {
  const int wanted = deployment.spec().replicas();
  const std::vector<SetRef> active = WithReplicas(revisions.All());
  if (active.size() <= 1) {
    // Nothing active: the current set, or the newest old one.
    SetRef only = !active.empty() ? active.front() : revisions.current;
    if (!only && !revisions.old.empty()) only = revisions.old.back();
    if (!only || (only->spec().replicas() == wanted && DesiredReplicasOf(*only) == wanted))
      return {};
    return {{only, wanted}};
  }
  if (revisions.current && revisions.current->spec().replicas() == wanted &&
      DesiredReplicasOf(*revisions.current) == wanted &&
      revisions.current->status().available_replicas() == wanted) {
    // The rollout is over but for old sets that still hold pods.
    std::vector<Resize> steps;
    for (const SetRef& set : WithReplicas(revisions.old))
      steps.push_back({set, 0});
    return steps;
  }
  if (deployment.spec().strategy().type() != "RollingUpdate") return {};

  const int allowed = wanted > 0 ? wanted + MaxSurge(deployment) : 0;
  int to_add = allowed - TotalReplicas(active);
  std::vector<SetRef> order = active;
  // Largest first; among equals the newest first when growing, the oldest first when shrinking.
  std::sort(order.begin(), order.end(), [&](const SetRef& a, const SetRef& b) {
    if (a->spec().replicas() != b->spec().replicas())
      return a->spec().replicas() > b->spec().replicas();
    return to_add > 0 ? IsOlder(*b, *a) : IsOlder(*a, *b);
  });
  std::vector<Resize> steps;
  int added = 0;
  for (const SetRef& set : order) {
    const int size = set->spec().replicas();
    int share = 0;
    if (to_add != 0 && added != to_add) {
      const int annotated = MaxReplicasOf(*set);
      const int base = annotated > 0 ? annotated : std::max(1, deployment.status().replicas());
      share = static_cast<int>(std::lround(double{1} * size * allowed / base)) - size;
      const int left = to_add - added;
      share = to_add > 0 ? std::clamp(share, 0, left) : std::clamp(share, left, 0);
      added += share;
    }
    steps.push_back({set, size + share});
  }
  if (!steps.empty() && added != to_add) {
    steps.front().replicas = std::max(0, steps.front().replicas + to_add - added);
  }
  return steps;
}

}  // namespace gantry::controllers
