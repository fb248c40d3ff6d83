#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "api/base64.h"
#include "api/json_text.h"
#include "api/kinds.h"
#include "api/quote.h"
#include "api/schema.h"

namespace gantry::api::internal {

// How objects look as JSON, wherever their fields are read from: a decoded message, or its bytes.
// Internal to the JSON codec. A `Source` has
//
//   Ref                     a message before anybody has looked into it
//   WriteForm(ref, schema)  writes one whose JSON is no object
//   IsZeroTime(ref)
//   Node(source, ref, schema)  one whose fields are read:
//     Has(step)             a field that is neither list nor map is set
//     Child, Text, Bool, Int, Double(step)   its value, or what it is when it is unset
//     Size(step)            of a list
//     Items(step)           a cursor over a list; Child, Text ... give an item and step on
//     Entries(step, out)    of a map, sorted by key: pairs of key and value, from which the source
//                           gives ChildOf(value) or TextOf(value)
//
// where a step is one of MessageSchema::steps().
template <class Source>
class JsonWriter {
 public:
  using Ref = typename Source::Ref;
  using Node = typename Source::Node;
  using Step = MessageSchema::Step;

  JsonWriter(Source& source, std::string* out) : source_(source), out_(*out) {}

  // A whole object. `revision` > 0: metadata.resourceVersion has this value.
  void WriteObject(const KindInfo& kind, Ref ref, const MessageSchema& schema, int64_t revision) {
    out_.append("{\"kind\":");
    AppendJsonString(kind.kind, &out_);
    out_.append(",\"apiVersion\":");
    AppendJsonString(kind.ApiVersion(), &out_);
    const Node node(source_, ref, schema);
    bool first = false;
    for (const Step& step : schema.steps()) {
      if (revision > 0 && step.field != nullptr && step.field->name == "metadata") {
        WriteMetadata(node, step, revision, &first);
      } else {
        WriteStep(node, step, &first);
      }
    }
    out_.push_back('}');
  }

  void WriteMessage(Ref ref, const MessageSchema& schema) {
    if (schema.form() != JsonForm::kObject) return source_.WriteForm(ref, schema, *this);
    out_.push_back('{');
    bool first = true;
    WriteMembers(Node(source_, ref, schema), schema, &first);
    out_.push_back('}');
  }

  // A list that has items.
  void WriteItems(const Node& node, const Step& step) {
    const FieldSchema& field = *step.field;
    const size_t size = node.Size(step);
    auto items = node.Items(step);
    out_.push_back('[');
    for (size_t i = 0; i < size; ++i) {
      if (i > 0) out_.push_back(',');
      switch (field.type) {
        case ValueType::kMessage:
          WriteMessage(items.Child(), *field.message);
          break;
        case ValueType::kString:
        case ValueType::kBytes:
          WriteText(items.Text(), field.type, true);
          break;
        case ValueType::kBool:
          out_.append(items.Bool() ? "true" : "false");
          break;
        case ValueType::kInt32:
        case ValueType::kInt64:
          AppendJsonInt(items.Int(), &out_);
          break;
        case ValueType::kDouble:
          AppendJsonDouble(items.Double(), &out_);
          break;
      }
    }
    out_.push_back(']');
  }

  std::string& out() { return out_; }

 private:
  void WriteMembers(const Node& node, const MessageSchema& schema, bool* first) {
    for (const Step& step : schema.steps())
      WriteStep(node, step, first);
  }

  void WriteStep(const Node& node, const Step& step, bool* first) {
    if (step.field != nullptr) return WriteField(node, step, first);
    WriteMembers(Node(source_, node.Child(step), *step.inlined_schema), *step.inlined_schema,
                 first);
  }

  void WriteMetadata(const Node& object, const Step& step, int64_t revision, bool* first) {
    const MessageSchema& schema = *step.field->message;
    BeginMember(*step.field, first);
    out_.push_back('{');
    const Node node(source_, object.Child(step), schema);
    bool first_inside = true;
    for (const Step& inner : schema.steps()) {
      if (inner.field == nullptr || inner.field->name != "resourceVersion") {
        WriteStep(node, inner, &first_inside);
        continue;
      }
      BeginMember(*inner.field, &first_inside);
      out_.push_back('"');
      AppendJsonInt(revision, &out_);
      out_.push_back('"');
    }
    out_.push_back('}');
  }

  void BeginMember(const FieldSchema& field, bool* first) {
    if (!*first) out_.push_back(',');
    *first = false;
    out_.append(field.json_key);
  }

  void WriteField(const Node& node, const Step& step, bool* first) {
    const FieldSchema& field = *step.field;
    if (field.list) return WriteList(node, step, first);
    if (field.map) return WriteMap(node, step, first);
    const bool set = node.Has(step);
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
        const Ref value = node.Child(step);
        // A time that another client sent as set but empty counts as unset.
        if (!field.always && field.message->form() == JsonForm::kTime && source_.IsZeroTime(value))
          return;
        BeginMember(field, first);
        return WriteMessage(value, *field.message);
      }
      case ValueType::kString:
      case ValueType::kBytes: {
        const std::string_view value = node.Text(step);
        if (value.empty() && !zero_too) return;
        BeginMember(field, first);
        return WriteText(value, field.type, set);
      }
      case ValueType::kBool: {
        const bool value = node.Bool(step);
        if (!value && !zero_too) return;
        BeginMember(field, first);
        out_.append(value ? "true" : "false");
        return;
      }
      case ValueType::kInt32:
      case ValueType::kInt64: {
        const int64_t value = node.Int(step);
        if (value == 0 && !zero_too) return;
        BeginMember(field, first);
        return AppendJsonInt(value, &out_);
      }
      case ValueType::kDouble: {
        const double value = node.Double(step);
        if (value == 0 && !zero_too) return;
        BeginMember(field, first);
        return AppendJsonDouble(value, &out_);
      }
    }
  }

  void WriteText(std::string_view value, ValueType type, bool set) {
    if (type == ValueType::kString) return AppendJsonString(value, &out_);
    if (!set) {
      out_.append("null");
      return;
    }
    out_.push_back('"');
    AppendBase64(value, &out_);
    out_.push_back('"');
  }

  void WriteList(const Node& node, const Step& step, bool* first) {
    const FieldSchema& field = *step.field;
    if (node.Size(step) == 0) {
      if (!field.always && !field.empty_list) return;
      BeginMember(field, first);
      out_.append(field.empty_list ? "[]" : "null");
      return;
    }
    BeginMember(field, first);
    WriteItems(node, step);
  }

  void WriteMap(const Node& node, const Step& step, bool* first) {
    const FieldSchema& field = *step.field;
    if (node.Size(step) == 0) {
      if (!field.always) return;
      BeginMember(field, first);
      out_.append("null");
      return;
    }
    BeginMember(field, first);
    typename Source::Entries entries;
    node.Entries(step, &entries);
    char separator = '{';
    for (const auto& [key, value] : entries) {
      out_.push_back(separator);
      separator = ',';
      AppendJsonString(key, &out_);
      out_.push_back(':');
      if (field.type == ValueType::kMessage) {
        WriteMessage(source_.ChildOf(value), *field.message);
      } else {
        WriteText(source_.TextOf(value), field.type, true);
      }
    }
    out_.push_back('}');
  }

  Source& source_;
  std::string& out_;
};

}  // namespace gantry::api::internal
