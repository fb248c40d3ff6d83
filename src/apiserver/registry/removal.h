#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "apiserver/registry/messages.h"
#include "apiserver/registry/registry.h"

namespace gantry::apiserver {

inline constexpr std::string_view kOrphanFinalizer = "orphan";
inline constexpr std::string_view kForegroundFinalizer = "foregroundDeletion";

// Whether an update of an object that is being deleted takes away the last thing that held it.
bool GoesAwayOnUpdate(const Message& object, const api::meta::v1::ObjectMeta& old_meta);

enum class Removal : uint8_t {
  kNow,      // remove the key
  kMark,     // write `object`: deletion has begun, something holds it
  kPending,  // deletion runs already and this request changes nothing
};

// Decides what a delete request means for one live object, and changes `object` (a copy of it)
// accordingly.
Removal PlanRemoval(const Strategy& strategy, const DeleteRequest& request, WallTime now,
                    Message* object);

}  // namespace gantry::apiserver
