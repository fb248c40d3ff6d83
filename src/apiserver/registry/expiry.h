#pragma once

#include "apiserver/registry/registry.h"

namespace gantry::apiserver {

// Removes objects of kinds that have a time to live (events) once it has passed since their last
// write, until cancelled. `registry` outlives it.
Task<> ExpireObjects(Registry& registry, CancelToken cancel);

}  // namespace gantry::apiserver
