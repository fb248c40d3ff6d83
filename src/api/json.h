#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace google::protobuf {
class Message;
}

namespace gantry::api {

struct KindInfo;

// What fieldValidation reports beside the object itself, each worded as kube-apiserver words it:
// `unknown field "spec.foo"`, `duplicate field "spec.foo"`.
struct JsonIssues {
  std::vector<std::string> messages;
};

// What a text says that it is.
struct JsonTypeMeta {
  std::string api_version, kind;
};

// Reads the JSON of one message by Kubernetes' rules into `out` (which is cleared). `apiVersion`
// and `kind` at the top are accepted where the type has them, and put into `type_meta` when that is
// not null. Unknown fields are
// dropped, of duplicates the last holds; when `issues` is not null, both are reported there.
// Malformed text or a wrong type: kBadRequest, worded as Go's decoder words it. Hostile input is
// safe: depth is bounded, nothing is executed or allocated beyond a small multiple of the input.
Status ReadJson(std::string_view text, google::protobuf::Message* out, JsonIssues* issues = nullptr,
                JsonTypeMeta* type_meta = nullptr);

// kBadRequest where a raw field (RawExtension, FieldsV1) anywhere in the message does not hold one
// JSON value. Messages that were read from JSON pass; ask it of messages that came in binary, since
// WriteJson copies raw fields as they are.
Status CheckRawJson(const google::protobuf::Message& message);

// Appends the message as JSON, without apiVersion and kind. Maps are sorted by key; fields stand in
// Kubernetes' order.
void WriteJson(const google::protobuf::Message& message, std::string* out);

// Appends a whole object: kind, apiVersion, then its fields; `revision` > 0 replaces
// metadata.resourceVersion.
void WriteObjectJson(const KindInfo& kind, const google::protobuf::Message& message,
                     int64_t revision, std::string* out);

// The same of the object's bytes (the raw part of its envelope), without decoding them. False, and
// nothing appended, where they are not laid out as our encoder does it, or the object has a field
// of a rare form; then they have to be decoded.
bool WriteStoredJson(const KindInfo& kind, std::string_view raw, int64_t revision,
                     std::string* out);

}  // namespace gantry::api
