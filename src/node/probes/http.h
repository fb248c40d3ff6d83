#pragma once

#include <string>

#include "api/core/v1/probe.pb.h"
#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/status.h"

namespace gantry::node {

// The status code of one GET, as probes and hooks make it: certificates are not looked at,
// redirects not followed. Errors are worded as Go's HTTP client words them.
Task<Result<int>> HttpStatusOf(Env& env, api::core::v1::HTTPGetAction action, std::string host,
                               uint16_t port, Duration timeout, CancelToken cancel,
                               std::string user_agent);

}  // namespace gantry::node
