#pragma once

#include "api/core/v1/persistent_volume.pb.h"
#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/validation/check.h"

// Specs of volumes and claims, also where other kinds embed them.
namespace gantry::api::validation {

void CheckClaimSpec(const Path& path, const core::v1::PersistentVolumeClaimSpec& spec,
                    Errors* errors);
// `inlined`: as a VolumeAttachment carries it.
void CheckVolumeSpec(const Path& path, const core::v1::PersistentVolumeSpec& spec, bool inlined,
                     Errors* errors);

}  // namespace gantry::api::validation
