#pragma once

#include <google/protobuf/message.h>

#include <cstdint>

namespace gantry::api::testing {

// Fills every field of a message, and of the messages in it down to `depth` levels, with values of
// its type's form that differ by `seed` (times, quantities, raw JSON included). Lists and maps get
// one to three items.
void FillMessage(google::protobuf::Message* message, uint64_t seed, int depth = 40);

}  // namespace gantry::api::testing
