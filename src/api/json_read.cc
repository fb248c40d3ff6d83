#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <simdjson.h>

#include <algorithm>
#include <bitset>
#include <charconv>
#include <cmath>
#include <limits>

#include "api/apiextensions/v1/apiextensions.pb.h"
#include "api/base64.h"
#include "api/json.h"
#include "api/json_forms.h"
#include "api/json_scanner.h"
#include "api/quote.h"
#include "api/schema.h"

namespace gantry::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Messages may not be nested deeper than protobuf's decoder, which reads them back, allows.
constexpr int kMaxMessageDepth = 95;
constexpr size_t kMaxIssues = 100;

// Where the reader stands: a chain on the stack, turned into text only when something is wrong.
struct Frame {
  enum class Kind : uint8_t { kRoot, kField, kKey, kIndex };
  Kind kind = Kind::kRoot;
  const Frame* up = nullptr;
  std::string_view name;                 // of a field or key
  size_t index = 0;                      // of an item
  const MessageSchema* owner = nullptr;  // the type that has the field
};

// One reading of one text. Functions give false when reading must stop: the text is malformed, or a
// value was refused for good. A value of the wrong type is noted and stepped over, since malformed
// text further on goes before it.
class Reader {
 public:
  Reader(std::string_view text, JsonIssues* issues, JsonTypeMeta* type_meta)
      : text_(text), scanner_(text), issues_(issues), type_meta_(type_meta) {}

  Status Read(Message* out) {
    const MessageSchema& schema = SchemaOf(out->GetDescriptor());
    const Frame root;
    if (scanner_.Peek() == 'n' ? !scanner_.Literal("null") : !ReadMessage(out, schema, root, 0))
      return Failure();
    if (!scanner_.End()) return Failure();
    if (!type_error_.empty()) return BadRequest(std::move(type_error_));
    return {};
  }

 private:
  Status Failure() {
    if (!scanner_.error().empty()) return BadRequest(scanner_.error());
    // A type's own decoder refused a value. Text that is malformed further on goes before that.
    JsonScanner whole(text_);
    if (!whole.Skip(0) || !whole.End()) return BadRequest(whole.error());
    return BadRequest(refused_);
  }

  // --- What is wrong ---

  static std::string StrictPath(const Frame& frame) {
    if (frame.kind == Frame::Kind::kRoot) return "";
    std::string path = StrictPath(*frame.up);
    if (frame.kind == Frame::Kind::kIndex) return path + "[" + std::to_string(frame.index) + "]";
    if (!path.empty()) path += '.';
    return path.append(frame.name);
  }

  void Issue(std::string_view what, const Frame& frame, std::string_view name) {
    if (issues_ == nullptr || issues_->messages.size() >= kMaxIssues) return;
    std::string path = StrictPath(frame);
    if (!path.empty()) path += '.';
    path += name;
    std::string message = std::string(what) + " " + GoQuote(path);
    auto& all = issues_->messages;
    if (std::find(all.begin(), all.end(), message) == all.end()) all.push_back(std::move(message));
  }

  static std::string TypeErrorText(std::string_view value, std::string_view type,
                                   const Frame& frame) {
    std::string path;
    const MessageSchema* owner = nullptr;
    for (const Frame* f = &frame; f != nullptr; f = f->up) {
      if (f->kind != Frame::Kind::kField) continue;
      if (owner == nullptr) owner = f->owner;
      if (!path.empty()) path.insert(0, ".");
      path.insert(0, f->name);
    }
    std::string text = "json: cannot unmarshal " + std::string(value) + " into Go ";
    if (owner != nullptr) {
      text += "struct field " + std::string(owner->go_name()) + "." + path;
    } else {
      text += "value";
    }
    return text + " of type " + std::string(type);
  }

  bool WrongType(std::string_view value, std::string_view type, const Frame& frame) {
    if (type_error_.empty()) type_error_ = TypeErrorText(value, type, frame);
    return true;
  }

  // The value that comes next has the wrong type: notes it and steps over it.
  bool SkipWrongType(std::string_view type, const Frame& frame) {
    std::string_view kind = NextKind();
    if (kind.empty()) return scanner_.Fail("looking for beginning of value");
    return WrongType(kind, type, frame) && scanner_.Skip(0);
  }

