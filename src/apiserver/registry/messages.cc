#include "apiserver/registry/messages.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "api/same.h"
#include "base/check.h"

namespace gantry::apiserver {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

const FieldDescriptor* Field(const Message& message, std::string_view name) {
  return message.GetDescriptor()->FindFieldByName(std::string(name));
}

void AppendStable(const Message& message, std::string* out) {
  google::protobuf::io::StringOutputStream stream(out);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializePartialToCodedStream(&coded);
}

const FieldDescriptor* FieldByJsonName(const Descriptor* type, std::string_view name) {
  for (int i = 0; i < type->field_count(); ++i) {
    if (type->field(i)->json_name() == name) return type->field(i);
  }
  return nullptr;
}

std::string ScalarText(const Message& message, const FieldDescriptor* field) {
  const Reflection* reflection = message.GetReflection();
  if (field->is_repeated()) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_STRING ||
        reflection->FieldSize(message, field) == 0)
      return "";
    return reflection->GetRepeatedString(message, field, 0);
  }
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection->GetString(message, field);
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetBool(message, field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(reflection->GetInt32(message, field));
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(reflection->GetInt64(message, field));
    default:
      return "";
  }
}

}  // namespace

const api::meta::v1::ObjectMeta& MetaOf(const Message& object) {
  const FieldDescriptor* field = Field(object, "metadata");
  GANTRY_CHECK(field != nullptr, "an object without metadata");
  return static_cast<const api::meta::v1::ObjectMeta&>(
      object.GetReflection()->GetMessage(object, field));
}

api::meta::v1::ObjectMeta* MutableMetaOf(Message* object) {
  const FieldDescriptor* field = Field(*object, "metadata");
  GANTRY_CHECK(field != nullptr, "an object without metadata");
  return static_cast<api::meta::v1::ObjectMeta*>(
      object->GetReflection()->MutableMessage(object, field));
}

std::unique_ptr<Message> Clone(const Message& message) {
  std::unique_ptr<Message> copy(message.New());
  copy->CopyFrom(message);
  return copy;
}

bool SameMessage(const Message& a, const Message& b) {
  std::string a_bytes, b_bytes;
  AppendStable(a, &a_bytes);
  AppendStable(b, &b_bytes);
  return a_bytes == b_bytes;
}

bool SameField(const Message& a, const Message& b, std::string_view name) {
  const FieldDescriptor* field = Field(a, name);
  if (field == nullptr) return true;
  const Reflection* reflection = a.GetReflection();
  if (field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
    std::unique_ptr<Message> left(a.New()), right(b.New());
    CopyField(a, left.get(), name);
    CopyField(b, right.get(), name);
    return SameMessage(*left, *right);
  }
  return api::Same(reflection->GetMessage(a, field), reflection->GetMessage(b, field));
}

bool SameDesired(const Message& a, const Message& b) {
  const Descriptor* type = a.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const std::string& name = type->field(i)->name();
    if (name != "metadata" && name != "status" && !SameField(a, b, name)) return false;
  }
  return true;
}

void CopyField(const Message& from, Message* to, std::string_view name) {
  const FieldDescriptor* field = Field(from, name);
  if (field == nullptr) return;
  const Reflection* reflection = from.GetReflection();
  if (field->is_repeated()) {
    // Swapping with a copy is the one way that suits every type, maps included.
    std::unique_ptr<Message> copy = Clone(from);
    reflection->SwapFields(copy.get(), to, {field});
    return;
  }
  if (!reflection->HasField(from, field)) {
    reflection->ClearField(to, field);
    return;
  }
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      reflection->MutableMessage(to, field)->CopyFrom(reflection->GetMessage(from, field));
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      reflection->SetString(to, field, reflection->GetString(from, field));
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      reflection->SetBool(to, field, reflection->GetBool(from, field));
      break;
    case FieldDescriptor::CPPTYPE_INT32:
      reflection->SetInt32(to, field, reflection->GetInt32(from, field));
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      reflection->SetInt64(to, field, reflection->GetInt64(from, field));
      break;
    default:
      GANTRY_CHECK(false, "a field type that no top-level field has");
  }
}

void ClearField(Message* message, std::string_view name) {
  if (const FieldDescriptor* field = Field(*message, name))
    message->GetReflection()->ClearField(message, field);
}

std::string FieldText(const Message& message, std::string_view path) {
  const Message* at = &message;
  while (true) {
    size_t dot = path.find('.');
    const FieldDescriptor* field = FieldByJsonName(at->GetDescriptor(), path.substr(0, dot));
    if (field == nullptr) return "";
    if (dot == std::string_view::npos) return ScalarText(*at, field);
    if (field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return "";
    at = &at->GetReflection()->GetMessage(*at, field);
    path.remove_prefix(dot + 1);
  }
}

}  // namespace gantry::apiserver
