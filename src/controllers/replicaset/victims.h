#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/object.h"
#include "base/env/time.h"

namespace gantry::controllers {

// The `count` pods that a scale-down takes first: not scheduled, then pending, not ready, cheapest
// by the controller.kubernetes.io/pod-deletion-cost annotation, on the most crowded node (`crowd`:
// pods by node name), ready for the shortest (in powers of two), restarted most, youngest.
std::vector<api::Ref<api::core::v1::Pod>> ChooseVictims(
    std::vector<api::Ref<api::core::v1::Pod>> pods, size_t count,
    const std::map<std::string, int>& crowd, WallTime now);

}  // namespace gantry::controllers
