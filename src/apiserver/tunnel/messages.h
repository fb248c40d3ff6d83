#pragma once

#include "apiserver/tunnel/tunnel.pb.h"
#include "base/status.h"
#include "client/node_api.h"

// Between the tunnel's messages and the types of NodeApi.
namespace gantry::apiserver::tunnel {

void ToMessage(const client::LogOptions& options, Logs* out);
client::LogOptions FromMessage(const Logs& message);
void ToMessage(const client::ExecOptions& options, Exec* out);
client::ExecOptions FromMessage(const Exec& message);
Reply ToReply(const Status& status);
Status FromReply(const Reply& reply);

}  // namespace gantry::apiserver::tunnel
