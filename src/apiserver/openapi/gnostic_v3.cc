#include "apiserver/openapi/gnostic.h"
#include "apiserver/openapi/gnostic_message.h"

// The messages of OpenAPIv3.proto, one table each. What may be a reference stands in a message of
// two fields: the thing itself, or the reference.
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

// SchemaOrReference.
std::string EncodeSchemaOrReference(const JsonValue& value) {
  static constexpr Member kReference[] = {{"$ref", 1, Form::kText}};
  if (value.is_object() && value.Find("$ref") != nullptr)
    return Wrapped(2, EncodeObject(kReference, value));
  return Wrapped(1, EncodeSchema(value));
}
std::string EncodeSchemas(const JsonValue& value) {
  return EncodeMap(value, EncodeSchemaOrReference, 1);
}

// ItemsItem.
std::string EncodeItems(const JsonValue& value) {
  return Wrapped(1, EncodeSchemaOrReference(value));
}

// Of a oneof: there also when it is false.
std::string EncodeChosenFlag(bool value) { return {'\x10', value ? '\1' : '\0'}; }

// AdditionalPropertiesItem.
std::string EncodeAdditionalProperties(const JsonValue& value) {
  if (value.is_bool()) return EncodeChosenFlag(value.as_bool());
  return Wrapped(1, EncodeSchemaOrReference(value));
}

// DefaultType holds plain values only; of anything else it is empty.
std::string EncodeDefault(const JsonValue& value) {
  static constexpr Member kNumber[] = {{"value", 1, Form::kNumber}};
  if (value.is_string()) return Wrapped(3, value.as_string());
  if (value.is_bool()) return EncodeChosenFlag(value.as_bool());
  JsonValue holder = JsonValue::MakeObject();
  holder["value"] = value;
  return EncodeObject(kNumber, holder);
}

std::string EncodeSchema(const JsonValue& value) {
  static constexpr Member kMembers[] = {
      {"nullable", 1, Form::kFlag},
      {"readOnly", 3, Form::kFlag},
      {"writeOnly", 4, Form::kFlag},
      {"example", 7, Form::kMessage, EncodeAny},
      {"deprecated", 8, Form::kFlag},
      {"title", 9, Form::kText},
      {"multipleOf", 10, Form::kNumber},
      {"maximum", 11, Form::kNumber},
      {"exclusiveMaximum", 12, Form::kFlag},
      {"minimum", 13, Form::kNumber},
      {"exclusiveMinimum", 14, Form::kFlag},
      {"maxLength", 15, Form::kInteger},
      {"minLength", 16, Form::kInteger},
      {"pattern", 17, Form::kText},
      {"maxItems", 18, Form::kInteger},
      {"minItems", 19, Form::kInteger},
      {"uniqueItems", 20, Form::kFlag},
      {"maxProperties", 21, Form::kInteger},
      {"minProperties", 22, Form::kInteger},
      {"required", 23, Form::kTexts},
      {"enum", 24, Form::kMessages, EncodeAny},
      {"type", 25, Form::kText},
      {"allOf", 26, Form::kMessages, EncodeSchemaOrReference},
      {"oneOf", 27, Form::kMessages, EncodeSchemaOrReference},
      {"anyOf", 28, Form::kMessages, EncodeSchemaOrReference},
      {"not", 29, Form::kMessage, EncodeSchema},
      {"items", 30, Form::kMessage, EncodeItems},
      {"properties", 31, Form::kMessage, EncodeSchemas},
      {"additionalProperties", 32, Form::kMessage, EncodeAdditionalProperties},
      {"default", 33, Form::kMessage, EncodeDefault},
      {"description", 34, Form::kText},
      {"format", 35, Form::kText},
  };
  return EncodeObject(kMembers, value, 36);
}

std::string EncodeMediaType(const JsonValue& value) {
  static constexpr Member kMembers[] = {{"schema", 1, Form::kMessage, EncodeSchemaOrReference}};
  return EncodeObject(kMembers, value);
}
std::string EncodeContent(const JsonValue& value) { return EncodeMap(value, EncodeMediaType, 1); }