  std::string_view NextKind() {
    switch (const char c = scanner_.Peek()) {
      case '"':
        return "string";
      case '{':
        return "object";
      case '[':
        return "array";
      case 't':
      case 'f':
        return "bool";
      default:
        return StartsNumber(c) ? "number" : "";
    }
  }

  bool Refuse(std::string text) {
    refused_ = std::move(text);
    return false;
  }

  // --- Objects ---

  bool ReadMessage(Message* out, const MessageSchema& schema, const Frame& frame, int depth) {
    if (schema.form() != JsonForm::kObject) return ReadForm(out, schema, frame, depth);
    if (scanner_.Peek() != '{') return SkipWrongType(schema.go_type(), frame);
    if (depth >= kMaxMessageDepth) return scanner_.TooDeep();
    scanner_.Take();
    if (scanner_.Peek() == '}') {
      scanner_.Take();
      return true;
    }
    std::bitset<MessageSchema::kMaxFields> seen;
    bool seen_api_version = false;
    bool seen_kind = false;
    for (bool more = true; more;) {
      std::string_view name;
      if (!scanner_.Key(&name)) return false;
      if (const FieldSchema* field = schema.Find(name)) {
        const size_t index = static_cast<size_t>(field->index);
        const bool again = seen[index];
        if (again) Issue("duplicate field", frame, name);
        seen[index] = true;
        const Frame here{Frame::Kind::kField, &frame, field->name, 0, &schema};
        if (!ReadField(Owner(out, *field), *field, here, again, depth)) return false;
      } else if (schema.type_meta() && (name == "apiVersion" || name == "kind")) {
        const bool is_kind = name == "kind";
        bool& again = is_kind ? seen_kind : seen_api_version;
        if (again) Issue("duplicate field", frame, name);
        again = true;
        const Frame here{Frame::Kind::kField, &frame, is_kind ? "kind" : "apiVersion", 0, &schema};
        std::string_view value;
        if (scanner_.Peek() == 'n' ? !scanner_.Skip(0) : !ReadString(&value, "string", here))
          return false;
        if (type_meta_ != nullptr && frame.kind == Frame::Kind::kRoot)
          (is_kind ? type_meta_->kind : type_meta_->api_version) = value;
      } else {
        Issue("unknown field", frame, name);
        if (!scanner_.Skip(depth)) return false;
      }
      if (!scanner_.Next('}', &more)) return false;
    }
    return true;
  }

  // The message that holds the field: `message` itself, or one that is inlined into it.
  static Message* Owner(Message* message, const FieldSchema& field) {
    for (const FieldDescriptor* parent : field.parents)
      message = message->GetReflection()->MutableMessage(message, parent);
    return message;
  }

  bool ReadField(Message* out, const FieldSchema& field, const Frame& frame, bool again,
                 int depth) {
    const Reflection& reflection = *field.reflection;
    if (scanner_.Peek() == 'n') {
      // Null takes back what was set before for lists, maps and pointers, and means nothing for the
      // rest.
      const bool nullable = field.list || field.map || field.pointer ||
                            (field.type == ValueType::kMessage && !field.always);
      if (again && nullable) reflection.ClearField(out, field.descriptor);
      return scanner_.Literal("null");
    }
    if (field.list) {
      if (again) reflection.ClearField(out, field.descriptor);
      return ReadList(out, field, frame, depth);
    }
    if (field.map) return ReadMap(out, field, frame, depth);
    switch (field.type) {
      case ValueType::kMessage:
        return ReadMessage(reflection.MutableMessage(out, field.descriptor), *field.message, frame,
                           depth + 1);
      case ValueType::kString: {
        std::string_view text;
        if (!ReadString(&text, field.go_type, frame)) return false;
        if (text.data() != nullptr) reflection.SetString(out, field.descriptor, std::string(text));
        return true;
      }
      case ValueType::kBytes: {
        std::string bytes;
        if (!ReadBytes(&bytes, field.go_type, frame)) return false;
        reflection.SetString(out, field.descriptor, std::move(bytes));
        return true;
      }
      case ValueType::kBool: {
        bool value = false;
        if (!ReadBool(&value, field.go_type, frame)) return false;
        reflection.SetBool(out, field.descriptor, value);
        return true;
      }
      case ValueType::kInt32: {
        int32_t value = 0;
        if (!ReadInt(&value, field.go_type, frame)) return false;
        reflection.SetInt32(out, field.descriptor, value);
        return true;
      }
      case ValueType::kInt64: {
        int64_t value = 0;
        if (!ReadInt(&value, field.go_type, frame)) return false;
        reflection.SetInt64(out, field.descriptor, value);
        return true;
      }
      case ValueType::kDouble: {
        double value = 0;
        if (!ReadDouble(&value, field.go_type, frame)) return false;
        reflection.SetDouble(out, field.descriptor, value);
        return true;
      }
    }
    return false;
  }

