#include "apiserver/apply/field_values.h"

#include "api/json_text.h"

namespace gantry::apiserver::apply {
namespace {

using api::FieldSchema;
using api::JsonForm;
using api::MessageSchema;
using api::ValueType;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool ScalarIsZero(const Message& m, const FieldSchema& field) {
  const FieldDescriptor* d = field.descriptor;
  const Reflection& r = *field.reflection;
  switch (field.type) {
    case ValueType::kString:
    case ValueType::kBytes: {
      std::string scratch;
      return r.GetStringReference(m, d, &scratch).empty();
    }
    case ValueType::kBool:
      return !r.GetBool(m, d);
    case ValueType::kInt32:
      return r.GetInt32(m, d) == 0;
    case ValueType::kInt64:
      return r.GetInt64(m, d) == 0;
    case ValueType::kDouble:
      return r.GetDouble(m, d) == 0;
    case ValueType::kMessage:
      return false;
  }
  return false;
}

bool SameItem(const FieldSchema& field, const Message& a, const Message& b, int i) {
  const FieldDescriptor* d = field.descriptor;
  const Reflection& r = *field.reflection;
  switch (field.type) {
    case ValueType::kString:
    case ValueType::kBytes: {
      std::string x, y;
      return r.GetRepeatedStringReference(a, d, i, &x) == r.GetRepeatedStringReference(b, d, i, &y);
    }
    case ValueType::kBool:
      return r.GetRepeatedBool(a, d, i) == r.GetRepeatedBool(b, d, i);
    case ValueType::kInt32:
      return r.GetRepeatedInt32(a, d, i) == r.GetRepeatedInt32(b, d, i);
    case ValueType::kInt64:
      return r.GetRepeatedInt64(a, d, i) == r.GetRepeatedInt64(b, d, i);
    case ValueType::kDouble:
      return r.GetRepeatedDouble(a, d, i) == r.GetRepeatedDouble(b, d, i);
    case ValueType::kMessage:
      return SameMessage(*field.message, r.GetRepeatedMessage(a, d, i),
                         r.GetRepeatedMessage(b, d, i));
  }
  return false;
}

void AppendScalar(const FieldSchema& field, const Message& m, std::string* out) {
  const FieldDescriptor* d = field.descriptor;
  const Reflection& r = *field.reflection;
  switch (field.type) {
    case ValueType::kString:
    case ValueType::kBytes: {
      std::string scratch;
      api::AppendJsonString(r.GetStringReference(m, d, &scratch), out);
      return;
    }
    case ValueType::kBool:
      out->append(r.GetBool(m, d) ? "true" : "false");
      return;
    case ValueType::kInt32:
      api::AppendJsonInt(r.GetInt32(m, d), out);
      return;
    case ValueType::kInt64:
      api::AppendJsonInt(r.GetInt64(m, d), out);
      return;
    case ValueType::kDouble:
    case ValueType::kMessage:
      out->append("null");
      return;
  }
}
}  // namespace

const Message& Holder(const Message& message, const FieldSchema& field) {
  const Message* holder = &message;
  for (const FieldDescriptor* parent : field.parents)
    holder = &holder->GetReflection()->GetMessage(*holder, parent);
  return *holder;
}

bool Present(const Message& message, const FieldSchema& field) {
  if (field.always) return true;
  const Message& m = Holder(message, field);
  const Reflection& r = *field.reflection;
  if (field.map) return field.map_access->size(m) > 0;
  if (field.list) return r.FieldSize(m, field.descriptor) > 0;
  if (!r.HasField(m, field.descriptor)) return false;
  return field.type == ValueType::kMessage || field.pointer || !ScalarIsZero(m, field);
}

bool SameMapValue(const FieldSchema& field, const void* a, const void* b) {
  if (field.type == ValueType::kMessage)
    return SameMessage(*field.message, *static_cast<const Message*>(a),
                       *static_cast<const Message*>(b));
  return *static_cast<const std::string*>(a) == *static_cast<const std::string*>(b);
}

bool SameValue(const FieldSchema& field, const Message& left, const Message& right) {
  const Message& a = Holder(left, field);
  const Message& b = Holder(right, field);
  const Reflection& r = *field.reflection;
  const FieldDescriptor* d = field.descriptor;
  if (field.map) {
    if (field.map_access->size(a) != field.map_access->size(b)) return false;
    api::MapAccess::Entries entries;
    field.map_access->collect(a, &entries);
    for (const auto& [key, value] : entries) {
      const void* other = field.map_access->find(b, *key);
      if (!other || !SameMapValue(field, value, other)) return false;
    }
    return true;
  }
  if (field.list) {
    int size = r.FieldSize(a, d);
    if (size != r.FieldSize(b, d)) return false;
    for (int i = 0; i < size; ++i)
      if (!SameItem(field, a, b, i)) return false;
    return true;
  }
  if (field.type == ValueType::kMessage) {
    if (r.HasField(a, d) != r.HasField(b, d))
      return Present(left, field) == Present(right, field) && field.always &&
             SameMessage(*field.message, r.GetMessage(a, d), r.GetMessage(b, d));
    return SameMessage(*field.message, r.GetMessage(a, d), r.GetMessage(b, d));
  }
  if (field.pointer && r.HasField(a, d) != r.HasField(b, d)) return false;
  switch (field.type) {
    case ValueType::kString:
    case ValueType::kBytes: {
      std::string x, y;
      return r.GetStringReference(a, d, &x) == r.GetStringReference(b, d, &y);
    }
    case ValueType::kBool:
      return r.GetBool(a, d) == r.GetBool(b, d);
    case ValueType::kInt32:
      return r.GetInt32(a, d) == r.GetInt32(b, d);
    case ValueType::kInt64:
      return r.GetInt64(a, d) == r.GetInt64(b, d);
    case ValueType::kDouble:
      return r.GetDouble(a, d) == r.GetDouble(b, d);
    case ValueType::kMessage:
      return false;
  }
  return false;
}

bool SameMessage(const MessageSchema& schema, const Message& a, const Message& b) {
  if (schema.form() != JsonForm::kObject) return a.SerializeAsString() == b.SerializeAsString();
  for (const FieldSchema& field : schema.fields())
    if (!SameValue(field, a, b)) return false;
  return true;
}

std::string KeyElement(std::span<const FieldSchema* const> keys, const Message& item) {
  std::string out;
  out.reserve(64);  // so much holds most
  out = "k:{";
  for (const FieldSchema* key : keys) {
    bool present = Present(item, *key);
    if (!present && key->default_value.empty()) continue;
    if (out.back() != '{') out.push_back(',');
    api::AppendJsonString(key->name, &out);
    out.push_back(':');
    if (present) {
      AppendScalar(*key, Holder(item, *key), &out);
    } else if (key->type == ValueType::kString) {
      api::AppendJsonString(key->default_value, &out);
    } else {
      out.append(key->default_value);
    }
  }
  out.push_back('}');
  return out;
}

}  // namespace gantry::apiserver::apply
