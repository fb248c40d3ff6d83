#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "api/apiextensions/v1/apiextensions.pb.h"
#include "api/json.h"
#include "api/json_forms.h"
#include "api/json_writer.h"

namespace gantry::api {
namespace {

using google::protobuf::Message;
using google::protobuf::Reflection;
using Step = MessageSchema::Step;

const Step& StepNamed(const MessageSchema& schema, std::string_view name) {
  return *std::find_if(schema.steps().begin(), schema.steps().end(), [&](const Step& step) {
    return step.field != nullptr && step.field->name == name;
  });
}

// Fields of decoded messages.
class MessageSource {
 public:
  using Ref = const Message*;
  using Entries = std::vector<std::pair<std::string_view, const void*>>;
  using Writer = internal::JsonWriter<MessageSource>;

  class Items {
   public:
    Items(const Message& message, const FieldSchema& field)
        : message_(message), reflection_(*field.reflection), descriptor_(field.descriptor) {}

    Ref Child() { return &reflection_.GetRepeatedMessage(message_, descriptor_, next_++); }
    std::string_view Text() {
      std::string* no_copy_needed = nullptr;  // strings are held as std::string
      return reflection_.GetRepeatedStringReference(message_, descriptor_, next_++, no_copy_needed);
    }
    bool Bool() { return reflection_.GetRepeatedBool(message_, descriptor_, next_++); }
    int64_t Int() {
      return descriptor_->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_INT32
                 ? reflection_.GetRepeatedInt32(message_, descriptor_, next_++)
                 : reflection_.GetRepeatedInt64(message_, descriptor_, next_++);
    }
    double Double() { return reflection_.GetRepeatedDouble(message_, descriptor_, next_++); }

   private:
    const Message& message_;
    const Reflection& reflection_;
    const google::protobuf::FieldDescriptor* descriptor_;
    int next_ = 0;
  };

  class Node {
   public:
    Node(MessageSource&, Ref message, const MessageSchema& schema)
        : message_(*message), reflection_(schema.reflection()) {}

    bool Has(const Step& step) const {
      return reflection_.HasField(message_, step.field->descriptor);
    }
    Ref Child(const Step& step) const {
      return &reflection_.GetMessage(message_, step.field ? step.field->descriptor : step.inlined);
    }
    std::string_view Text(const Step& step) const {
      std::string* no_copy_needed = nullptr;
      return reflection_.GetStringReference(message_, step.field->descriptor, no_copy_needed);
    }
    bool Bool(const Step& step) const {
      return reflection_.GetBool(message_, step.field->descriptor);
    }
    int64_t Int(const Step& step) const {
      return step.field->type == ValueType::kInt32
                 ? reflection_.GetInt32(message_, step.field->descriptor)
                 : reflection_.GetInt64(message_, step.field->descriptor);
    }
    double Double(const Step& step) const {
      return reflection_.GetDouble(message_, step.field->descriptor);
    }
    size_t Size(const Step& step) const {
      if (step.field->map) return step.field->map_access->size(message_);
      return static_cast<size_t>(reflection_.FieldSize(message_, step.field->descriptor));
    }
    MessageSource::Items Items(const Step& step) const { return {message_, *step.field}; }
    void Entries(const Step& step, MessageSource::Entries* out) const {
      MapAccess::Entries entries;
      step.field->map_access->collect(message_, &entries);
      for (const auto& [key, value] : entries)
        out->emplace_back(*key, value);
      std::sort(out->begin(), out->end(),
                [](const auto& a, const auto& b) { return a.first < b.first; });
    }

   private:
    const Message& message_;
    const Reflection& reflection_;
  };

  Ref ChildOf(const void* value) { return static_cast<const Message*>(value); }
  std::string_view TextOf(const void* value) { return *static_cast<const std::string*>(value); }
  bool IsZeroTime(Ref message) { return api::IsZeroTime(*message); }

  void WriteForm(Ref ref, const MessageSchema& schema, Writer& writer) {
    namespace crd = apiextensions::v1;
    const Message& message = *ref;
    switch (schema.form()) {
      case JsonForm::kStrings:
        return WriteListOr("null", ref, schema, "items", writer);
      case JsonForm::kSchemaOrArray: {
        const auto& form = static_cast<const crd::JSONSchemaPropsOrArray&>(message);
        if (form.json_schemas_size() > 0 || !form.has_schema())
          return WriteListOr("null", ref, schema, "jsonSchemas", writer);
        return WriteSchema(form.schema(), writer);
      }
      case JsonForm::kSchemaOrBool: {
        const auto& form = static_cast<const crd::JSONSchemaPropsOrBool&>(message);
        if (form.has_schema()) return WriteSchema(form.schema(), writer);
        writer.out().append(form.allows() ? "true" : "false");
        return;
      }
      case JsonForm::kSchemaOrStrings: {
        const auto& form = static_cast<const crd::JSONSchemaPropsOrStringArray&>(message);
        if (form.property_size() > 0 || !form.has_schema())
          return WriteListOr("null", ref, schema, "property", writer);
        return WriteSchema(form.schema(), writer);
      }
      default:
        return api::WriteForm(schema.form(), message, &writer.out());
    }
  }

 private:
  static void WriteSchema(const apiextensions::v1::JSONSchemaProps& schema, Writer& writer) {
    writer.WriteMessage(&schema, SchemaOf(apiextensions::v1::JSONSchemaProps::descriptor()));
  }

  void WriteListOr(std::string_view empty, Ref message, const MessageSchema& schema,
                   std::string_view name, Writer& writer) {
    const Step& step = StepNamed(schema, name);
    const Node node(*this, message, schema);
    if (node.Size(step) == 0) {
      writer.out().append(empty);
    } else {
      writer.WriteItems(node, step);
    }
  }
};

}  // namespace

void WriteJson(const Message& message, std::string* out) {
  MessageSource source;
  internal::JsonWriter(source, out).WriteMessage(&message, SchemaOf(message.GetDescriptor()));
}

void WriteObjectJson(const KindInfo& kind, const Message& message, int64_t revision,
                     std::string* out) {
  MessageSource source;
  internal::JsonWriter(source, out)
      .WriteObject(kind, &message, SchemaOf(message.GetDescriptor()), revision);
}

}  // namespace gantry::api
