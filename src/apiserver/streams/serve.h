#pragma once

#include <memory>
#include <string>

#include "apiserver/http/handler.h"
#include "base/env/env.h"
#include "base/status.h"
#include "client/node_api.h"

// exec, attach and port-forward as kubectl and the client libraries speak them: the channel
// protocols over WebSocket (v5, v4 and the older ones), SPDY/3.1, and SPDY inside of a WebSocket.
namespace gantry::apiserver::streams {

// kBadRequest "Upgrade request required" when the request does not ask for a protocol above. To be
// called before anything is started on the node.
Status CheckUpgrade(const Request& request);

// The answer that connects the client with `session`. `options` says which streams the client asked
// for. When the protocols have no version in common: kForbidden or kBadRequest, as kubelet answers;
// the session is closed then.
Result<Response> ServeExec(Env& env, const Request& request, const client::ExecOptions& options,
                           std::unique_ptr<client::ExecSession> session);

struct ForwardTarget {
  ForwardTarget() = default;
  std::shared_ptr<client::NodeApi> node;
  std::string ns, pod, uid;
};
// The answer that forwards ports of a pod. For the plain WebSocket protocol the ports stand in the
// query
// (`ports=80&ports=443`).
Result<Response> ServePortForward(Env& env, const Request& request, ForwardTarget target);

}  // namespace gantry::apiserver::streams
