#pragma once

#include <set>
#include <string>

#include "api/core/v1/pod.pb.h"
#include "api/validation/check.h"
#include "api/validation/volume.h"

// Containers of all three sorts.
namespace gantry::api::validation {

// What containers refer to in their pod.
struct PodContext {
  const core::v1::PodSpec& spec;
  VolumeMap volumes;
  std::set<std::string> claims;
  bool host_users = true;
  bool is_pod = false;  // not a template
};

void CheckContainers(const Path& path, const PodContext& pod, Errors* errors);
void CheckInitContainers(const Path& path, const PodContext& pod, Errors* errors);
void CheckEphemeralContainers(const Path& path, const PodContext& pod, Errors* errors);

bool IsRestartable(const core::v1::Container& init_container);

}  // namespace gantry::api::validation
