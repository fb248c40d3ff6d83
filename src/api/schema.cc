#include "api/schema.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "api/map_access.h"
#include "api/options.pb.h"
#include "base/check.h"

namespace gantry::api {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

namespace {

uint32_t HashName(std::string_view name) {
  uint64_t head = 0;
  uint64_t tail = 0;
  const size_t n = std::min<size_t>(name.size(), 8);
  std::memcpy(&head, name.data(), n);
  std::memcpy(&tail, name.data() + (name.size() - n), n);
  uint64_t mixed = (head ^ (tail * 0x9E3779B97F4A7C15u) ^ name.size()) * 0xD6E8FEB86659FD93u;
  return static_cast<uint32_t>(mixed >> 32) | 1;
}

// What lives as long as the schemas, which is for ever.
class Pool {
 public:
  std::string_view Keep(std::string text) { return texts_.emplace_back(std::move(text)); }
  std::span<const std::string_view> Keep(std::vector<std::string_view> list) {
    return lists_.emplace_back(std::move(list));
  }
  std::span<const FieldDescriptor* const> Keep(std::vector<const FieldDescriptor*> path) {
    return paths_.emplace_back(std::move(path));
  }

 private:
  std::deque<std::string> texts_;
  std::deque<std::vector<std::string_view>> lists_;
  std::deque<std::vector<const FieldDescriptor*>> paths_;
};

std::vector<std::string_view> Split(std::string_view text, char at) {
  std::vector<std::string_view> out;
  if (text.empty()) return out;
  while (true) {
    const size_t end = text.find(at);
    out.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

// The Go package that error messages show: "v1" of "k8s.io.api.core.v1".
std::string_view LastPart(std::string_view dotted) {
  const size_t dot = dotted.rfind('.');
  return dot == std::string_view::npos ? dotted : dotted.substr(dot + 1);
}

std::string_view PackageOf(const Descriptor* descriptor) {
  return descriptor->file()->options().GetExtension(k8s_package);
}

// "k8s.io.api.core.v1" is the Go package k8s.io/api/core/v1, which OpenAPI names
// "io.k8s.api.core.v1".
std::string OpenApiPackage(std::string_view package) {
  std::string out(package);
  if (out.starts_with("k8s.io.")) out.replace(0, 7, "io.k8s.");
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

const MapAccess* FindMapAccess(const FieldDescriptor* field) {
  const auto* end = internal::kMapAccess + internal::kMapAccessSize;
  const auto* it =
      std::lower_bound(internal::kMapAccess, end, field->full_name(),
                       [](const auto& entry, std::string_view name) { return entry.field < name; });
  GANTRY_CHECK(it != end && it->field == field->full_name(), field->full_name());
  return &it->access;
}

ValueType TypeOf(const FieldDescriptor* value) {
  switch (value->type()) {
    case FieldDescriptor::TYPE_STRING:
      return ValueType::kString;
    case FieldDescriptor::TYPE_BYTES:
      return ValueType::kBytes;
    case FieldDescriptor::TYPE_BOOL:
      return ValueType::kBool;
    case FieldDescriptor::TYPE_INT32:
      return ValueType::kInt32;
    case FieldDescriptor::TYPE_INT64:
      return ValueType::kInt64;
    case FieldDescriptor::TYPE_DOUBLE:
      return ValueType::kDouble;
    case FieldDescriptor::TYPE_MESSAGE:
      return ValueType::kMessage;
    default:
      break;
  }
  GANTRY_CHECK(false, value->full_name());
  return ValueType::kString;
}

std::string_view GoScalar(ValueType type) {
  switch (type) {
    case ValueType::kString:
      return "string";
    case ValueType::kBytes:
      return "[]uint8";
    case ValueType::kBool:
      return "bool";
    case ValueType::kInt32:
      return "int32";
    case ValueType::kInt64:
      return "int64";
    case ValueType::kDouble:
      return "float64";
    case ValueType::kMessage:
      break;
  }
  return "";
}

}  // namespace

// Builds schemas under one lock, with all that they refer to.
class SchemaBuilder {
 public:
  static SchemaBuilder& Get() {
    static SchemaBuilder* builder = new SchemaBuilder;
    return *builder;
  }

  const MessageSchema& Schema(const Descriptor* descriptor) {
    {
      std::shared_lock lock(mutex_);
      if (auto it = schemas_.find(descriptor); it != schemas_.end()) return *it->second;
    }
    std::unique_lock lock(mutex_);
    return *Make(descriptor);
  }

 private:
  const MessageSchema* Make(const Descriptor* descriptor) {
    auto& place = schemas_[descriptor];
    if (place != nullptr) return place.get();
    place = std::make_unique<MessageSchema>();
    MessageSchema* schema = place.get();
    const MessageFacts& facts = descriptor->options().GetExtension(k8s_message);
    const std::string_view package = PackageOf(descriptor);
    schema->descriptor_ = descriptor;
    schema->reflection_ = google::protobuf::MessageFactory::generated_factory()
                              ->GetPrototype(descriptor)
                              ->GetReflection();
    schema->go_name_ = descriptor->name();
    schema->k8s_name_ = std::string(package) + "." + descriptor->name();
    schema->openapi_name_ = OpenApiPackage(package) + "." + descriptor->name();
    schema->go_type_ = std::string(LastPart(package)) + "." + descriptor->name();
    schema->form_ = static_cast<JsonForm>(facts.form());
    schema->type_meta_ = facts.type_meta();
    schema->atomic_ = facts.atomic();
    schema->own_fields_.reserve(descriptor->field_count());
    for (int i = 0; i < descriptor->field_count(); ++i)
      AddField(schema, descriptor->field(i), facts);
    Index(schema);
    return schema;
  }

  void AddField(MessageSchema* schema, const FieldDescriptor* descriptor,
                const MessageFacts& message_facts) {
    const FieldFacts& facts = descriptor->options().GetExtension(k8s);
    if (facts.inline_()) {
      const MessageSchema* inlined = Make(descriptor->message_type());
      schema->steps_.push_back({nullptr, descriptor, inlined});
      for (const FieldSchema& inner : inlined->fields()) {
        FieldSchema field = inner;
        std::vector<const FieldDescriptor*> parents = {descriptor};
        parents.insert(parents.end(), inner.parents.begin(), inner.parents.end());
        field.parents = pool_.Keep(std::move(parents));
        field.index = static_cast<int>(schema->fields_.size());
        schema->fields_.push_back(field);
      }
      return;
    }
    FieldSchema field;
    field.name = descriptor->json_name();
    field.json_key = pool_.Keep('"' + descriptor->json_name() + "\":");
    field.descriptor = descriptor;
    field.reflection = schema->reflection_;
    field.index = static_cast<int>(schema->fields_.size());
    field.map = descriptor->is_map();
    field.list = descriptor->is_repeated() && !field.map;
    const FieldDescriptor* value = field.map ? descriptor->message_type()->map_value() : descriptor;
    field.type = TypeOf(value);
    if (field.type == ValueType::kMessage) field.message = Make(value->message_type());
    if (field.map) field.map_access = FindMapAccess(descriptor);

    field.required = facts.required();
    field.always = facts.always() || (facts.required() && !facts.omit_empty());
    field.pointer = facts.pointer();
    field.empty_list =
        field.list && ((schema->type_meta_ && field.name == "items") || message_facts.json_only());

    field.list_type = static_cast<ListType>(facts.list());
    field.keys =
        pool_.Keep(std::vector<std::string_view>(facts.keys().begin(), facts.keys().end()));
    if (field.list) {
      field.atomic = field.list_type == ListType::kAtomic;
    } else if (field.map) {
      field.atomic = facts.map_type() == FieldFacts::ATOMIC_MAP;
    } else if (field.message != nullptr) {
      field.atomic =
          facts.struct_type() == FieldFacts::ATOMIC_STRUCT ||
          (facts.struct_type() == FieldFacts::INHERITED_STRUCT && field.message->atomic());
    }
    field.patch_merge = facts.patch().find("merge") != std::string::npos;
    field.patch_retain_keys = facts.patch().find("retainKeys") != std::string::npos;
    field.merge_key = facts.merge_key();
    field.default_value = facts.default_value();
    field.enum_values = pool_.Keep(Split(facts.enum_(), '|'));
    field.gate = facts.gate();
    NameGoType(facts, LastPart(PackageOf(schema->descriptor_)), &field);
    schema->own_fields_.push_back(field);
    schema->fields_.push_back(field);
    schema->steps_.push_back({&schema->own_fields_.back(), nullptr, nullptr});
  }

  void NameGoType(const FieldFacts& facts, std::string_view package, FieldSchema* field) {
    std::string_view named = facts.go_type();
    if (!named.empty() && named.find('.') == std::string_view::npos)
      named = pool_.Keep(std::string(package) + "." + std::string(named));
    std::string_view value =
        field->message != nullptr ? field->message->go_type() : GoScalar(field->type);
    // A name on a map, or on a list of objects, is the name of the whole; on a list of scalars, of
    // an item.
    const bool names_whole = field->map || (field->list && field->message != nullptr);
    if (!named.empty() && !names_whole) value = named;
    field->go_value_type = value;
    if (!named.empty() && names_whole) {
      field->go_type = named;
    } else if (field->list) {
      field->go_type = pool_.Keep("[]" + std::string(value));
    } else if (field->map) {
      field->go_type = pool_.Keep("map[string]" + std::string(value));
    } else {
      field->go_type = value;
    }
  }

  void Index(MessageSchema* schema) {
    for (size_t i = 0; i < schema->steps_.size(); ++i) {
      const MessageSchema::Step& step = schema->steps_[i];
      const auto number =
          static_cast<size_t>((step.field ? step.field->descriptor : step.inlined)->number());
      if (schema->step_by_number_.size() <= number) schema->step_by_number_.resize(number + 1, -1);
      schema->step_by_number_[number] = static_cast<int16_t>(i);
    }
    GANTRY_CHECK(schema->fields_.size() <= MessageSchema::kMaxFields, schema->go_name_);
    size_t size = 4;
    while (size < schema->fields_.size() * 2)
      size *= 2;
    schema->slots_.resize(size);
    for (const FieldSchema& field : schema->fields_) {
      const uint32_t hash = HashName(field.name);
      size_t at = hash & (size - 1);
      while (schema->slots_[at].index >= 0)
        at = (at + 1) & (size - 1);
      schema->slots_[at] = {hash, field.index};
    }
  }

  std::shared_mutex mutex_;
  std::unordered_map<const Descriptor*, std::unique_ptr<MessageSchema>> schemas_;
  Pool pool_;
};

const FieldSchema* MessageSchema::Find(std::string_view name) const {
  if (name.empty()) return nullptr;
  const uint32_t hash = HashName(name);
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask; slots_[at].index >= 0; at = (at + 1) & mask) {
    if (slots_[at].hash == hash && fields_[slots_[at].index].name == name)
      return &fields_[slots_[at].index];
  }
  return nullptr;
}

const MessageSchema& SchemaOf(const Descriptor* descriptor) {
  return SchemaBuilder::Get().Schema(descriptor);
}

namespace {

struct Docs {
  std::string text;
  std::unordered_map<std::string_view, std::string_view> by_name;  // into `text`
};

const Docs& AllDocs() {
  static const Docs* docs = [] {
    auto* all = new Docs;
    std::string& text = all->text;
    text.resize(internal::kDocsTextSize);
    uLongf size = text.size();
    const int rc = uncompress(reinterpret_cast<Bytef*>(text.data()), &size, internal::kDocs,
                              internal::kDocsSize);
    GANTRY_CHECK(rc == Z_OK && size == text.size(), "the embedded comments are damaged");
    for (std::string_view line : Split(text, '\n')) {
      const size_t tab = line.find('\t');
      if (tab == std::string_view::npos) continue;  // behind the last line break
      all->by_name.emplace(line.substr(0, tab), line.substr(tab + 1));
    }
    for (char& c : text)
      if (c == '\v') c = '\n';
    return all;
  }();
  return *docs;
}

std::string_view FindDoc(std::string_view name) {
  const auto& docs = AllDocs().by_name;
  auto it = docs.find(name);
  return it == docs.end() ? std::string_view() : it->second;
}

}  // namespace

std::string_view DocOf(const Descriptor* descriptor) { return FindDoc(descriptor->full_name()); }
std::string_view DocOf(const FieldDescriptor* field) { return FindDoc(field->full_name()); }

}  // namespace gantry::api
