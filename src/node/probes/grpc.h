#pragma once

#include <string>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/status.h"

namespace gantry::node {

// What a gRPC server says of the health of one of its services (grpc.health.v1).
struct GrpcHealth {
  GrpcHealth() = default;
  bool connected = false;  // the server has spoken HTTP/2
  int code = 0;            // of gRPC; 0: there is an answer
  std::string message;     // with another code
  int health = 0;          // of the answer; 1 is SERVING
};

// "NotFound" for 5; "Code(99)" for what is unknown.
std::string GrpcCodeName(int code);
inline constexpr int kGrpcOk = 0, kGrpcDeadlineExceeded = 4, kGrpcUnimplemented = 12;

// Asks once, without TLS. What goes wrong on the way is a code, as gRPC's clients give it.
Task<GrpcHealth> AskGrpcHealth(Env& env, std::string host, uint16_t port, std::string service,
                               std::string user_agent, Duration timeout, CancelToken cancel);

}  // namespace gantry::node
