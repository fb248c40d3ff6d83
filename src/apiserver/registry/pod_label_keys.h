#pragma once

#include "api/core/v1/pod.pb.h"

namespace gantry::apiserver {

// Makes matchLabelKeys and mismatchLabelKeys of a new pod's affinity terms part of their selectors:
// "key in (the pod's value)" and "key notin (the pod's value)" for the keys that the pod has. Terms
// without a selector are left alone.
void MergeLabelKeys(api::core::v1::Pod* pod);

}  // namespace gantry::apiserver
