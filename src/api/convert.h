#pragma once

#include <memory>

#include "base/status.h"

namespace google::protobuf {
class Message;
}

namespace gantry::api {

struct KindInfo;

// The object in another version of its kind: core/v1 and events.k8s.io/v1 Event, autoscaling/v1 and
// v2 HorizontalPodAutoscaler; a copy where the version is the same. Nothing is lost on the way
// there and back. kInternalError where there is no such conversion.
Result<std::unique_ptr<google::protobuf::Message>> ConvertTo(
    const KindInfo& kind, const google::protobuf::Message& object);

}  // namespace gantry::api
