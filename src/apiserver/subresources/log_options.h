#pragma once

#include <string>

#include "api/core/v1/pod.pb.h"
#include "apiserver/query.h"
#include "base/env/time.h"
#include "client/node_api.h"

namespace gantry::apiserver {

// What a query asks of the log of a container of `pod` (empty: its only one). kInvalid and
// kBadRequest worded as kube-apiserver words them.
Result<client::LogOptions> ReadLogOptions(const Query& query, const api::core::v1::Pod& pod,
                                          std::string container, WallTime now);

}  // namespace gantry::apiserver
