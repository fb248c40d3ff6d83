#pragma once

#include <optional>
#include <string>

#include "api/apps/v1/deployment.pb.h"
#include "base/env/time.h"
#include "controllers/deployment/revisions.h"

namespace gantry::controllers {

using DeploymentCondition = api::apps::v1::DeploymentCondition;

const DeploymentCondition* FindCondition(const api::apps::v1::DeploymentStatus& status,
                                         std::string_view type);

// Sets the condition; its transition time stays when the status does, and nothing changes when
// status and reason are the same.
void SetCondition(api::apps::v1::DeploymentStatus* status, std::string_view type,
                  std::string_view value, std::string_view reason, std::string message,
                  WallTime now);
void RemoveCondition(api::apps::v1::DeploymentStatus* status, std::string_view type);

bool IsComplete(const api::apps::v1::Deployment& deployment,
                const api::apps::v1::DeploymentStatus& status);
bool HasProgressDeadline(const api::apps::v1::Deployment& deployment);

// Counts, Available, Progressing and ReplicaFailure from the sets as they are. `requeue` is set to
// when the progress deadline has to be looked at again. `rolling` is false for a paused or scaling
// deployment, whose progress is not judged.
api::apps::v1::DeploymentStatus ComputeStatus(const api::apps::v1::Deployment& deployment,
                                              const Revisions& revisions, bool rolling,
                                              WallTime now, std::optional<Duration>* requeue);

}  // namespace gantry::controllers
