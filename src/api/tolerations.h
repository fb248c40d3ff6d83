#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"

namespace gantry::api {

bool Tolerates(const core::v1::Toleration& toleration, const core::v1::Taint& taint);

// The first toleration that admits the taint; null where none does.
const core::v1::Toleration* FindToleration(
    const google::protobuf::RepeatedPtrField<core::v1::Toleration>& tolerations,
    const core::v1::Taint& taint);

// The first taint that keeps the pod away (NoSchedule or NoExecute); null where none does.
const core::v1::Taint* FindUntolerated(
    const google::protobuf::RepeatedPtrField<core::v1::Taint>& taints,
    const google::protobuf::RepeatedPtrField<core::v1::Toleration>& tolerations);

}  // namespace gantry::api
