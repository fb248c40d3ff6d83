#pragma once

#include <memory>
#include <string_view>

#include "api/json_value.h"
#include "api/kinds.h"
#include "base/env/time.h"
#include "base/status.h"

namespace google::protobuf {
class Message;
}

namespace gantry::apiserver {

// Who set which field of an object (metadata.managedFields), and server-side apply.

// After a create (`before` null), update or patch: brings metadata.managedFields of `after` up to
// date, so that the entry of `manager` (operation Update) has what changed and no entry has what is
// gone. Managed fields that the client sent are taken over; where it sent none, those of `before`
// stay; a single empty entry resets them, and from then on nothing is tracked until the next apply.
// Called on every write.
void UpdateManagedFields(const api::KindInfo& kind, const google::protobuf::Message* before,
                         google::protobuf::Message* after, std::string_view manager,
                         std::string_view subresource, WallTime now);

// Server-side apply: `live` (null: the object is created) with what `applied` says, without what
// this manager applied earlier and nobody owns any more, and with its managed fields brought up to
// date. The result is not defaulted. kConflict, with causes, where others own a field with another
// value and `force` is not set; kUnknown (HTTP 500, as kube-apiserver answers it) where `applied`
// is not of the type; kBadRequest for another version or managed fields.
Result<std::unique_ptr<google::protobuf::Message>> Apply(
    const api::KindInfo& kind, const google::protobuf::Message* live, const api::JsonValue& applied,
    std::string_view manager, std::string_view subresource, bool force, WallTime now);

}  // namespace gantry::apiserver
