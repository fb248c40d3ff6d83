#pragma once

#include <memory>
#include <string>

#include "apiserver/http/handler.h"
#include "apiserver/rest/resource_handler.h"
#include "base/env/stream.h"

namespace gantry::apiserver {

// Passes an HTTP request on over a connection and its answer back, as the proxy subresources do.
struct Forward {
  Forward() = default;
  ResourceRequest request;
  std::unique_ptr<Stream> connection;
  std::string host;    // whom it leads to: "10.42.0.7:8080"
  std::string prefix;  // what of the request's path is ours; the rest is asked for
};

// Fields that belong to one connection, or prove to us who the client is, are left out, and what
// the answer says of where to go (Location) leads through us again. A request to change the
// protocol (WebSocket and others) is passed on, and once the other side agrees, the bytes of both.
// kServiceUnavailable as a metav1.Status where the other side does not answer.
Task<Response> ForwardHttp(Env& env, Forward forward);

// All that a stream gives, as a response's body.
Task<void> CopyToBody(BodyWriter& writer, std::shared_ptr<Stream> stream);

}  // namespace gantry::apiserver
