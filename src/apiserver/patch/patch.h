#pragma once

#include <string_view>

#include "api/json_value.h"
#include "base/status.h"

namespace google::protobuf {
class Descriptor;
}

namespace gantry::apiserver {

// Changes to a JSON document as PATCH requests carry them. Failures are worded, and have the
// reason, as kube-apiserver answers them. Hostile patches are safe: what they can add is bounded by
// their own size and, for JSON patch, by the limits below.

// Most operations that one JSON patch may have, and the most bytes that all of its copies may add.
inline constexpr size_t kMaxJsonPatchOperations = 10'000;
inline constexpr size_t kMaxJsonPatchCopyBytes = 3 * 1024 * 1024;

// RFC 6902 (application/json-patch+json), with negative array indexes counted from the end as
// Kubernetes admits them. kBadRequest where `patch` is no JSON patch, kRequestEntityTooLarge above
// the limit, kInvalid where it does not apply.
Result<api::JsonValue> JsonPatch(api::JsonValue document, std::string_view patch);

// RFC 7386 (application/merge-patch+json).
api::JsonValue MergePatch(api::JsonValue document, const api::JsonValue& patch);

// application/strategic-merge-patch+json with all of its directives; merge keys and strategies are
// those that `type` declares.
Result<api::JsonValue> StrategicMergePatch(const google::protobuf::Descriptor* type,
                                           api::JsonValue document, const api::JsonValue& patch);

}  // namespace gantry::apiserver
