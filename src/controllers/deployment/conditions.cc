#include "controllers/deployment/conditions.h"

#include <algorithm>
#include <limits>

#include "api/duration.h"
#include "controllers/deployment/rollout.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::Deployment;
using api::apps::v1::DeploymentStatus;

constexpr char kProgressing[] = "Progressing";

DeploymentStatus Count(const Deployment& deployment, const Revisions& revisions, WallTime now) {
  const std::vector<SetRef> all = revisions.All();
  const int available = AvailableReplicas(all);
  DeploymentStatus status = deployment.status();
  status.set_observed_generation(deployment.metadata().generation());
  status.set_replicas(ActualReplicas(all));
  status.set_updated_replicas(revisions.current ? revisions.current->status().replicas() : 0);
  status.set_ready_replicas(ReadyReplicas(all));
  status.set_available_replicas(available);
  status.set_unavailable_replicas(std::max(0, TotalReplicas(all) - available));
  int terminating = 0;
  for (const SetRef& set : all)
    terminating += set->status().terminating_replicas();
  status.set_terminating_replicas(terminating);
  if (available >= deployment.spec().replicas() - MaxUnavailable(deployment)) {
    SetCondition(&status, "Available", "True", "MinimumReplicasAvailable",
                 "Deployment has minimum availability.", now);
  } else {
    SetCondition(&status, "Available", "False", "MinimumReplicasUnavailable",
                 "Deployment does not have minimum availability.", now);
  }
  return status;
}

bool IsProgressing(const Deployment& deployment, const DeploymentStatus& next) {
  const DeploymentStatus& last = deployment.status();
  return next.updated_replicas() > last.updated_replicas() ||
         next.replicas() - next.updated_replicas() < last.replicas() - last.updated_replicas() ||
         next.ready_replicas() > last.ready_replicas() ||
         next.available_replicas() > last.available_replicas();
}

// The moment from which the progress deadline counts.
std::optional<WallTime> LastProgress(const DeploymentStatus& status) {
  const DeploymentCondition* condition = FindCondition(status, kProgressing);
  if (condition == nullptr || condition->reason() == "NewReplicaSetAvailable") return std::nullopt;
  return api::ToWallTime(condition->last_update_time());
}

void JudgeProgress(const Deployment& deployment, const Revisions& revisions,
                   DeploymentStatus* status, WallTime now, std::optional<Duration>* requeue) {
  const DeploymentCondition* before = FindCondition(deployment.status(), kProgressing);
  const bool was_complete = status->replicas() == status->updated_replicas() && before &&
                            before->reason() == "NewReplicaSetAvailable";
  if (was_complete) return;
  const std::string who = revisions.current
                              ? "ReplicaSet \"" + revisions.current->metadata().name() + "\""
                              : "Deployment \"" + deployment.metadata().name() + "\"";
  const auto deadline = std::chrono::seconds(deployment.spec().progress_deadline_seconds());
  if (IsComplete(deployment, *status)) {
    SetCondition(status, kProgressing, "True", "NewReplicaSetAvailable",
                 who + " has successfully progressed.", now);
    return;
  }
  if (IsProgressing(deployment, *status)) {
    // Every step forward moves the last update, from which the deadline counts; the transition time
    // stays.
    std::optional<api::meta::v1::Time> transition;
    if (before && before->status() == "True") transition = before->last_transition_time();
    RemoveCondition(status, kProgressing);
    SetCondition(status, kProgressing, "True", "ReplicaSetUpdated", who + " is progressing.", now);
    if (transition) {
      *status->mutable_conditions(status->conditions_size() - 1)->mutable_last_transition_time() =
          *transition;
    }
  } else if (before == nullptr && revisions.current) {
    SetCondition(status, kProgressing, "True", "FoundNewReplicaSet",
                 "Found new replica set \"" + revisions.current->metadata().name() + "\"", now);
  } else if (std::optional<WallTime> last = LastProgress(deployment.status())) {
    if (before->reason() == "ProgressDeadlineExceeded") return;
    if (*last + deadline < now) {
      SetCondition(status, kProgressing, "False", "ProgressDeadlineExceeded",
                   who + " has timed out progressing.", now);
      return;
    }
  }
  if (std::optional<WallTime> last = LastProgress(*status)) {
    *requeue = std::max<Duration>(std::chrono::seconds(1),
                                  *last + deadline - now + std::chrono::seconds(1));
  }
}

// The first failure that a set tells of, the current one first, as a condition of the deployment.
void ShowFailure(const Revisions& revisions, DeploymentStatus* status) {
  std::vector<SetRef> sets = revisions.old;
  if (revisions.current) sets.insert(sets.begin(), revisions.current);
  for (const SetRef& set : sets) {
    for (const auto& failure : set->status().conditions()) {
      if (failure.type() != "ReplicaFailure") continue;
      SetCondition(status, failure.type(), failure.status(), failure.reason(), failure.message(),
                   api::ToWallTime(failure.last_transition_time()));
      return;
    }
  }
  RemoveCondition(status, "ReplicaFailure");
}

}  // namespace

const DeploymentCondition* FindCondition(const DeploymentStatus& status, std::string_view type) {
  for (const DeploymentCondition& condition : status.conditions()) {
    if (condition.type() == type) return &condition;
  }
  return nullptr;
}

void RemoveCondition(DeploymentStatus* status, std::string_view type) {
  auto* conditions = status->mutable_conditions();
  for (int i = conditions->size() - 1; i >= 0; --i) {
    if (conditions->Get(i).type() == type) conditions->DeleteSubrange(i, 1);
  }
}

void SetCondition(DeploymentStatus* status, std::string_view type, std::string_view value,
                  std::string_view reason, std::string message, WallTime now) {
  DeploymentCondition next;
  next.set_type(std::string(type));
  next.set_status(std::string(value));
  next.set_reason(std::string(reason));
  next.set_message(std::move(message));
  api::SetTime(now, next.mutable_last_update_time());
  api::SetTime(now, next.mutable_last_transition_time());
  if (const DeploymentCondition* had = FindCondition(*status, type)) {
    if (had->status() == value && had->reason() == reason) return;
    if (had->status() == value) *next.mutable_last_transition_time() = had->last_transition_time();
  }
  RemoveCondition(status, type);
  *status->add_conditions() = std::move(next);
}

bool IsComplete(const Deployment& deployment, const DeploymentStatus& status) {
  const int wanted = deployment.spec().replicas();
  return status.updated_replicas() == wanted && status.replicas() == wanted &&
         status.available_replicas() == wanted &&
         status.observed_generation() >= deployment.metadata().generation();
}

bool HasProgressDeadline(const Deployment& deployment) {
  return deployment.spec().has_progress_deadline_seconds() &&
         deployment.spec().progress_deadline_seconds() != std::numeric_limits<int32_t>::max();
}

DeploymentStatus ComputeStatus(const Deployment& deployment, const Revisions& revisions,
                               bool rolling, WallTime now, std::optional<Duration>* requeue) {
  DeploymentStatus status = Count(deployment, revisions, now);
  if (!rolling) return status;
  if (!HasProgressDeadline(deployment)) {
    RemoveCondition(&status, kProgressing);
  } else {
    JudgeProgress(deployment, revisions, &status, now, requeue);
  }
  ShowFailure(revisions, &status);
  return status;
}

}  // namespace gantry::controllers
