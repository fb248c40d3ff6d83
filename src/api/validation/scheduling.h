#pragma once

#include "api/core/v1/affinity.pb.h"
#include "api/core/v1/selector.pb.h"
#include "api/validation/check.h"

// Affinity, tolerations, taints, spreading, node selectors.
namespace gantry::api::validation {

using Tolerations = google::protobuf::RepeatedPtrField<core::v1::Toleration>;

void CheckAffinity(const Path& path, const core::v1::Affinity& affinity, Errors* errors);
void CheckNodeSelector(const Path& path, const core::v1::NodeSelector& selector, Errors* errors);
void CheckNodeSelectorTerm(const Path& path, const core::v1::NodeSelectorTerm& term,
                           bool check_values, Errors* errors);
void CheckTolerations(const Path& path, const Tolerations& tolerations, Errors* errors);
// All that were there must still be there, but for their tolerationSeconds.
void CheckOnlyAddedTolerations(const Path& path, const Tolerations& tolerations,
                               const Tolerations& old, Errors* errors);
void CheckTaints(const Path& path,
                 const google::protobuf::RepeatedPtrField<core::v1::Taint>& taints, Errors* errors);
void CheckTopologySpread(
    const Path& path,
    const google::protobuf::RepeatedPtrField<core::v1::TopologySpreadConstraint>& constraints,
    Errors* errors);

}  // namespace gantry::api::validation
