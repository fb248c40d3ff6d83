#pragma once

#include <functional>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/status.h"

namespace gantry::net {

// Calls `changed` with the index of each interface of this namespace that appears, changes or goes,
// as the kernel tells; with 0 where it could not tell of all. Runs on `strand` until `cancel`; the
// calls must not block.
Task<Status> FollowLinks(Env& env, Executor strand, std::function<void(int link)> changed,
                         CancelToken cancel);

}  // namespace gantry::net
