#pragma once

#include <string>
#include <string_view>

#include "api/json_value.h"
#include "base/status.h"

namespace gantry::cli {

struct RolloutProgress {
  std::string message;  // with its line break
  bool done = false;
};

// What kubectl rollout status says of a Deployment, DaemonSet or StatefulSet. `revision` > 0: the
// revision that is waited for. Fails when the rollout cannot end by itself.
Result<RolloutProgress> ProgressOf(const api::JsonValue& object, int64_t revision = 0);

}  // namespace gantry::cli