// ParameterOrReference, RequestBodyOrReference, ResponseOrReference: the server's own documents
// hold none of them by reference.
std::string EncodeParameter(const JsonValue& value) {
  static constexpr Member kMembers[] = {
      {"name", 1, Form::kText},
      {"in", 2, Form::kText},
      {"description", 3, Form::kText},
      {"required", 4, Form::kFlag},
      {"schema", 10, Form::kMessage, EncodeSchemaOrReference},
  };
  return Wrapped(1, EncodeObject(kMembers, value));
}
std::string EncodeRequestBody(const JsonValue& value) {
  static constexpr Member kMembers[] = {
      {"description", 1, Form::kText},
      {"content", 2, Form::kMessage, EncodeContent},
      {"required", 3, Form::kFlag},
  };
  return Wrapped(1, EncodeObject(kMembers, value));
}
std::string EncodeResponse(const JsonValue& value) {
  static constexpr Member kMembers[] = {
      {"description", 1, Form::kText},
      {"content", 3, Form::kMessage, EncodeContent},
  };
  return Wrapped(1, EncodeObject(kMembers, value));
}
std::string EncodeResponses(const JsonValue& value) { return EncodeMap(value, EncodeResponse, 2); }

std::string EncodeOperation(const JsonValue& value) {
  static constexpr Member kMembers[] = {
      {"tags", 1, Form::kTexts},
      {"description", 3, Form::kText},
      {"operationId", 5, Form::kText},
      {"parameters", 6, Form::kMessages, EncodeParameter},
      {"requestBody", 7, Form::kMessage, EncodeRequestBody},
      {"responses", 8, Form::kMessage, EncodeResponses},
      {"deprecated", 10, Form::kFlag},
  };
  return EncodeObject(kMembers, value, 13);
}

std::string EncodePathItem(const JsonValue& value) {
  static constexpr Member kMembers[] = {
      {"get", 4, Form::kMessage, EncodeOperation},
      {"put", 5, Form::kMessage, EncodeOperation},
      {"post", 6, Form::kMessage, EncodeOperation},
      {"delete", 7, Form::kMessage, EncodeOperation},
      {"options", 8, Form::kMessage, EncodeOperation},
      {"head", 9, Form::kMessage, EncodeOperation},
      {"patch", 10, Form::kMessage, EncodeOperation},
      {"parameters", 13, Form::kMessages, EncodeParameter},
  };
  return EncodeObject(kMembers, value);
}
std::string EncodePaths(const JsonValue& value) { return EncodeMap(value, EncodePathItem, 1); }

std::string EncodeInfo(const JsonValue& value) {
  static constexpr Member kMembers[] = {
      {"title", 1, Form::kText}, {"description", 2, Form::kText}, {"version", 6, Form::kText}};
  return EncodeObject(kMembers, value);
}

// SecuritySchemeOrReference.
std::string EncodeSecurityScheme(const JsonValue& value) {
  static constexpr Member kMembers[] = {
      {"type", 1, Form::kText},
      {"description", 2, Form::kText},
      {"name", 3, Form::kText},
      {"in", 4, Form::kText},
  };
  return Wrapped(1, EncodeObject(kMembers, value));
}
std::string EncodeSecuritySchemes(const JsonValue& value) {
  return EncodeMap(value, EncodeSecurityScheme, 1);
}

std::string EncodeComponents(const JsonValue& value) {
  static constexpr Member kMembers[] = {
      {"schemas", 1, Form::kMessage, EncodeSchemas},
      {"securitySchemes", 7, Form::kMessage, EncodeSecuritySchemes},
  };
  return EncodeObject(kMembers, value);
}

}  // namespace

std::string EncodeOpenApiV3(const JsonValue& document) {
  static constexpr Member kMembers[] = {
      {"openapi", 1, Form::kText},
      {"info", 2, Form::kMessage, EncodeInfo},
      {"paths", 4, Form::kMessage, EncodePaths},
      {"components", 5, Form::kMessage, EncodeComponents},
  };
  return EncodeObject(kMembers, document);
}

}  // namespace gantry::apiserver::openapi