  // --- Lists and maps ---

  bool ReadList(Message* out, const FieldSchema& field, const Frame& frame, int depth) {
    if (scanner_.Peek() != '[') return SkipWrongType(field.go_type, frame);
    scanner_.Take();
    if (scanner_.Peek() == ']') {
      scanner_.Take();
      return true;
    }
    Frame item{Frame::Kind::kIndex, &frame, {}, 0, nullptr};
    for (bool more = true; more; ++item.index) {
      if (!ReadItem(out, field, item, depth) || !scanner_.Next(']', &more)) return false;
    }
    return true;
  }

  bool ReadItem(Message* out, const FieldSchema& field, const Frame& item, int depth) {
    const Reflection& reflection = *field.reflection;
    const FieldDescriptor* descriptor = field.descriptor;
    const bool null = scanner_.Peek() == 'n';  // an item that is null is a zero item
    if (null && !scanner_.Literal("null")) return false;
    switch (field.type) {
      case ValueType::kMessage: {
        Message* message = reflection.AddMessage(out, descriptor);
        return null || ReadMessage(message, *field.message, item, depth + 1);
      }
      case ValueType::kString: {
        std::string_view text;
        if (!null && !ReadString(&text, field.go_value_type, item)) return false;
        reflection.AddString(out, descriptor, std::string(text));
        return true;
      }
      case ValueType::kBytes: {
        std::string bytes;
        if (!null && !ReadBytes(&bytes, field.go_value_type, item)) return false;
        reflection.AddString(out, descriptor, std::move(bytes));
        return true;
      }
      case ValueType::kBool: {
        bool value = false;
        if (!null && !ReadBool(&value, field.go_value_type, item)) return false;
        reflection.AddBool(out, descriptor, value);
        return true;
      }
      case ValueType::kInt32: {
        int32_t value = 0;
        if (!null && !ReadInt(&value, field.go_value_type, item)) return false;
        reflection.AddInt32(out, descriptor, value);
        return true;
      }
      case ValueType::kInt64: {
        int64_t value = 0;
        if (!null && !ReadInt(&value, field.go_value_type, item)) return false;
        reflection.AddInt64(out, descriptor, value);
        return true;
      }
      case ValueType::kDouble: {
        double value = 0;
        if (!null && !ReadDouble(&value, field.go_value_type, item)) return false;
        reflection.AddDouble(out, descriptor, value);
        return true;
      }
    }
    return false;
  }

  bool ReadMap(Message* out, const FieldSchema& field, const Frame& frame, int depth) {
    if (scanner_.Peek() != '{') return SkipWrongType(field.go_type, frame);
    scanner_.Take();
    if (scanner_.Peek() == '}') {
      scanner_.Take();
      return true;
    }
    const MapAccess& access = *field.map_access;
    std::string key;
    for (bool more = true; more;) {
      std::string_view name;
      if (!scanner_.Key(&name)) return false;
      key.assign(name);
      const size_t before = access.size(*out);
      void* value = access.insert(out, key);
      if (access.size(*out) == before) Issue("duplicate field", frame, key);
      const Frame here{Frame::Kind::kKey, &frame, key, 0, nullptr};
      if (!ReadMapValue(value, field, here, depth) || !scanner_.Next('}', &more)) return false;
    }
    return true;
  }

