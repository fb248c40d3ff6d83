#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/env/env.h"
#include "client/client.h"
#include "scheduler/framework/pod_info.h"

namespace gantry::scheduler {

// What the scheduler writes to pods. Each is tried again when somebody else wrote meanwhile, and
// does nothing when the pod is gone or another one has its name. Threading: any strand.

// Why the pod has no node, for its status.
struct Unscheduled {
  std::string reason;  // "Unschedulable", "SchedulerError"
  std::string message;
  // The node where room is being made for it; empty: none any more; nullopt: as it is.
  std::optional<std::string> nominated_node;
};
Task<Status> WriteUnscheduled(client::Client& client, PodInfoPtr pod, Unscheduled why,
                              WallTime now);

// Takes back that room is being made for the pod.
Task<Status> ClearNomination(client::Client& client, PodInfoPtr pod);

// Tells a pod that it has to make room (condition DisruptionTarget), then deletes it with its own
// grace period. `scheduler` is the name of the preemptor's.
Task<Status> MakeRoom(client::Client& client, PodInfoPtr victim, std::string scheduler,
                      WallTime now);

Task<Status> WriteBinding(client::Client& client, PodInfoPtr pod, std::string node);

}  // namespace gantry::scheduler
