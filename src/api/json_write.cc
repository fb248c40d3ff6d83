#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>

#include "api/apiextensions/v1/apiextensions.pb.h"
#include "api/base64.h"
#include "api/json.h"
#include "api/json_forms.h"
#include "api/json_text.h"
#include "api/kinds.h"
#include "api/quote.h"
#include "api/schema.h"

namespace gantry::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// One writing of one message.
class Writer {
 public:
  explicit Writer(std::string* out) : out_(*out) {}

  void WriteMessage(const Message& message, const MessageSchema& schema) {
    if (schema.form() != JsonForm::kObject) return WriteFormOf(message, schema);
    out_.push_back('{');
    bool first = true;
    WriteMembers(message, schema, 0, &first);
    out_.push_back('}');
  }

  // The members of an object, commas included. `revision` > 0: of the metadata, resourceVersion has
  // this value.
  void WriteMembers(const Message& message, const MessageSchema& schema, int64_t revision,
                    bool* first) {
    const Reflection& reflection = *message.GetReflection();
    for (const MessageSchema::Step& step : schema.steps()) {
      if (step.field == nullptr) {
        WriteMembers(reflection.GetMessage(message, step.inlined), *step.inlined_schema, 0, first);
      } else if (revision > 0 && step.field->name == "resourceVersion") {
        BeginMember(*step.field, first);
        out_.push_back('"');
        AppendJsonInt(revision, &out_);
        out_.push_back('"');
      } else {
        WriteField(message, reflection, *step.field, first);
      }
    }
  }

  // The members that stand behind the schema's first one.
  void WriteMembersBehindFirst(const Message& message, const MessageSchema& schema, bool* first) {
    const Reflection& reflection = *message.GetReflection();
    for (const MessageSchema::Step& step : schema.steps().subspan(1)) {
      if (step.field == nullptr) {
        WriteMembers(reflection.GetMessage(message, step.inlined), *step.inlined_schema, 0, first);
      } else {
        WriteField(message, reflection, *step.field, first);
      }
    }
  }

  void BeginMember(const FieldSchema& field, bool* first) {
    if (!*first) out_.push_back(',');
    *first = false;
    out_.append(field.json_key);
  }

 private:
  void WriteField(const Message& message, const Reflection& reflection, const FieldSchema& field,
                  bool* first) {
    const FieldDescriptor* descriptor = field.descriptor;
    if (field.list) return WriteList(message, reflection, field, first);
    if (field.map) return WriteMap(message, field, first);
    const bool set = reflection.HasField(message, descriptor);
    if (!set) {
      if (!field.always) return;
      if (field.pointer) {
        BeginMember(field, first);
        out_.append("null");
        return;
      }
    }
    const bool zero_too = field.always || field.pointer;
    switch (field.type) {
      case ValueType::kMessage: {
        const Message& value = reflection.GetMessage(message, descriptor);
        // A time that another client sent as set but empty counts as unset.
        if (!field.always && field.message->form() == JsonForm::kTime && IsZeroTime(value)) return;
        BeginMember(field, first);
        WriteMessage(value, *field.message);
        return;
      }
      case ValueType::kString:
      case ValueType::kBytes: {
        std::string* no_copy_needed = nullptr;  // strings are held as std::string
        const std::string& value =
            reflection.GetStringReference(message, descriptor, no_copy_needed);
        if (value.empty() && !zero_too) return;
        BeginMember(field, first);
        WriteText(value, field.type, set);
        return;
      }
      case ValueType::kBool: {
        const bool value = reflection.GetBool(message, descriptor);
        if (!value && !zero_too) return;
        BeginMember(field, first);
        out_.append(value ? "true" : "false");
        return;
      }
      case ValueType::kInt32:
      case ValueType::kInt64: {
        const int64_t value = field.type == ValueType::kInt32
                                  ? reflection.GetInt32(message, descriptor)
                                  : reflection.GetInt64(message, descriptor);
        if (value == 0 && !zero_too) return;
        BeginMember(field, first);
        AppendJsonInt(value, &out_);
        return;
      }
      case ValueType::kDouble: {
        const double value = reflection.GetDouble(message, descriptor);
        if (value == 0 && !zero_too) return;
        BeginMember(field, first);
        AppendJsonDouble(value, &out_);
        return;
      }
    }
  }

  void WriteText(const std::string& value, ValueType type, bool set) {
    if (type == ValueType::kString) return AppendJsonString(value, &out_);
    if (!set) {
      out_.append("null");
      return;
    }
    out_.push_back('"');
    AppendBase64(value, &out_);
    out_.push_back('"');
  }

  void WriteList(const Message& message, const Reflection& reflection, const FieldSchema& field,
                 bool* first) {
    const int size = reflection.FieldSize(message, field.descriptor);
    if (size == 0) {
      if (!field.always && !field.empty_list) return;
      BeginMember(field, first);
      out_.append(field.empty_list ? "[]" : "null");
      return;
    }
    BeginMember(field, first);
    WriteItems(message, reflection, field, size);
  }