  bool ReadMapValue(void* value, const FieldSchema& field, const Frame& frame, int depth) {
    const bool null = scanner_.Peek() == 'n';
    if (null && !scanner_.Literal("null")) return false;
    if (field.type == ValueType::kMessage) {
      auto* message = static_cast<Message*>(value);
      if (null) message->Clear();
      return null ||
             ReadMessage(message, *field.message, frame, depth + 2);  // the entry is a message, too
    }
    auto* text = static_cast<std::string*>(value);
    text->clear();
    if (null) return true;
    if (field.type == ValueType::kBytes) return ReadBytes(text, field.go_value_type, frame);
    std::string_view read;
    if (!ReadString(&read, field.go_value_type, frame)) return false;
    text->assign(read);
    return true;
  }

  // --- Scalars ---

  // A wrong type leaves *text without data.
  bool ReadString(std::string_view* text, std::string_view type, const Frame& frame) {
    if (scanner_.Peek() != '"') return SkipWrongType(type, frame);
    return scanner_.String(text);
  }

  bool ReadBytes(std::string* bytes, std::string_view type, const Frame& frame) {
    std::string_view text;
    if (!ReadString(&text, type, frame)) return false;
    const ptrdiff_t bad = DecodeBase64(text, bytes);
    if (bad >= 0 && type_error_.empty())
      type_error_ = "illegal base64 data at input byte " + std::to_string(bad);
    return true;
  }

  bool ReadBool(bool* value, std::string_view type, const Frame& frame) {
    const char c = scanner_.Peek();
    if (c != 't' && c != 'f') return SkipWrongType(type, frame);
    *value = c == 't';
    return scanner_.Literal(*value ? "true" : "false");
  }

  template <class Int>
  bool ReadInt(Int* value, std::string_view type, const Frame& frame) {
    if (!StartsNumber(scanner_.Peek())) return SkipWrongType(type, frame);
    std::string_view text;
    if (!scanner_.Number(&text)) return false;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
    if (error == std::errc() && end == text.data() + text.size()) return true;
    return WrongType("number " + std::string(text), type, frame);
  }

  bool ReadDouble(double* value, std::string_view type, const Frame& frame) {
    if (!StartsNumber(scanner_.Peek())) return SkipWrongType(type, frame);
    std::string_view text;
    if (!scanner_.Number(&text)) return false;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
    if (error == std::errc() && std::isfinite(*value)) return true;
    return WrongType("number " + std::string(text), type, frame);
  }

  // --- Forms of their own ---

  bool ReadForm(Message* out, const MessageSchema& schema, const Frame& frame, int depth) {
    const char c = scanner_.Peek();
    switch (schema.form()) {
      case JsonForm::kRaw: {
        const char* start = scanner_.at();
        if (!scanner_.Skip(depth)) return false;
        SetRaw({start, static_cast<size_t>(scanner_.at() - start)}, out);
        return true;
      }
      case JsonForm::kStrings:
        return ReadList(out, schema.fields()[0], frame, depth);
      case JsonForm::kSchemaOrArray:
      case JsonForm::kSchemaOrBool:
      case JsonForm::kSchemaOrStrings:
        return ReadSchemaForm(out, schema, frame, depth);
      case JsonForm::kQuantity:
      case JsonForm::kIntOrString:
        if (StartsNumber(c)) return ReadNumberForm(out, schema, frame);
        break;
      default:
        break;
    }
    if (c != '"') {
      // These types decode themselves, and Go reports what they refuse at once.
      const std::string_view kind = NextKind();
      if (kind.empty()) return scanner_.Fail("looking for beginning of value");
      if (!scanner_.Skip(depth)) return false;
      if (schema.form() == JsonForm::kQuantity) return Refuse(std::string(kQuantityError));
      return Refuse(
          TypeErrorText(kind, schema.form() == JsonForm::kIntOrString ? "int32" : "string", frame));
    }
    std::string_view text;
    if (!scanner_.String(&text)) return false;
    if (Status status = ReadTextForm(schema.form(), text, out); !status.ok())
      return Refuse(status.message());
    return true;
  }

  bool ReadNumberForm(Message* out, const MessageSchema& schema, const Frame& frame) {
    std::string_view text;
    if (!scanner_.Number(&text)) return false;
    if (schema.form() == JsonForm::kQuantity) {
      if (Status status = ReadTextForm(schema.form(), text, out); !status.ok())
        return Refuse(status.message());
      return true;
    }
    int32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
      return Refuse(TypeErrorText("number " + std::string(text), "int32", frame));
    SetInt(value, out);
    return true;
  }

