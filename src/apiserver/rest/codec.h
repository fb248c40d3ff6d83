#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "apiserver/http/handler.h"
#include "apiserver/registry/registry.h"
#include "apiserver/rest/negotiation.h"
#include "base/status.h"

namespace gantry::apiserver {

enum class FieldValidation : uint8_t { kIgnore, kWarn, kStrict };

// A body as one message of `kind`. Unknown and duplicate fields are dropped, warned of, or refused.
// kBadRequest worded as kube-apiserver words what it cannot decode; `reason` gets what is wrong
// without the words around it, where there is a document at all. Hostile input safe.
Result<std::unique_ptr<google::protobuf::Message>> DecodeBody(const api::KindInfo& kind,
                                                              Media media, std::string_view body,
                                                              FieldValidation validation,
                                                              std::vector<std::string>* warnings,
                                                              std::string* reason = nullptr);
// One JSON or YAML document as JSON.
Result<std::string> JsonOfBody(Media media, std::string_view body);

// apiVersion and kind of a JSON document, as they stand at its top; empty where they are not
// strings.
struct TypeMeta {
  std::string api_version, kind;
};
TypeMeta PeekTypeMeta(std::string_view json);

// An object of a stored kind in the version `kind`, and a message of that version as the stored
// kind. Nothing is copied where they are the same.
api::ObjectPtr InVersion(const api::KindInfo& kind, api::ObjectPtr object);
Result<std::unique_ptr<google::protobuf::Message>> ToStored(
    const api::KindInfo& kind, std::unique_ptr<google::protobuf::Message> message);

// How tables are wanted, from the query (`includeObject`).
Result<int> TableInclude(const Query& query);

// One object as a response body. `include` as TableInclude gives it.
Response ObjectResponse(int code, const Output& output, const api::ObjectPtr& object, int include,
                        WallTime now);
// A message that is no stored object (a review, a Scale, a Status).
Response MessageResponse(int code, const Output& output, const api::KindInfo& kind,
                         const google::protobuf::Message& message);
// A list of objects that are in version `kind` already. Streams where it is long.
Response ListResponse(const Output& output, const api::KindInfo& kind, ListResult list, int include,
                      WallTime now);

}  // namespace gantry::apiserver
