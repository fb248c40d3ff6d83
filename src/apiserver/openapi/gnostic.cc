#include "apiserver/openapi/gnostic.h"

#include <cstdint>
#include <string_view>

namespace gantry::apiserver::openapi {
namespace {

using api::JsonValue;

// Field numbers of OpenAPIv2.proto.
namespace document {
enum {
  kSwagger = 1,
  kInfo = 2,
  kPaths = 8,
  kDefinitions = 9,
  kSecurity = 12,
  kSecurityDefinitions = 13
};
}
namespace operation {
enum {
  kTags = 1,
  kDescription = 3,
  kId = 5,
  kProduces = 6,
  kConsumes = 7,
  kParameters = 8,
  kResponses = 9,
  kSchemes = 10,
  kExtension = 13
};
}
namespace schema {
enum {
  kRef = 1,
  kFormat = 2,
  kDescription = 4,
  kDefault = 5,
  kRequired = 19,
  kEnum = 20,
  kAdditionalProperties = 21,
  kType = 22,
  kItems = 23,
  kProperties = 25,
  kExtension = 31
};
}

void Varint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}
void Bytes(int field, std::string_view bytes, std::string* out) {
  Varint(static_cast<uint64_t>(field) << 3 | 2, out);
  Varint(bytes.size(), out);
  out->append(bytes);
}
void Flag(int field, const JsonValue* value, std::string* out) {
  if (!value || !value->is_bool() || !value->as_bool()) return;
  Varint(static_cast<uint64_t>(field) << 3, out);
  Varint(1, out);
}
void Text(int field, const JsonValue* value, std::string* out) {
  if (value && value->is_string()) Bytes(field, value->as_string(), out);
}
void Texts(int field, const JsonValue* value, std::string* out) {
  if (!value || !value->is_array()) return;
  for (const JsonValue& item : value->as_array())
    Text(field, &item, out);
}

// Any: its text is YAML, which JSON is too.
std::string EncodeAny(const JsonValue& value) {
  std::string out;
  Bytes(2, value.ToString() + "\n", &out);
  return out;
}

// Every Named* message: a name and a value.
std::string Named(std::string_view name, std::string_view value) {
  std::string out;
  Bytes(1, name, &out);
  Bytes(2, value, &out);
  return out;
}

void Extensions(int field, const JsonValue& object, std::string* out) {
  for (const auto& [name, value] : object.as_object())
    if (name.starts_with("x-")) Bytes(field, Named(name, EncodeAny(value)), out);
}

std::string Wrapped(int field, std::string_view bytes) {
  std::string out;
  Bytes(field, bytes, &out);
  return out;
}

std::string EncodeSchema(const JsonValue& value);

std::string EncodeProperties(const JsonValue& properties) {
  std::string out;
  for (const auto& [name, value] : properties.as_object())
    Bytes(1, Named(name, EncodeSchema(value)), &out);
  return out;
}

std::string EncodeSchema(const JsonValue& value) {
  std::string out;
  Text(schema::kRef, value.Find("$ref"), &out);
  Text(schema::kFormat, value.Find("format"), &out);
  Text(schema::kDescription, value.Find("description"), &out);
  if (const JsonValue* standard = value.Find("default"))
    Bytes(schema::kDefault, EncodeAny(*standard), &out);
  Texts(schema::kRequired, value.Find("required"), &out);
  if (const JsonValue* values = value.Find("enum"))
    for (const JsonValue& item : values->as_array())
      Bytes(schema::kEnum, EncodeAny(item), &out);
  if (const JsonValue* inner = value.Find("additionalProperties"))
    Bytes(schema::kAdditionalProperties, Wrapped(1, EncodeSchema(*inner)), &out);
  if (const JsonValue* type = value.Find("type"))
    Bytes(schema::kType, Wrapped(1, type->as_string()), &out);
  if (const JsonValue* items = value.Find("items"))
    Bytes(schema::kItems, Wrapped(1, EncodeSchema(*items)), &out);
  if (const JsonValue* properties = value.Find("properties"))
    Bytes(schema::kProperties, EncodeProperties(*properties), &out);
  Extensions(schema::kExtension, value, &out);
  return out;
}

// ParametersItem: a parameter in the body, in the query or in the path.
std::string EncodeParameter(const JsonValue& value) {
  const JsonValue* in = value.Find("in");
  bool body = in && *in == JsonValue("body");
  bool path = in && *in == JsonValue("path");
  std::string out;
  if (body) {
    Text(2, value.Find("name"), &out);
    Text(3, in, &out);
    Flag(4, value.Find("required"), &out);
    if (const JsonValue* inner = value.Find("schema")) Bytes(5, EncodeSchema(*inner), &out);
    return Wrapped(1, Wrapped(1, out));
  }
  Flag(1, value.Find("required"), &out);
  Text(2, in, &out);
  Text(3, value.Find("description"), &out);
  Text(4, value.Find("name"), &out);
  Text(path ? 5 : 6, value.Find("type"), &out);
  Flag(path ? 19 : 20, value.Find("uniqueItems"), &out);
  return Wrapped(1, Wrapped(2, Wrapped(path ? 4 : 3, out)));
}

std::string EncodeResponses(const JsonValue& value) {
  std::string out;
  for (const auto& [code, response] : value.as_object()) {
    std::string encoded;
    Text(1, response.Find("description"), &encoded);
    if (const JsonValue* inner = response.Find("schema"))
      Bytes(2, Wrapped(1, EncodeSchema(*inner)), &encoded);
    Bytes(1, Named(code, Wrapped(1, encoded)), &out);
  }
  return out;
}

std::string EncodeOperation(const JsonValue& value) {
  std::string out;
  Texts(operation::kTags, value.Find("tags"), &out);
  Text(operation::kDescription, value.Find("description"), &out);
  Text(operation::kId, value.Find("operationId"), &out);
  Texts(operation::kProduces, value.Find("produces"), &out);
  Texts(operation::kConsumes, value.Find("consumes"), &out);
  if (const JsonValue* parameters = value.Find("parameters"))
    for (const JsonValue& parameter : parameters->as_array())
      Bytes(operation::kParameters, EncodeParameter(parameter), &out);
  if (const JsonValue* responses = value.Find("responses"))
    Bytes(operation::kResponses, EncodeResponses(*responses), &out);
  Texts(operation::kSchemes, value.Find("schemes"), &out);
  Extensions(operation::kExtension, value, &out);
  return out;
}

std::string EncodePathItem(const JsonValue& value) {
  constexpr std::pair<std::string_view, int> kMethods[] = {
      {"get", 2}, {"put", 3}, {"post", 4}, {"delete", 5}, {"patch", 8}};
  std::string out;
  for (const auto& [method, number] : kMethods)
    if (const JsonValue* found = value.Find(method)) Bytes(number, EncodeOperation(*found), &out);
  if (const JsonValue* parameters = value.Find("parameters"))
    for (const JsonValue& parameter : parameters->as_array())
      Bytes(9, EncodeParameter(parameter), &out);
  return out;
}

std::string EncodeInfo(const JsonValue& value) {
  std::string out;
  Text(1, value.Find("title"), &out);
  Text(2, value.Find("version"), &out);
  return out;
}

std::string EncodeSecurityDefinitions(const JsonValue& value) {
  std::string out;
  for (const auto& [name, definition] : value.as_object()) {
    std::string key;
    Text(1, definition.Find("type"), &key);
    Text(2, definition.Find("name"), &key);
    Text(3, definition.Find("in"), &key);
    Text(4, definition.Find("description"), &key);
    Bytes(1, Named(name, Wrapped(2, key)), &out);
  }
  return out;
}

}  // namespace

std::string EncodeSwagger(const JsonValue& value) {
  std::string out;
  Text(document::kSwagger, value.Find("swagger"), &out);
  if (const JsonValue* info = value.Find("info")) Bytes(document::kInfo, EncodeInfo(*info), &out);
  if (const JsonValue* paths = value.Find("paths")) {
    std::string encoded;
    for (const auto& [path, item] : paths->as_object())
      Bytes(2, Named(path, EncodePathItem(item)), &encoded);
    Bytes(document::kPaths, encoded, &out);
  }
  if (const JsonValue* definitions = value.Find("definitions"))
    Bytes(document::kDefinitions, EncodeProperties(*definitions), &out);
  if (const JsonValue* security = value.Find("security"))
    for (const JsonValue& requirement : security->as_array()) {
      std::string encoded;
      for (const auto& [name, scopes] : requirement.as_object())
        Bytes(1, Named(name, ""), &encoded);
      Bytes(document::kSecurity, encoded, &out);
    }
  if (const JsonValue* definitions = value.Find("securityDefinitions"))
    Bytes(document::kSecurityDefinitions, EncodeSecurityDefinitions(*definitions), &out);
  return out;
}

}  // namespace gantry::apiserver::openapi
