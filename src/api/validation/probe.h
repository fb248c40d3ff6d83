#pragma once

#include "api/validation/container.h"

// Probes and lifecycle hooks.
namespace gantry::api::validation {

// All probes and hooks that a container may have.
void CheckProbesAndHooks(const Path& path, const core::v1::Container& container,
                         const PodContext& pod, Errors* errors);

}  // namespace gantry::api::validation
