#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace google::protobuf {
class Descriptor;
class FieldDescriptor;
class Message;
class Reflection;
}  // namespace google::protobuf

namespace gantry::api {

class MessageSchema;

// What the JSON of a message looks like; all but kObject have a form of their own.
enum class JsonForm : uint8_t {
  kObject,
  kTime,
  kMicroTime,
  kDuration,
  kQuantity,
  kIntOrString,
  kRaw,      // any JSON value
  kStrings,  // array of string
  kSchemaOrArray,
  kSchemaOrBool,
  kSchemaOrStrings,
};

enum class ValueType : uint8_t { kString, kBytes, kBool, kInt32, kInt64, kDouble, kMessage };

enum class ListType : uint8_t { kAtomic, kSet, kMap };

// Reaches one map field of a generated message (protobuf's own reflection would copy the map to
// walk it). A value is a std::string for maps of strings and bytes, else a
// google::protobuf::Message.
struct MapAccess {
  using Entries = std::vector<std::pair<const std::string*, const void*>>;
  size_t (*size)(const google::protobuf::Message& message);
  void (*collect)(const google::protobuf::Message& message, Entries* out);  // in no order
  const void* (*find)(const google::protobuf::Message& message,
                      const std::string& key);  // null: none
  void* (*insert)(google::protobuf::Message* message,
                  const std::string& key);  // the one there, or a new one
  void (*erase)(google::protobuf::Message* message, const std::string& key);
};

// One member of a JSON object, and the protobuf field that holds it.
struct FieldSchema {
  std::string_view name;      // in JSON
  std::string_view json_key;  // the name as JSON writes it: "name":
  const google::protobuf::FieldDescriptor* descriptor = nullptr;
  // Of the message that holds the field. To ask a message for it costs more than to read a field.
  const google::protobuf::Reflection* reflection = nullptr;
  // The inlined messages on the way from the message to the field, outermost first; mostly empty.
  std::span<const google::protobuf::FieldDescriptor* const> parents;
  int index = 0;  // among MessageSchema::fields()

  ValueType type = ValueType::kString;  // of the value, of a list's item, of a map's value
  bool list = false;
  bool map = false;
  const MessageSchema* message = nullptr;  // of kMessage
  const MapAccess* map_access = nullptr;   // of a map

  // When it is written. `always` writes an unset list, map or `pointer` as null; `empty_list` an
  // empty list as [].
  bool always = false;
  bool pointer = false;  // a scalar that is written whenever it is set, also when zero
  bool empty_list = false;
  bool required = false;

  // Server-side apply. `atomic`: replaced as a whole (lists: kAtomic; maps and objects: declared
  // so).
  ListType list_type = ListType::kAtomic;
  std::span<const std::string_view> keys;  // of a kMap list
  bool atomic = false;

  // Strategic merge patch.
  bool patch_merge = false;
  bool patch_retain_keys = false;
  std::string_view merge_key;

  std::string_view default_value;                 // declared default, as text; empty: none
  std::span<const std::string_view> enum_values;  // all values there are; empty: open
  std::string_view gate;                          // feature gate; empty: none
  std::string_view go_type;  // as error messages show it: "int32", "[]v1.Container", "v1.Protocol"
  std::string_view go_value_type;  // of an item or a map's value: "v1.Container"
};

// What the API says of one message type, compiled from the options in the .proto files on first
// need and kept for ever. Threading: immutable, any thread.
class MessageSchema {
 public:
  static constexpr size_t kMaxFields = 128;

  const google::protobuf::Descriptor* descriptor() const { return descriptor_; }
  const google::protobuf::Reflection& reflection() const { return *reflection_; }
  std::string_view k8s_name() const { return k8s_name_; }          // "k8s.io.api.core.v1.Pod"
  std::string_view openapi_name() const { return openapi_name_; }  // "io.k8s.api.core.v1.Pod"
  std::string_view go_type() const { return go_type_; }            // "v1.Pod"
  std::string_view go_name() const { return go_name_; }            // "Pod"
  JsonForm form() const { return form_; }
  bool type_meta() const { return type_meta_; }  // its JSON carries apiVersion and kind
  bool atomic() const { return atomic_; }

  // The members of its JSON in the order in which they are written, those of inlined messages
  // included.
  std::span<const FieldSchema> fields() const { return fields_; }
  // Null where there is none.
  const FieldSchema* Find(std::string_view name) const;

  // One step of writing: a member, or (`field` null) an inlined message with its own steps.
  struct Step {
    const FieldSchema* field;
    const google::protobuf::FieldDescriptor* inlined;
    const MessageSchema* inlined_schema;
  };
  std::span<const Step> steps() const { return steps_; }
  // The place among steps() of the field with this number; -1: none.
  int StepOf(uint64_t number) const {
    return number < step_by_number_.size() ? step_by_number_[number] : -1;
  }

 private:
  friend class SchemaBuilder;
  struct Slot {
    uint32_t hash = 0;
    int32_t index = -1;
  };

  const google::protobuf::Descriptor* descriptor_ = nullptr;
  const google::protobuf::Reflection* reflection_ = nullptr;
  std::string k8s_name_, openapi_name_, go_type_, go_name_;
  JsonForm form_ = JsonForm::kObject;
  bool type_meta_ = false;
  bool atomic_ = false;
  std::vector<FieldSchema> fields_;
  std::vector<FieldSchema> own_fields_;  // without the inlined: what steps_ points to
  std::vector<Step> steps_;
  std::vector<int16_t> step_by_number_;
  std::vector<Slot> slots_;  // open addressing by name, a power of two
};

const MessageSchema& SchemaOf(const google::protobuf::Descriptor* descriptor);

// The comment that stands before a message or field in its .proto file; empty where there is none.
std::string_view DocOf(const google::protobuf::Descriptor* descriptor);
std::string_view DocOf(const google::protobuf::FieldDescriptor* field);

}  // namespace gantry::api
