#pragma once

#include <string>

#include "api/core/v1/container.pb.h"
#include "api/core/v1/probe.pb.h"
#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/status.h"
#include "node/runtime/runtime.h"

namespace gantry::node {

// The container that a probe or hook is about.
struct HandlerTarget {
  HandlerTarget() = default;
  std::string id, bundle, pod_ip;
  std::string pod;                     // "name_namespace(uid)", for messages
  api::core::v1::Container container;  // for named ports
};

struct ProbeAnswer {
  enum class Kind : uint8_t { kSuccess, kFailure, kUnknown };
  Kind kind = Kind::kUnknown;
  std::string message;  // of a failure, as the kubelet's event shows it
};

// One question to a container. kUnknown: it could not be asked.
Task<ProbeAnswer> AskOnce(Env& env, Runtime& runtime, api::core::v1::ProbeHandler handler,
                          HandlerTarget target, Duration timeout, CancelToken cancel);

// A postStart or preStop hook. Returns at the latest when `limit` has passed. Errors say which hook
// of which container failed, as a container's status shows it.
Task<Status> RunLifecycleHandler(Env& env, Runtime& runtime,
                                 api::core::v1::LifecycleHandler handler, HandlerTarget target,
                                 Duration limit, CancelToken cancel);

}  // namespace gantry::node
