#pragma once

#include <memory>
#include <string>

#include "apiserver/registry/registry.h"
#include "apiserver/rest/resource_handler.h"
#include "client/node_api.h"

namespace gantry::apiserver {

// What a kubelet would answer to the request for `path` (still encoded): its pages, and the logs
// of containers below /containerLogs/. `registry` outlives the response's stream.
Task<Response> AskKubelet(Registry& registry, std::shared_ptr<client::NodeApi> node,
                          std::string path, ResourceRequest request);

}  // namespace gantry::apiserver
