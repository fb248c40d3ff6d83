#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <string_view>

#include "api/meta/v1/object_meta.pb.h"

namespace gantry::apiserver {

using google::protobuf::Message;

// metadata of any object. A bug for a message without.
const api::meta::v1::ObjectMeta& MetaOf(const Message& object);
api::meta::v1::ObjectMeta* MutableMetaOf(Message* object);

std::unique_ptr<Message> Clone(const Message& message);

// By content; the order of maps does not matter.
bool SameMessage(const Message& a, const Message& b);
// The same, of one field of both ("spec"). True where the type has no such field.
bool SameField(const Message& a, const Message& b, std::string_view field);
// All but metadata and status.
bool SameDesired(const Message& a, const Message& b);

// Makes `field` of `to` what it is in `from` (absent when absent there). Nothing where the type has
// none.
void CopyField(const Message& from, Message* to, std::string_view field);
void ClearField(Message* message, std::string_view field);

// The text of a scalar field by its JSON path ("spec.nodeName", "status.podIP"); "" where it is
// unset or there is none.
std::string FieldText(const Message& message, std::string_view path);

}  // namespace gantry::apiserver
