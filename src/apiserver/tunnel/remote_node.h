#pragma once

#include <memory>

#include "client/node_api.h"

namespace gantry::apiserver::tunnel {

class Mux;

// The node at the other end of a tunnel. Its calls fail with kUnavailable once the tunnel is lost.
std::shared_ptr<client::NodeApi> MakeRemoteNode(std::shared_ptr<Mux> mux);

}  // namespace gantry::apiserver::tunnel
