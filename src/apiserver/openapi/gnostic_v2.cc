#include "apiserver/openapi/gnostic.h"
#include "apiserver/openapi/gnostic_message.h"

// The messages of OpenAPIv2.proto, one table each.
namespace gantry::apiserver::openapi {
namespace {

using api::JsonValue;
using gnostic::EncodeAny;
using gnostic::EncodeMap;
using gnostic::EncodeObject;
using gnostic::Form;
using gnostic::Member;
using gnostic::Wrapped;

std::string EncodeSchema(const JsonValue& value);

std::string EncodeWrappedSchema(const JsonValue& value) { return Wrapped(1, EncodeSchema(value)); }
std::string EncodeNamedSchemas(const JsonValue& value) { return EncodeMap(value, EncodeSchema, 1); }
std::string EncodeType(const JsonValue& value) {
  return value.is_string() ? Wrapped(1, value.as_string()) : std::string();
}

std::string EncodeSchema(const JsonValue& value) {
  static constexpr Member kMembers[] = {
      {"$ref", 1, Form::kText},
      {"format", 2, Form::kText},
      {"description", 4, Form::kText},
      {"default", 5, Form::kMessage, EncodeAny},
      {"required", 19, Form::kTexts},
      {"enum", 20, Form::kMessages, EncodeAny},
      {"additionalProperties", 21, Form::kMessage, EncodeWrappedSchema},
      {"type", 22, Form::kMessage, EncodeType},
      {"items", 23, Form::kMessage, EncodeWrappedSchema},
      {"properties", 25, Form::kMessage, EncodeNamedSchemas},
  };
  return EncodeObject(kMembers, value, 31);
}

// ParametersItem: a parameter in the body, in the query or in the path.
std::string EncodeParameter(const JsonValue& value) {
  static constexpr Member kBody[] = {
      {"name", 2, Form::kText},
      {"in", 3, Form::kText},
      {"required", 4, Form::kFlag},
      {"schema", 5, Form::kMessage, EncodeSchema},
  };
  static constexpr Member kQuery[] = {
      {"required", 1, Form::kFlag}, {"in", 2, Form::kText},   {"description", 3, Form::kText},
      {"name", 4, Form::kText},     {"type", 6, Form::kText}, {"uniqueItems", 20, Form::kFlag},
  };
  static constexpr Member kPath[] = {
      {"required", 1, Form::kFlag}, {"in", 2, Form::kText},   {"description", 3, Form::kText},
      {"name", 4, Form::kText},     {"type", 5, Form::kText}, {"uniqueItems", 19, Form::kFlag},
  };
  const JsonValue* in = value.Find("in");
  if (in != nullptr && *in == JsonValue("body"))
    return Wrapped(1, Wrapped(1, EncodeObject(kBody, value)));
  const bool path = in != nullptr && *in == JsonValue("path");
  const std::string one = path ? EncodeObject(kPath, value) : EncodeObject(kQuery, value);
  return Wrapped(1, Wrapped(2, Wrapped(path ? 4 : 3, one)));
}

std::string EncodeResponse(const JsonValue& value) {
  static constexpr Member kMembers[] = {
      {"description", 1, Form::kText},
      {"schema", 2, Form::kMessage, EncodeWrappedSchema},
  };
  return Wrapped(1, EncodeObject(kMembers, value));
}
std::string EncodeResponses(const JsonValue& value) { return EncodeMap(value, EncodeResponse, 1); }

std::string EncodeOperation(const JsonValue& value) {
  static constexpr Member kMembers[] = {
      {"tags", 1, Form::kTexts},
      {"description", 3, Form::kText},
      {"operationId", 5, Form::kText},
      {"produces", 6, Form::kTexts},
      {"consumes", 7, Form::kTexts},
      {"parameters", 8, Form::kMessages, EncodeParameter},
      {"responses", 9, Form::kMessage, EncodeResponses},
      {"schemes", 10, Form::kTexts},
  };
  return EncodeObject(kMembers, value, 13);
}

std::string EncodePathItem(const JsonValue& value) {
  static constexpr Member kMembers[] = {
      {"get", 2, Form::kMessage, EncodeOperation},
      {"put", 3, Form::kMessage, EncodeOperation},
      {"post", 4, Form::kMessage, EncodeOperation},
      {"delete", 5, Form::kMessage, EncodeOperation},
      {"patch", 8, Form::kMessage, EncodeOperation},
      {"parameters", 9, Form::kMessages, EncodeParameter},
  };
  return EncodeObject(kMembers, value);
}
std::string EncodePaths(const JsonValue& value) { return EncodeMap(value, EncodePathItem, 2); }

std::string EncodeInfo(const JsonValue& value) {
  static constexpr Member kMembers[] = {{"title", 1, Form::kText}, {"version", 2, Form::kText}};
  return EncodeObject(kMembers, value);
}

std::string EncodeNothing(const JsonValue&) { return {}; }
std::string EncodeRequirement(const JsonValue& value) { return EncodeMap(value, EncodeNothing, 1); }

std::string EncodeApiKey(const JsonValue& value) {
  static constexpr Member kMembers[] = {
      {"type", 1, Form::kText},
      {"name", 2, Form::kText},
      {"in", 3, Form::kText},
      {"description", 4, Form::kText},
  };
  return Wrapped(2, EncodeObject(kMembers, value));
}
std::string EncodeSecurityDefinitions(const JsonValue& value) {
  return EncodeMap(value, EncodeApiKey, 1);
}

}  // namespace

std::string EncodeSwagger(const JsonValue& document) {
  static constexpr Member kMembers[] = {
      {"swagger", 1, Form::kText},
      {"info", 2, Form::kMessage, EncodeInfo},
      {"paths", 8, Form::kMessage, EncodePaths},
      {"definitions", 9, Form::kMessage, EncodeNamedSchemas},
      {"security", 12, Form::kMessages, EncodeRequirement},
      {"securityDefinitions", 13, Form::kMessage, EncodeSecurityDefinitions},
  };
  return EncodeObject(kMembers, document);
}

}  // namespace gantry::apiserver::openapi
