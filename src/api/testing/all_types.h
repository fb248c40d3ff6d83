#pragma once

#include <google/protobuf/descriptor.h>

#include <vector>

namespace gantry::api::testing {

// Every message type of the API (map entries aside), in the order of their files and places.
std::vector<const google::protobuf::Descriptor*> AllTypes();

}  // namespace gantry::api::testing
