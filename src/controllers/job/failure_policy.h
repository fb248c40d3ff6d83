#pragma once

#include <string>

#include "api/batch/v1/job.pb.h"
#include "api/core/v1/pod.pb.h"

namespace gantry::controllers {

// What a job's podFailurePolicy makes of a failed pod.
struct FailureVerdict {
  enum class Action : uint8_t { kCount, kIgnore, kFailIndex, kFailJob };
  Action action = Action::kCount;
  std::string message;  // of kFailJob: which rule, and why
};

// By the first rule that fits; pods that none fits are counted.
FailureVerdict JudgeFailure(const api::batch::v1::PodFailurePolicy& policy,
                            const api::core::v1::Pod& pod);

}  // namespace gantry::controllers
