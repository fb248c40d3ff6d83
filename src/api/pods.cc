#include "api/pods.h"

#include <algorithm>

#include "api/duration.h"

namespace gantry::api {

const core::v1::PodCondition* FindCondition(const core::v1::PodStatus& status,
                                            std::string_view type) {
  for (const core::v1::PodCondition& condition : status.conditions()) {
    if (condition.type() == type) return &condition;
  }
  return nullptr;
}

bool IsTerminal(const core::v1::Pod& pod) {
  return pod.status().phase() == "Succeeded" || pod.status().phase() == "Failed";
}

bool IsActive(const core::v1::Pod& pod) {
  return !IsTerminal(pod) && !pod.metadata().has_deletion_timestamp();
}

bool IsReady(const core::v1::Pod& pod) {
  const core::v1::PodCondition* ready = FindCondition(pod.status(), "Ready");
  return ready != nullptr && ready->status() == "True";
}

WallTime ReadySince(const core::v1::Pod& pod) {
  const core::v1::PodCondition* ready = FindCondition(pod.status(), "Ready");
  if (ready == nullptr || ready->status() != "True") return WallTime();
  return ToWallTime(ready->last_transition_time());
}

bool IsAvailable(const core::v1::Pod& pod, int32_t min_ready_seconds, WallTime now) {
  if (!IsReady(pod)) return false;
  if (min_ready_seconds == 0) return true;
  const WallTime since = ReadySince(pod);
  return since != WallTime() && since + std::chrono::seconds(min_ready_seconds) <= now;
}

int32_t MaxRestarts(const core::v1::Pod& pod) {
  int32_t most = 0;
  for (const core::v1::ContainerStatus& status : pod.status().container_statuses()) {
    most = std::max(most, status.restart_count());
  }
  return most;
}

}  // namespace gantry::api
