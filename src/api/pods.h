#pragma once

#include <string_view>

#include "api/core/v1/pod.pb.h"
#include "base/env/time.h"

namespace gantry::api {

// Null when the pod has no such condition.
const core::v1::PodCondition* FindCondition(const core::v1::PodStatus& status,
                                            std::string_view type);

// Succeeded or Failed: it will not run again.
bool IsTerminal(const core::v1::Pod& pod);
// Neither terminal nor being deleted: what controllers count.
bool IsActive(const core::v1::Pod& pod);
bool IsReady(const core::v1::Pod& pod);
// Ready for at least `min_ready_seconds`.
bool IsAvailable(const core::v1::Pod& pod, int32_t min_ready_seconds, WallTime now);
// When it last became ready (the zero time when it is not).
WallTime ReadySince(const core::v1::Pod& pod);
// Restarts of the container that restarted most.
int32_t MaxRestarts(const core::v1::Pod& pod);

}  // namespace gantry::api
