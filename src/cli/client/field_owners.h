#pragma once

#include <optional>
#include <string>

#include "api/json_value.h"

namespace gantry::cli {

// The JSON patch that makes what a client-side `kubectl apply` owns of `object` a part of what
// `manager` has applied; nothing when there is no such owner. It fails when the object has changed
// meanwhile.
std::optional<api::JsonValue> TakeOverPatch(const api::JsonValue& object,
                                            const std::string& manager);

}  // namespace gantry::cli
