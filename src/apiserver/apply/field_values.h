#pragma once

#include <google/protobuf/message.h>

#include <span>
#include <string>

#include "api/schema.h"

// Members of messages as their JSON has them, by reflection.
namespace gantry::apiserver::apply {

// The message that holds the field: the one given, or one of those inlined into it.
const google::protobuf::Message& Holder(const google::protobuf::Message& message,
                                        const api::FieldSchema& field);

// True where the JSON of the object has the member.
bool Present(const google::protobuf::Message& message, const api::FieldSchema& field);

// True where both have the same value, or both none.
bool SameValue(const api::FieldSchema& field, const google::protobuf::Message& left,
               const google::protobuf::Message& right);
bool SameMessage(const api::MessageSchema& schema, const google::protobuf::Message& a,
                 const google::protobuf::Message& b);
// Values of a map, as api::MapAccess gives them.
bool SameMapValue(const api::FieldSchema& field, const void* a, const void* b);

// How FieldsV1 names an item of a list by its keys: `k:{"name":"web"}`. A key that is not set has
// its declared default, or is left out.
std::string KeyElement(std::span<const api::FieldSchema* const> keys,
                       const google::protobuf::Message& item);

}  // namespace gantry::apiserver::apply