  void WriteItems(const Message& message, const Reflection& reflection, const FieldSchema& field,
                  int size) {
    const FieldDescriptor* descriptor = field.descriptor;
    out_.push_back('[');
    for (int i = 0; i < size; ++i) {
      if (i > 0) out_.push_back(',');
      switch (field.type) {
        case ValueType::kMessage:
          WriteMessage(reflection.GetRepeatedMessage(message, descriptor, i), *field.message);
          break;
        case ValueType::kString:
        case ValueType::kBytes: {
          std::string* no_copy_needed = nullptr;
          WriteText(reflection.GetRepeatedStringReference(message, descriptor, i, no_copy_needed),
                    field.type, true);
          break;
        }
        case ValueType::kBool:
          out_.append(reflection.GetRepeatedBool(message, descriptor, i) ? "true" : "false");
          break;
        case ValueType::kInt32:
          AppendJsonInt(reflection.GetRepeatedInt32(message, descriptor, i), &out_);
          break;
        case ValueType::kInt64:
          AppendJsonInt(reflection.GetRepeatedInt64(message, descriptor, i), &out_);
          break;
        case ValueType::kDouble:
          AppendJsonDouble(reflection.GetRepeatedDouble(message, descriptor, i), &out_);
          break;
      }
    }
    out_.push_back(']');
  }

  void WriteMap(const Message& message, const FieldSchema& field, bool* first) {
    if (field.map_access->size(message) == 0) {
      if (!field.always) return;
      BeginMember(field, first);
      out_.append("null");
      return;
    }
    BeginMember(field, first);
    MapAccess::Entries entries;
    field.map_access->collect(message, &entries);
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return *a.first < *b.first; });
    char separator = '{';
    for (const auto& [key, value] : entries) {
      out_.push_back(separator);
      separator = ',';
      AppendJsonString(*key, &out_);
      out_.push_back(':');
      if (field.type == ValueType::kMessage) {
        WriteMessage(*static_cast<const Message*>(value), *field.message);
      } else {
        WriteText(*static_cast<const std::string*>(value), field.type, true);
      }
    }
    out_.push_back('}');
  }

  void WriteFormOf(const Message& message, const MessageSchema& schema) {
    namespace crd = apiextensions::v1;
    switch (schema.form()) {
      case JsonForm::kStrings:
        return WriteListOr("null", message, schema, "items");
      case JsonForm::kSchemaOrArray: {
        const auto& form = static_cast<const crd::JSONSchemaPropsOrArray&>(message);
        if (form.json_schemas_size() > 0 || !form.has_schema())
          return WriteListOr("null", message, schema, "jsonSchemas");
        return WriteMessage(form.schema(), SchemaOf(crd::JSONSchemaProps::descriptor()));
      }
      case JsonForm::kSchemaOrBool: {
        const auto& form = static_cast<const crd::JSONSchemaPropsOrBool&>(message);
        if (form.has_schema())
          return WriteMessage(form.schema(), SchemaOf(crd::JSONSchemaProps::descriptor()));
        out_.append(form.allows() ? "true" : "false");
        return;
      }
      case JsonForm::kSchemaOrStrings: {
        const auto& form = static_cast<const crd::JSONSchemaPropsOrStringArray&>(message);
        if (form.property_size() > 0 || !form.has_schema())
          return WriteListOr("null", message, schema, "property");
        return WriteMessage(form.schema(), SchemaOf(crd::JSONSchemaProps::descriptor()));
      }
      default:
        return WriteForm(schema.form(), message, &out_);
    }
  }

  void WriteListOr(std::string_view empty, const Message& message, const MessageSchema& schema,
                   std::string_view name) {
    const FieldSchema& field = *schema.Find(name);
    const Reflection& reflection = *message.GetReflection();
    const int size = reflection.FieldSize(message, field.descriptor);
    if (size == 0) {
      out_.append(empty);
    } else {
      WriteItems(message, reflection, field, size);
    }
  }

  std::string& out_;
};

}  // namespace

void WriteJson(const Message& message, std::string* out) {
  Writer(out).WriteMessage(message, SchemaOf(message.GetDescriptor()));
}

void WriteObjectJson(const KindInfo& kind, const Message& message, int64_t revision,
                     std::string* out) {
  const MessageSchema& schema = SchemaOf(message.GetDescriptor());
  out->append("{\"kind\":");
  AppendJsonString(kind.kind, out);
  out->append(",\"apiVersion\":");
  AppendJsonString(kind.ApiVersion(), out);
  Writer writer(out);
  bool first = false;
  const FieldSchema* metadata = revision > 0 ? schema.Find("metadata") : nullptr;
  if (metadata == nullptr) {
    writer.WriteMembers(message, schema, 0, &first);
  } else {
    // Metadata is the first member of every object.
    writer.BeginMember(*metadata, &first);
    out->push_back('{');
    bool first_of_metadata = true;
    writer.WriteMembers(message.GetReflection()->GetMessage(message, metadata->descriptor),
                        *metadata->message, revision, &first_of_metadata);
    out->push_back('}');
    writer.WriteMembersBehindFirst(message, schema, &first);
  }
  out->push_back('}');
}

}  // namespace gantry::api