  bool ReadSchemaForm(Message* out, const MessageSchema& schema, const Frame& frame, int depth) {
    namespace crd = apiextensions::v1;
    const char c = scanner_.Peek();
    const MessageSchema& inner = SchemaOf(crd::JSONSchemaProps::descriptor());
    switch (schema.form()) {
      case JsonForm::kSchemaOrArray: {
        auto* form = static_cast<crd::JSONSchemaPropsOrArray*>(out);
        if (c == '{') return ReadMessage(form->mutable_schema(), inner, frame, depth + 1);
        if (c == '[') return ReadList(out, *schema.Find("jsonSchemas"), frame, depth);
        return scanner_.Skip(depth);
      }
      case JsonForm::kSchemaOrStrings: {
        auto* form = static_cast<crd::JSONSchemaPropsOrStringArray*>(out);
        if (c == '{') return ReadMessage(form->mutable_schema(), inner, frame, depth + 1);
        if (c == '[') return ReadList(out, *schema.Find("property"), frame, depth);
        return scanner_.Skip(depth);
      }
      default:
        break;
    }
    auto* form = static_cast<crd::JSONSchemaPropsOrBool*>(out);
    if (c == '{') {
      form->set_allows(true);
      return ReadMessage(form->mutable_schema(), inner, frame, depth + 1);
    }
    if (c != 't' && c != 'f')
      return scanner_.Skip(depth) && Refuse("boolean or JSON schema expected");
    form->set_allows(c == 't');
    return scanner_.Literal(c == 't' ? "true" : "false");
  }

  static constexpr std::string_view kQuantityError =
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

  std::string_view text_;
  JsonScanner scanner_;
  JsonIssues* issues_;
  JsonTypeMeta* type_meta_;
  std::string type_error_;  // the first value of a wrong type
  std::string refused_;
};

// What is not UTF-8 becomes U+FFFD, as in Go.
std::string MendUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  while (!text.empty()) {
    const int length = DecodeUtf8(text).length;
    if (length > 0) {
      out.append(text.substr(0, static_cast<size_t>(length)));
    } else {
      out.append("\xEF\xBF\xBD");
    }
    text.remove_prefix(static_cast<size_t>(std::max(length, 1)));
  }
  return out;
}

bool IsJson(std::string_view text) {
  JsonScanner scanner(text);
  return simdjson::validate_utf8(text.data(), text.size()) && scanner.Skip(0) && scanner.End();
}

bool RawFieldsAreJson(const Message& message) {
  const MessageSchema& schema = SchemaOf(message.GetDescriptor());
  if (schema.form() == JsonForm::kRaw) {
    const std::string& raw = RawOf(message);
    return raw.empty() || IsJson(raw);
  }
  if (schema.form() != JsonForm::kObject && schema.form() < JsonForm::kSchemaOrArray) return true;
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> set;
  reflection.ListFields(message, &set);
  MapAccess::Entries entries;
  for (const FieldDescriptor* field : set) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (field->is_map()) {
      const FieldSchema* map = schema.Find(field->json_name());
      if (map == nullptr || map->type != ValueType::kMessage) continue;
      entries.clear();
      map->map_access->collect(message, &entries);
      for (const auto& entry : entries)
        if (!RawFieldsAreJson(*static_cast<const Message*>(entry.second))) return false;
    } else if (field->is_repeated()) {
      for (int i = 0; i < reflection.FieldSize(message, field); ++i)
        if (!RawFieldsAreJson(reflection.GetRepeatedMessage(message, field, i))) return false;
    } else if (!RawFieldsAreJson(reflection.GetMessage(message, field))) {
      return false;
    }
  }
  return true;
}

}  // namespace

Status ReadJson(std::string_view text, Message* out, JsonIssues* issues, JsonTypeMeta* type_meta) {
  out->Clear();
  if (!simdjson::validate_utf8(text.data(), text.size())) {
    const std::string mended = MendUtf8(text);
    return Reader(mended, issues, type_meta).Read(out);
  }
  return Reader(text, issues, type_meta).Read(out);
}

Status CheckRawJson(const Message& message) {
  if (RawFieldsAreJson(message)) return {};
  return BadRequest("a raw field of the object does not hold JSON");
}

}  // namespace gantry::api
