#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Removes pods that nobody else will: those bound to a node that is gone, those that were deleted
// before they were scheduled, and the oldest terminated ones beyond `terminated_limit`.
std::unique_ptr<client::Reconciler> MakePodGarbageCollector(int terminated_limit = 12500);

}  // namespace gantry::controllers
