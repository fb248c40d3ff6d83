#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/field_error.h"

namespace google::protobuf {
class Message;
}

namespace gantry::api {

struct KindInfo;

// What is wrong with an object, field by field, worded as kube-apiserver words it; empty when it
// may be stored. The object has its defaults already, and metadata.name is set. Pure functions of
// their arguments; any thread.
FieldErrors ValidateCreate(const KindInfo& kind, const google::protobuf::Message& object);
FieldErrors ValidateUpdate(const KindInfo& kind, const google::protobuf::Message& object,
                           const google::protobuf::Message& old);
// Through the status subresource: the caller has already put back what a status update may not
// change.
FieldErrors ValidateStatusUpdate(const KindInfo& kind, const google::protobuf::Message& object,
                                 const google::protobuf::Message& old);

// Texts of `Warning:` headers that a create or update of this object gets; the write goes through
// nevertheless.
std::vector<std::string> WarningsOnWrite(const KindInfo& kind,
                                         const google::protobuf::Message& object);

// Pods through their other doors: the ephemeralcontainers and resize subresources, and the binding.
FieldErrors ValidatePodEphemeralContainersUpdate(const google::protobuf::Message& pod,
                                                 const google::protobuf::Message& old);
FieldErrors ValidatePodResize(const google::protobuf::Message& pod,
                              const google::protobuf::Message& old);

}  // namespace gantry::api
