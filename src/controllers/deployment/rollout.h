#pragma once

#include "client/reconciler.h"
#include "controllers/deployment/revisions.h"

namespace gantry::controllers {

// The arithmetic of rollouts: which replica set is scaled to what. Pure functions: tests are
// tables.

struct Resize {
  SetRef set;
  int replicas = 0;
};

// How many replicas the set of the current template should have now. `sets` are all of the
// deployment's.
int CurrentSetReplicas(const api::apps::v1::Deployment& deployment, const std::vector<SetRef>& sets,
                       int current_replicas);

// One step of a rolling update: grow the current set, or else shrink the old ones as far as
// availability allows.
std::vector<Resize> RollingStep(const api::apps::v1::Deployment& deployment,
                                const Revisions& revisions);

// Follows a changed spec.replicas (or a paused deployment): the only set with pods gets all of it,
// several share it in proportion to their size.
std::vector<Resize> ScalingStep(const api::apps::v1::Deployment& deployment,
                                const Revisions& revisions);

// True when a set was last sized for another spec.replicas than the deployment's.
bool IsScalingEvent(const api::apps::v1::Deployment& deployment, const Revisions& revisions);

int TotalReplicas(const std::vector<SetRef>& sets);   // wanted
int ActualReplicas(const std::vector<SetRef>& sets);  // observed
int AvailableReplicas(const std::vector<SetRef>& sets);
int ReadyReplicas(const std::vector<SetRef>& sets);

}  // namespace gantry::controllers
