#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/batch/v1/job.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/object.h"
#include "base/env/time.h"
#include "controllers/job/indexes.h"

namespace gantry::controllers {

// What has become of a job's pods.
//
// The end of a pod is counted in three steps, so that a controller that is killed between them
// counts it neither twice nor not at all: its uid is written to the status
// (uncountedTerminatedPods); its finalizer is taken away; once that is seen, the status counts it
// and forgets the uid. Successes of an indexed job need no uid: its completed indexes are a set.
struct Tally {
  api::batch::v1::JobStatus status;  // with everything counted that can be
  std::vector<api::Ref<api::core::v1::Pod>> active;
  std::vector<api::Ref<api::core::v1::Pod>> release;  // finalizers to take away after the status
  int terminating = 0;
  int succeeded = 0;  // those that the status is still to count included
  int failed = 0;
  IndexSet completed, failed_indexes;
  std::map<int, int> failures;  // by index, with backoffLimitPerIndex
  std::string fail_message;     // a failure that fails the job by its policy; else empty
  // Failures since the last success, for the back-off: how many, and when the last one was. By
  // index with backoffLimitPerIndex, else under -1.
  struct Streak {
    int failures = 0;
    WallTime last;
  };
  std::map<int, Streak> streaks;

  bool settled() const {
    return status.uncounted_terminated_pods().succeeded().empty() &&
           status.uncounted_terminated_pods().failed().empty();
  }
};

Tally CountPods(const api::batch::v1::Job& job,
                const std::vector<api::Ref<api::core::v1::Pod>>& pods);

}  // namespace gantry::controllers
