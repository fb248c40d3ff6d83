#pragma once

#include <memory>

#include "apiserver/tunnel/mux.h"
#include "base/env/stream.h"

namespace gantry::apiserver::tunnel {

// The messages of a channel as one stream of bytes.
std::unique_ptr<Stream> MakeChannelStream(std::shared_ptr<Channel> channel);

// Copies both ways until both directions have ended or one has failed; then both are closed.
Task<> Splice(Env& env, std::shared_ptr<Channel> channel, std::shared_ptr<Stream> stream);

}  // namespace gantry::apiserver::tunnel
