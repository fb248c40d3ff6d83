#pragma once

#include <map>
#include <string_view>

#include "api/core/v1/volume.pb.h"
#include "api/validation/check.h"

// Volumes of pods.
namespace gantry::api::validation {

using VolumeMap = std::map<std::string_view, const core::v1::VolumeSource*>;

// Returns the valid ones by name. `pod_name` may be empty, as in a template; `is_pod` is false
// there.
VolumeMap CheckVolumes(const Path& path,
                       const google::protobuf::RepeatedPtrField<core::v1::Volume>& volumes,
                       std::string_view pod_name, bool is_pod, Errors* errors);

// Downward API references, which environment variables have too.
void CheckFieldRef(const Path& path, const core::v1::ObjectFieldSelector& selector, bool in_volume,
                   Errors* errors);
void CheckResourceFieldRef(const Path& path, const core::v1::ResourceFieldSelector& selector,
                           bool in_volume, Errors* errors);

}  // namespace gantry::api::validation
