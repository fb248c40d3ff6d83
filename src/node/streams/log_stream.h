#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/stream.h"
#include "client/node_api.h"

namespace gantry::node {

// One container's log as its reader wants it: from the beginning, the last lines, or a point in
// time; plain or with times; to its end or on and on (over rotations) while `alive` says so. Only
// Read and Close work. `env` outlives it. kNotFound when the log is not there.
Result<std::unique_ptr<Stream>> OpenLogStream(Env& env, Executor executor, std::string path,
                                              client::LogOptions options,
                                              std::function<bool()> alive, CancelToken cancel);

}  // namespace gantry::node
