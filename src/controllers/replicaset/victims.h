#pragma once

#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/object.h"
#include "base/env/time.h"

namespace gantry::controllers {

// The `count` pods that a scale-down takes first: not scheduled, then pending, not ready, cheapest
// by the controller.kubernetes.io/pod-deletion-cost annotation, on the most crowded node, ready for
// the shortest (in powers of ten), restarted most, youngest.
std::vector<api::Ref<api::core::v1::Pod>> ChooseVictims(
    std::vector<api::Ref<api::core::v1::Pod>> pods, size_t count, WallTime now);

}  // namespace gantry::controllers
