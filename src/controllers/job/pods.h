#pragma once

#include <optional>
#include <string>

#include "api/batch/v1/job.pb.h"
#include "api/core/v1/pod.pb.h"
#include "base/env/time.h"

namespace gantry::controllers {

// The pods of a job.

// Keeps a pod until its end is counted.
inline constexpr char kTrackingFinalizer[] = "batch.kubernetes.io/job-tracking";

bool IsIndexed(const api::batch::v1::Job& job);
// A pod that is asked to end stands in for no other until it has ended.
bool ReplacesOnlyEnded(const api::batch::v1::Job& job);

// A pod of the job's template, named by the server; of an indexed job the one with this index,
// after `failures` earlier ones.
api::core::v1::Pod MakeJobPod(const api::batch::v1::Job& job, std::optional<int> index,
                              int failures);

// nullopt where the pod has none.
std::optional<int> IndexOf(const api::core::v1::Pod& pod);
// How many pods with the same index failed before this one.
int EarlierFailures(const api::core::v1::Pod& pod);
bool IsTracked(const api::core::v1::Pod& pod);
// When the last of its containers ended, or else it was deleted.
WallTime FinishTime(const api::core::v1::Pod& pod);

}  // namespace gantry::controllers
