#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <map>

#include "api/json.h"
#include "api/json_value.h"
#include "api/options.pb.h"
#include "api/quantity.h"
#include "api/validation/check.h"

namespace gantry::api::validation {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool EqualScalars(const Message& a, const Message& b, const FieldDescriptor* field, int index) {
  const Reflection* ra = a.GetReflection();
  const Reflection* rb = b.GetReflection();
  bool repeated = index >= 0;
  std::string scratch_a;
  std::string scratch_b;
  switch (field->cpp_type()) {
#define GANTRY_COMPARE(kind, name)                                                                \
  case FieldDescriptor::kind:                                                                     \
    return repeated                                                                               \
               ? ra->GetRepeated##name(a, field, index) == rb->GetRepeated##name(b, field, index) \
               : ra->Get##name(a, field) == rb->Get##name(b, field)
    GANTRY_COMPARE(CPPTYPE_INT32, Int32);
    GANTRY_COMPARE(CPPTYPE_INT64, Int64);
    GANTRY_COMPARE(CPPTYPE_UINT32, UInt32);
    GANTRY_COMPARE(CPPTYPE_UINT64, UInt64);
    GANTRY_COMPARE(CPPTYPE_DOUBLE, Double);
    GANTRY_COMPARE(CPPTYPE_FLOAT, Float);
    GANTRY_COMPARE(CPPTYPE_BOOL, Bool);
    GANTRY_COMPARE(CPPTYPE_ENUM, EnumValue);
#undef GANTRY_COMPARE
    case FieldDescriptor::CPPTYPE_STRING:
      return repeated ? ra->GetRepeatedStringReference(a, field, index, &scratch_a) ==
                            rb->GetRepeatedStringReference(b, field, index, &scratch_b)
                      : ra->GetStringReference(a, field, &scratch_a) ==
                            rb->GetStringReference(b, field, &scratch_b);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return false;
}

// Entries of a map in the order of their keys, as reflection has them.
std::map<std::string, const Message*> Entries(const Message& message,
                                              const FieldDescriptor* field) {
  std::map<std::string, const Message*> entries;
  const Reflection* reflection = message.GetReflection();
  const FieldDescriptor* key = field->message_type()->map_key();
  for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
    const Message& entry = reflection->GetRepeatedMessage(message, field, i);
    entries[entry.GetReflection()->GetString(entry, key)] = &entry;
  }
  return entries;
}

bool EqualMaps(const Message& a, const Message& b, const FieldDescriptor* field) {
  auto left = Entries(a, field);
  auto right = Entries(b, field);
  const FieldDescriptor* value = field->message_type()->map_value();
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [value](const auto& x, const auto& y) {
                      if (x.first != y.first) return false;
                      if (value->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE)
                        return EqualScalars(*x.second, *y.second, value, -1);
                      return SemanticEqual(x.second->GetReflection()->GetMessage(*x.second, value),
                                           y.second->GetReflection()->GetMessage(*y.second, value));
                    });
}

bool EqualField(const Message& a, const Message& b, const FieldDescriptor* field) {
  const Reflection* ra = a.GetReflection();
  const Reflection* rb = b.GetReflection();
  bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  if (field->is_repeated()) {
    int size = ra->FieldSize(a, field);
    if (size != rb->FieldSize(b, field)) return false;
    if (size == 0) return true;
    if (field->is_map()) return EqualMaps(a, b, field);
    for (int i = 0; i < size; ++i) {
      bool equal = is_message ? SemanticEqual(ra->GetRepeatedMessage(a, field, i),
                                              rb->GetRepeatedMessage(b, field, i))
                              : EqualScalars(a, b, field, i);
      if (!equal) return false;
    }
    return true;
  }
  bool in_a = ra->HasField(a, field);
  bool in_b = rb->HasField(b, field);
  if (!in_a && !in_b) return true;
  const FieldFacts& facts = field->options().GetExtension(k8s);
  if (!is_message) return (in_a == in_b || !facts.pointer()) && EqualScalars(a, b, field, -1);
  if (in_a != in_b && !facts.always() && !facts.inline_()) return false;
  return SemanticEqual(ra->GetMessage(a, field), rb->GetMessage(b, field));
}

}  // namespace

bool SemanticEqual(const Message& a, const Message& b) {
  if (&a == &b) return true;
  if (a.GetDescriptor() == resource::Quantity::descriptor()) {
    return Quantity::ParseOrZero(static_cast<const resource::Quantity&>(a).string()) ==
           Quantity::ParseOrZero(static_cast<const resource::Quantity&>(b).string());
  }
  const auto* type = a.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    if (!EqualField(a, b, type->field(i))) return false;
  }
  return true;
}

bool Equal(const StringMap& a, const StringMap& b) {
  if (a.size() != b.size()) return false;
  return std::all_of(a.begin(), a.end(), [&](const auto& entry) {
    auto found = b.find(entry.first);
    return found != b.end() && found->second == entry.second;
  });
}

bool Equal(const Strings& a, const Strings& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

std::string DescribeDifference(const Message& before, const Message& after) {
  std::string text;
  const auto* type = before.GetDescriptor();
  auto side = [&](const JsonValue& object, const FieldDescriptor* field, std::string_view sign) {
    const JsonValue* value = object.Find(field->json_name());
    if (value == nullptr) return;
    text.append("\n")
        .append(sign)
        .append(" ")
        .append(field->json_name())
        .append(": ")
        .append(value->ToString());
  };
  auto to_json = [](const Message& message) {
    std::string json;
    WriteJson(message, &json);
    return JsonValue::Parse(json).value_or(JsonValue());
  };
  JsonValue old_json = to_json(before);
  JsonValue new_json = to_json(after);
  for (int i = 0; i < type->field_count(); ++i) {
    if (EqualField(before, after, type->field(i))) continue;
    side(old_json, type->field(i), "-");
    side(new_json, type->field(i), "+");
  }
  return text;
}

}  // namespace gantry::api::validation
