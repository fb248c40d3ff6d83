#include "apiserver/openapi/schemas.h"

#include <algorithm>
#include <set>

#include <google/protobuf/message.h>

#include "api/meta/v1/object.pb.h"
#include "api/meta/v1/options.pb.h"
#include "api/meta/v1/status.pb.h"

namespace gantry::apiserver::openapi {
namespace {

using api::FieldSchema;
using api::JsonForm;
using api::ListType;
using api::MessageSchema;
using api::ValueType;

constexpr std::string_view kApiVersionDoc =
    "The version of the schema that this representation of the object follows, as group/version.";
constexpr std::string_view kKindDoc =
    "The kind of REST resource that this object represents, in CamelCase.";

// True for messages whose JSON is described where they are used and that have no schema of their
// own.
bool IsInline(const MessageSchema& schema) { return schema.form() == JsonForm::kStrings; }

void WriteForm(const MessageSchema& schema, Dialect dialect, JsonWriter* out) {
  switch (schema.form()) {
    case JsonForm::kTime:
    case JsonForm::kMicroTime:
      out->Member("format", "date-time").Member("type", "string");
      return;
    case JsonForm::kDuration:
      out->Member("type", "string");
      return;
    case JsonForm::kQuantity:
      if (dialect == Dialect::kV3) {
        out->Key("oneOf").Raw(R"([{"type":"string"},{"type":"number"}])");
      } else {
        out->Member("type", "string");
      }
      return;
    case JsonForm::kIntOrString:
      out->Member("format", "int-or-string");
      if (dialect == Dialect::kV3) {
        out->Key("oneOf").Raw(R"([{"type":"integer"},{"type":"string"}])");
      } else {
        out->Member("type", "string");
      }
      return;
    case JsonForm::kRaw:
      out->Member("type", "object");
      return;
    case JsonForm::kStrings:
      out->Key("items").Raw(R"({"type":"string"})").Member("type", "array");
      return;
    case JsonForm::kObject:
    case JsonForm::kSchemaOrArray:
    case JsonForm::kSchemaOrBool:
    case JsonForm::kSchemaOrStrings:
      return;
  }
}

std::pair<std::string_view, std::string_view> TypeAndFormat(ValueType type) {
  switch (type) {
    case ValueType::kString:
      return {"string", ""};
    case ValueType::kBytes:
      return {"string", "byte"};
    case ValueType::kBool:
      return {"boolean", ""};
    case ValueType::kInt32:
      return {"integer", "int32"};
    case ValueType::kInt64:
      return {"integer", "int64"};
    case ValueType::kDouble:
      return {"number", "double"};
    case ValueType::kMessage:
      return {"object", ""};
  }
  return {"object", ""};
}

std::string RefPath(Dialect dialect, std::string_view name) {
  return std::string(dialect == Dialect::kV2 ? "#/definitions/" : "#/components/schemas/") +
         std::string(name);
}

// The members that say what one value is: a field's, an item's or a map's value.
void WriteValue(const FieldSchema& field, Dialect dialect, bool defaulted, JsonWriter* out) {
  if (field.type != ValueType::kMessage) {
    auto [type, format] = TypeAndFormat(field.type);
    if (!field.enum_values.empty()) out->Key("enum").Texts(field.enum_values);
    out->MemberIfAny("format", format).Member("type", type);
    return;
  }
  if (IsInline(*field.message)) return WriteForm(*field.message, dialect, out);
  std::string path = RefPath(dialect, field.message->openapi_name());
  if (dialect == Dialect::kV2) {
    out->Member("$ref", path);
    return;
  }
  out->Key("allOf").Array().Object().Member("$ref", path).EndObject().EndArray();
  if (defaulted && field.message->form() == JsonForm::kObject) out->Key("default").Raw("{}");
}

void WriteDefault(const FieldSchema& field, JsonWriter* out) {
  if (field.default_value.empty() || field.list || field.map || field.type == ValueType::kMessage)
    return;
  bool text = field.type == ValueType::kString || field.type == ValueType::kBytes;
  if (text) {
    out->Member("default", field.default_value);
  } else {
    out->Key("default").Raw(field.default_value);
  }
}

void WriteListFacts(const FieldSchema& field, JsonWriter* out) {
  if (field.list_type == ListType::kMap) out->Key("x-kubernetes-list-map-keys").Texts(field.keys);
  out->Member("x-kubernetes-list-type", field.list_type == ListType::kMap   ? "map"
                                        : field.list_type == ListType::kSet ? "set"
                                                                            : "atomic");
}

void WriteField(const FieldSchema& field, Dialect dialect, JsonWriter* out) {
  out->Key(field.name).Object();
  out->MemberIfAny("description", api::DocOf(field.descriptor));
  WriteDefault(field, out);
  if (field.list) {
    out->Key("items").Object();
    WriteValue(field, dialect, true, out);
    out->EndObject().Member("type", "array");
    WriteListFacts(field, out);
  } else if (field.map) {
    out->Key("additionalProperties").Object();
    WriteValue(field, dialect, true, out);
    out->EndObject().Member("type", "object");
    if (field.atomic) out->Member("x-kubernetes-map-type", "atomic");
  } else {
    WriteValue(field, dialect, field.always, out);
    if (field.atomic) out->Member("x-kubernetes-map-type", "atomic");
  }
  out->MemberIfAny("x-kubernetes-patch-merge-key", field.merge_key);
  if (field.patch_merge || field.patch_retain_keys)
    out->Member("x-kubernetes-patch-strategy", !field.patch_retain_keys ? "merge"
                                               : field.patch_merge      ? "merge,retainKeys"
                                                                        : "retainKeys");
  out->EndObject();
}

void WriteTypeMeta(JsonWriter* out, std::string_view name, std::string_view doc) {
  out->Key(name).Object().Member("description", doc).Member("type", "string").EndObject();
}

void WriteSchema(const MessageSchema& schema, std::span<const GroupVersionKind> kinds,
                 Dialect dialect, JsonWriter* out) {
  out->Object();
  out->MemberIfAny("description", api::DocOf(schema.descriptor()));
  if (schema.form() == JsonForm::kObject) {
    std::map<std::string_view, const FieldSchema*> fields;
    std::vector<std::string_view> required;
    for (const FieldSchema& field : schema.fields()) {
      fields.emplace(field.name, &field);
      if (field.required) required.push_back(field.name);
    }
    if (schema.type_meta()) {
      fields.emplace("apiVersion", nullptr);
      fields.emplace("kind", nullptr);
    }
    if (!fields.empty()) {
      out->Key("properties").Object();
      for (const auto& [name, field] : fields) {
        if (field) {
          WriteField(*field, dialect, out);
        } else {
          WriteTypeMeta(out, name, name == "kind" ? kKindDoc : kApiVersionDoc);
        }
      }
      out->EndObject();
    }
    if (!required.empty()) {
      std::sort(required.begin(), required.end());
      out->Key("required").Texts(required);
    }
    out->Member("type", "object");
    if (!kinds.empty()) {
      out->Key("x-kubernetes-group-version-kind").Array();
      for (const GroupVersionKind& kind : kinds)
        WriteKind(kind, out);
      out->EndArray();
    }
    if (schema.atomic()) out->Member("x-kubernetes-map-type", "atomic");
  } else {
    WriteForm(schema, dialect, out);
  }
  out->EndObject();
}

}  // namespace

void WriteReference(Dialect dialect, std::string_view openapi_name, JsonWriter* out) {
  out->Object().Member("$ref", RefPath(dialect, openapi_name)).EndObject();
}

void WriteKind(const GroupVersionKind& kind, JsonWriter* out) {
  out->Object()
      .Member("group", kind.group)
      .Member("kind", kind.kind)
      .Member("version", kind.version)
      .EndObject();
}

SchemaSet::SchemaSet(std::span<const ResourceRow> all) {
  const MessageSchema& options = api::SchemaOf(api::meta::v1::DeleteOptions::descriptor());
  const MessageSchema& event = api::SchemaOf(api::meta::v1::WatchEvent::descriptor());
  const MessageSchema& status = api::SchemaOf(api::meta::v1::Status::descriptor());
  std::set<std::pair<std::string_view, std::string_view>> versions;
  for (const ResourceRow& row : all)
    versions.emplace(row.kind->group, row.kind->version);
  for (const auto& [group, version] : versions) {
    kinds_[&options].push_back({std::string(group), std::string(version), "DeleteOptions"});
    kinds_[&event].push_back({std::string(group), std::string(version), "WatchEvent"});
  }
  kinds_[&status].push_back({"", "v1", "Status"});
  for (const MessageSchema* schema : {&options, &event, &status})
    Add(*schema);
}

void SchemaSet::AddResource(const ResourceRow& row) {
  const api::KindInfo& kind = *row.kind;
  AddKind(kind.prototype,
          {std::string(kind.group), std::string(kind.version), std::string(kind.kind)});
  AddKind(kind.list_prototype,
          {std::string(kind.group), std::string(kind.version), std::string(kind.list_kind)});
  for (const ResourceRow::Sub& sub : row.subresources)
    if (const api::KindInfo* taken = api::FindKind(sub.group, sub.version, sub.kind);
        taken && !sub.kind.ends_with("Options"))
      AddKind(taken->prototype, {sub.group, sub.version, sub.kind});
}

void SchemaSet::AddKind(const google::protobuf::Message* prototype, const GroupVersionKind& kind) {
  if (!prototype) return;
  const MessageSchema& schema = api::SchemaOf(prototype->GetDescriptor());
  std::vector<GroupVersionKind>& kinds = kinds_[&schema];
  if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
  Add(schema);
}

void SchemaSet::Add(const MessageSchema& schema) {
  if (IsInline(schema) || !schemas_.emplace(schema.openapi_name(), &schema).second) return;
  if (schema.form() != JsonForm::kObject) return;
  for (const FieldSchema& field : schema.fields())
    if (field.message) Add(*field.message);
}

void SchemaSet::Write(Dialect dialect, JsonWriter* out) const {
  bool patch_written = false;
  for (const auto& [name, schema] : schemas_) {
    if (!patch_written && name > kPatchSchema) {
      out->Key(kPatchSchema).Object();
      out->Member("description", "A change to an object; its content type says in which form.");
      out->Member("type", "object").EndObject();
      patch_written = true;
    }
    auto kinds = kinds_.find(schema);
    out->Key(name);
    WriteSchema(*schema,
                kinds == kinds_.end() ? std::span<const GroupVersionKind>() : kinds->second,
                dialect, out);
  }
}

}  // namespace gantry::apiserver::openapi
