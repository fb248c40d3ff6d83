#include "api/same.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <memory>
#include <vector>

#include "api/options.pb.h"

namespace gantry::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool IsZero(const Message& message, const FieldDescriptor* field) {
  const Reflection* reflection = message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return !reflection->GetBool(message, field);
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection->GetInt32(message, field) == 0;
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection->GetInt64(message, field) == 0;
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection->GetString(message, field).empty();
    default:
      return false;
  }
}

// Unsets whatever is held by value and says nothing.
void Normalize(Message* message) {
  const Reflection* reflection = message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->is_map()) continue;
    const FieldFacts& facts = field->options().GetExtension(k8s);
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (field->is_repeated()) {
        for (int i = 0; i < reflection->FieldSize(*message, field); ++i)
          Normalize(reflection->MutableRepeatedMessage(message, field, i));
        continue;
      }
      Message* inner = reflection->MutableMessage(message, field);
      Normalize(inner);
      const auto form = field->message_type()->options().GetExtension(k8s_message).form();
      const bool is_time = form == MessageFacts::TIME || form == MessageFacts::MICRO_TIME;
      const bool by_value = ((facts.always() || facts.inline_()) && !facts.pointer()) || is_time;
      if (by_value && inner->ByteSizeLong() == 0) reflection->ClearField(message, field);
    } else if (!field->is_repeated() && !facts.pointer() && IsZero(*message, field)) {
      reflection->ClearField(message, field);
    }
  }
}

}  // namespace

std::string StableBytes(const Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream sink(&bytes);
  google::protobuf::io::CodedOutputStream out(&sink);
  out.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&out);
  out.Trim();
  return bytes;
}

std::string CanonicalBytes(const Message& message) {
  const std::unique_ptr<Message> copy(message.New());
  copy->CopyFrom(message);
  Normalize(copy.get());
  return StableBytes(*copy);
}

bool Same(const Message& a, const Message& b) {
  if (&a == &b) return true;
  if (a.ByteSizeLong() == b.ByteSizeLong() && StableBytes(a) == StableBytes(b)) return true;
  return CanonicalBytes(a) == CanonicalBytes(b);
}

}  // namespace gantry::api
