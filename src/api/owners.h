#pragma once

#include "api/meta/v1/object_meta.pb.h"
#include "api/object.h"

namespace gantry::api {

// The owner reference with controller: true; null when there is none.
const meta::v1::OwnerReference* ControllerOf(const meta::v1::ObjectMeta& meta);
bool IsControlledBy(const meta::v1::ObjectMeta& meta, std::string_view owner_uid);

// A reference that makes `owner` the controller and holds up its foreground deletion, as
// controllers set it on what they create.
meta::v1::OwnerReference MakeControllerRef(const KindInfo& kind, const meta::v1::ObjectMeta& owner);

inline bool IsBeingDeleted(const meta::v1::ObjectMeta& meta) {
  return meta.has_deletion_timestamp();
}

}  // namespace gantry::api
