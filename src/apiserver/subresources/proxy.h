#pragma once

#include "apiserver/registry/registry.h"
#include "apiserver/rest/resource_handler.h"
#include "client/node_api.h"

namespace gantry::apiserver {

// pods/proxy, services/proxy and nodes/proxy: passes the HTTP request on, dialled from the node
// where the target is, and its answer back. Plain HTTP only. A node without a port is its agent,
// which answers as a kubelet. `registry` and `nodes` (may be null) outlive the response's stream.
Task<Response> ServeProxy(Registry& registry, client::NodeDirectory* nodes, const ResourceRow& row,
                          ResourceRequest request);

}  // namespace gantry::apiserver
