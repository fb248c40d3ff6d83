#include "apiserver/apply/compare.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <unordered_map>

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
using Node = FieldSet::Node;
using Nodes = FieldSet::Nodes;
using Shape = PlanMember::Shape;

constexpr std::array<std::string_view, 8> kServerFields = {
    "creationTimestamp", "generation", "managedFields", "name", "namespace", "resourceVersion", "selfLink", "uid"};

Shape ShapeOf(const FieldSchema& field) {
  bool object = field.message && field.message->form() == JsonForm::kObject;
  if (field.map) return field.atomic ? Shape::kLeaf : Shape::kMap;
  if (field.list) {
    if (field.atomic || field.list_type == api::ListType::kAtomic) return Shape::kLeaf;
    if (field.list_type == api::ListType::kSet) return Shape::kSetList;
    return object ? Shape::kMapList : Shape::kLeaf;
  }
  return object && !field.atomic && !field.message->atomic() ? Shape::kObject : Shape::kLeaf;
}

// The message that holds the field: the one given, or one of those inlined into it.
const Message& Holder(const Message& message, const FieldSchema& field) {
  const Message* holder = &message;
  for (const FieldDescriptor* parent : field.parents) holder = &holder->GetReflection()->GetMessage(*holder, parent);
  return *holder;
}

bool ScalarIsZero(const Message& m, const Reflection& r, const FieldSchema& field) {
  const FieldDescriptor* d = field.descriptor;
  switch (field.type) {
    case ValueType::kString:
    case ValueType::kBytes: {
      std::string scratch;
      return r.GetStringReference(m, d, &scratch).empty();
    }
    case ValueType::kBool: return !r.GetBool(m, d);
    case ValueType::kInt32: return r.GetInt32(m, d) == 0;
    case ValueType::kInt64: return r.GetInt64(m, d) == 0;
    case ValueType::kDouble: return r.GetDouble(m, d) == 0;
    case ValueType::kMessage: return false;
  }
  return false;
}

// True where the JSON of the object has the member.
bool Present(const Message& message, const FieldSchema& field) {
  if (field.always) return true;
  const Message& m = Holder(message, field);
  const Reflection& r = *m.GetReflection();
  if (field.map) return field.map_access->size(m) > 0;
  if (field.list) return r.FieldSize(m, field.descriptor) > 0;
  if (!r.HasField(m, field.descriptor)) return false;
  return field.type == ValueType::kMessage || field.pointer || !ScalarIsZero(m, r, field);
}

bool SameMessage(const MessageSchema& schema, const Message& a, const Message& b);

bool SameItem(const FieldSchema& field, const Message& a, const Reflection& ra, int i, const Message& b,
              const Reflection& rb, int j) {
  const FieldDescriptor* d = field.descriptor;
  switch (field.type) {
    case ValueType::kString:
    case ValueType::kBytes: {
      std::string x, y;
      return ra.GetRepeatedStringReference(a, d, i, &x) == rb.GetRepeatedStringReference(b, d, j, &y);
    }
    case ValueType::kBool: return ra.GetRepeatedBool(a, d, i) == rb.GetRepeatedBool(b, d, j);
    case ValueType::kInt32: return ra.GetRepeatedInt32(a, d, i) == rb.GetRepeatedInt32(b, d, j);
    case ValueType::kInt64: return ra.GetRepeatedInt64(a, d, i) == rb.GetRepeatedInt64(b, d, j);
    case ValueType::kDouble: return ra.GetRepeatedDouble(a, d, i) == rb.GetRepeatedDouble(b, d, j);
    case ValueType::kMessage:
      return SameMessage(*field.message, ra.GetRepeatedMessage(a, d, i), rb.GetRepeatedMessage(b, d, j));
  }
  return false;
}

bool SameMapValue(const FieldSchema& field, const void* a, const void* b) {
  if (field.type == ValueType::kMessage)
    return SameMessage(*field.message, *static_cast<const Message*>(a), *static_cast<const Message*>(b));
  return *static_cast<const std::string*>(a) == *static_cast<const std::string*>(b);
}

bool SameValue(const FieldSchema& field, const Message& left, const Message& right) {
  const Message& a = Holder(left, field);
  const Message& b = Holder(right, field);
  const Reflection& ra = *a.GetReflection();
  const Reflection& rb = *b.GetReflection();
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
    int size = ra.FieldSize(a, d);
    if (size != rb.FieldSize(b, d)) return false;
    for (int i = 0; i < size; ++i)
      if (!SameItem(field, a, ra, i, b, rb, i)) return false;
    return true;
  }
  if (field.type == ValueType::kMessage) {
    if (ra.HasField(a, d) != rb.HasField(b, d)) return Present(left, field) == Present(right, field) && field.always &&
                                                       SameMessage(*field.message, ra.GetMessage(a, d), rb.GetMessage(b, d));
    return SameMessage(*field.message, ra.GetMessage(a, d), rb.GetMessage(b, d));
  }
  if (field.pointer && ra.HasField(a, d) != rb.HasField(b, d)) return false;
  switch (field.type) {
    case ValueType::kString:
    case ValueType::kBytes: {
      std::string x, y;
      return ra.GetStringReference(a, d, &x) == rb.GetStringReference(b, d, &y);
    }
    case ValueType::kBool: return ra.GetBool(a, d) == rb.GetBool(b, d);
    case ValueType::kInt32: return ra.GetInt32(a, d) == rb.GetInt32(b, d);
    case ValueType::kInt64: return ra.GetInt64(a, d) == rb.GetInt64(b, d);
    case ValueType::kDouble: return ra.GetDouble(a, d) == rb.GetDouble(b, d);
    case ValueType::kMessage: return false;
  }
  return false;
}

bool SameMessage(const MessageSchema& schema, const Message& a, const Message& b) {
  if (schema.form() != JsonForm::kObject) return a.SerializeAsString() == b.SerializeAsString();
  for (const FieldSchema& field : schema.fields())
    if (!SameValue(field, a, b)) return false;
  return true;
}

void AppendScalar(const FieldSchema& field, const Message& m, const Reflection& r, std::string* out) {
  const FieldDescriptor* d = field.descriptor;
  switch (field.type) {
    case ValueType::kString:
    case ValueType::kBytes: {
      std::string scratch;
      api::AppendJsonString(r.GetStringReference(m, d, &scratch), out);
      return;
    }
    case ValueType::kBool: out->append(r.GetBool(m, d) ? "true" : "false"); return;
    case ValueType::kInt32: api::AppendJsonInt(r.GetInt32(m, d), out); return;
    case ValueType::kInt64: api::AppendJsonInt(r.GetInt64(m, d), out); return;
    case ValueType::kDouble:
    case ValueType::kMessage: out->append("null"); return;
  }
}

// `k:{"name":"web"}`.
std::string KeyElement(const PlanMember& member, const Message& item) {
  std::string out = "k:{";
  for (const FieldSchema* key : member.keys) {
    bool present = Present(item, *key);
    if (!present && key->default_value.empty()) continue;
    if (out.back() != '{') out.push_back(',');
    api::AppendJsonString(key->name, &out);
    out.push_back(':');
    const Message& holder = Holder(item, *key);
    if (present) {
      AppendScalar(*key, holder, *holder.GetReflection(), &out);
    } else if (key->type == ValueType::kString) {
      api::AppendJsonString(key->default_value, &out);
    } else {
      out.append(key->default_value);
    }
  }
  out.push_back('}');
  return out;
}

// Walks two versions of an object side by side. Null stands for one that is not there.
class Comparer {
 public:
  void Object(const Plan& plan, const Message* before, const Message* after, Nodes* changed, Nodes* removed) {
    for (const auto& member : plan.members()) Member(*member, before, after, changed, removed);
  }

  void Member(const PlanMember& member, const Message* before, const Message* after, Nodes* changed, Nodes* removed) {
    const FieldSchema& field = *member.field;
    bool was = before && Present(*before, field);
    bool is = after && Present(*after, field);
    if (!was && !is) return;
    if (!is) {
      removed->push_back(Node{member.element, true, {}});
      return;
    }
    if (member.shape == Shape::kLeaf) {
      if (!was || !SameValue(field, *before, *after)) changed->push_back(Node{member.element, true, {}});
      return;
    }
    Node added{member.element, !was, {}};
    Node gone{member.element, false, {}};
    const Message* old_value = was ? &Holder(*before, field) : nullptr;
    const Message& new_value = Holder(*after, field);
    switch (member.shape) {
      case Shape::kObject: {
        const Message* old_object =
            old_value ? &old_value->GetReflection()->GetMessage(*old_value, field.descriptor) : nullptr;
        const Message& new_object = new_value.GetReflection()->GetMessage(new_value, field.descriptor);
        Object(member.child(), old_object, &new_object, &added.children, &gone.children);
        break;
      }
      case Shape::kMap: Map(field, old_value, new_value, &added.children, &gone.children); break;
      case Shape::kSetList: Set(field, old_value, new_value, &added.children, &gone.children); break;
      case Shape::kMapList: Items(member, old_value, new_value, &added.children, &gone.children); break;
      case Shape::kLeaf: break;
    }
    if (added.member || !added.children.empty()) changed->push_back(std::move(added));
    if (!gone.children.empty()) removed->push_back(std::move(gone));
  }

 private:
  void Map(const FieldSchema& field, const Message* before, const Message& after, Nodes* changed, Nodes* removed) {
    api::MapAccess::Entries entries;
    field.map_access->collect(after, &entries);
    for (const auto& [key, value] : entries) {
      const void* old = before ? field.map_access->find(*before, *key) : nullptr;
      if (!old || !SameMapValue(field, old, value)) changed->push_back(Node{"f:" + *key, true, {}});
    }
    Sort(changed);
    if (!before) return;
    entries.clear();
    field.map_access->collect(*before, &entries);
    for (const auto& [key, value] : entries)
      if (!field.map_access->find(after, *key)) removed->push_back(Node{"f:" + *key, true, {}});
    Sort(removed);
  }

  static std::vector<std::string> Values(const FieldSchema& field, const Message& message) {
    const Reflection& r = *message.GetReflection();
    std::vector<std::string> out;
    for (int i = 0; i < r.FieldSize(message, field.descriptor); ++i) {
      std::string element = "v:";
      std::string scratch;
      switch (field.type) {
        case ValueType::kString:
        case ValueType::kBytes:
          api::AppendJsonString(r.GetRepeatedStringReference(message, field.descriptor, i, &scratch), &element);
          break;
        case ValueType::kInt32: api::AppendJsonInt(r.GetRepeatedInt32(message, field.descriptor, i), &element); break;
        case ValueType::kInt64: api::AppendJsonInt(r.GetRepeatedInt64(message, field.descriptor, i), &element); break;
        default: continue;
      }
      out.push_back(std::move(element));
    }
    std::sort(out.begin(), out.end(), ElementLess);
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  void Set(const FieldSchema& field, const Message* before, const Message& after, Nodes* changed, Nodes* removed) {
    std::vector<std::string> old_values = before ? Values(field, *before) : std::vector<std::string>();
    std::vector<std::string> new_values = Values(field, after);
    auto has = [](const std::vector<std::string>& values, const std::string& value) {
      return std::binary_search(values.begin(), values.end(), value, ElementLess);
    };
    for (const std::string& value : new_values)
      if (!has(old_values, value)) changed->push_back(Node{value, true, {}});
    for (const std::string& value : old_values)
      if (!has(new_values, value)) removed->push_back(Node{value, true, {}});
  }

  using Keyed = std::vector<std::pair<std::string, const Message*>>;

  // The items by key; of several with one key, the first.
  static Keyed ByKey(const PlanMember& member, const Message& message) {
    const Reflection& r = *message.GetReflection();
    Keyed out;
    int size = r.FieldSize(message, member.field->descriptor);
    out.reserve(static_cast<size_t>(size));
    for (int i = 0; i < size; ++i) {
      const Message& item = r.GetRepeatedMessage(message, member.field->descriptor, i);
      out.emplace_back(KeyElement(member, item), &item);
    }
    std::vector<size_t> order(out.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return out[a].first == out[b].first ? a < b : ElementLess(out[a].first, out[b].first);
    });
    Keyed sorted;
    sorted.reserve(out.size());
    for (size_t i : order)
      if (sorted.empty() || sorted.back().first != out[i].first) sorted.push_back(std::move(out[i]));
    return sorted;
  }

  void Items(const PlanMember& member, const Message* before, const Message& after, Nodes* changed, Nodes* removed) {
    Keyed old_items = before ? ByKey(member, *before) : Keyed();
    Keyed new_items = ByKey(member, after);
    auto old_item = old_items.begin();
    for (auto& [key, item] : new_items) {
      while (old_item != old_items.end() && ElementLess(old_item->first, key))
        removed->push_back(Node{std::move((old_item++)->first), true, {}});
      bool was = old_item != old_items.end() && old_item->first == key;
      const Message* old = was ? old_item++->second : nullptr;
      Node added{key, !old, {}};
      Node gone{key, false, {}};
      if (!member.atomic_items) {
        Object(member.child(), old, item, &added.children, &gone.children);
      } else if (old && !SameMessage(*member.field->message, *old, *item)) {
        added.member = true;
      }
      if (added.member || !added.children.empty()) changed->push_back(std::move(added));
      if (!gone.children.empty()) removed->push_back(std::move(gone));
    }
    for (; old_item != old_items.end(); ++old_item)
      removed->push_back(Node{std::move(old_item->first), true, {}});
  }
};

}  // namespace

const Plan& PlanMember::child() const {
  const Plan* plan = child_.load(std::memory_order_acquire);
  if (!plan) {
    plan = &Plan::Of(*field->message);
    child_.store(plan, std::memory_order_release);
  }
  return *plan;
}

Plan::Plan(const MessageSchema& schema) {
  for (const FieldSchema& field : schema.fields()) {
    if (field.name.empty()) continue;
    auto member = std::make_unique<PlanMember>();
    member->field = &field;
    member->element = "f:" + std::string(field.name);
    member->shape = ShapeOf(field);
    if (member->shape == Shape::kMapList) {
      for (std::string_view key : field.keys)
        if (const FieldSchema* key_field = field.message->Find(key)) member->keys.push_back(key_field);
      std::sort(member->keys.begin(), member->keys.end(),
                [](const FieldSchema* a, const FieldSchema* b) { return a->name < b->name; });
      member->atomic_items = field.message->atomic();
    }
    members_.push_back(std::move(member));
  }
  std::sort(members_.begin(), members_.end(), [](const auto& a, const auto& b) { return a->element < b->element; });
}

const Plan& Plan::Of(const MessageSchema& schema) {
  static std::mutex mutex;
  static auto* plans = new std::unordered_map<const MessageSchema*, std::unique_ptr<const Plan>>;
  std::lock_guard lock(mutex);
  std::unique_ptr<const Plan>& plan = (*plans)[&schema];
  if (!plan) plan.reset(new Plan(schema));
  return *plan;
}

const PlanMember* Plan::Find(std::string_view name) const {
  auto at = std::lower_bound(members_.begin(), members_.end(), name, [](const auto& member, std::string_view wanted) {
    return member->field->name < wanted;
  });
  return at == members_.end() || (*at)->field->name != name ? nullptr : at->get();
}

bool IsServerField(std::string_view metadata_member) {
  return std::find(kServerFields.begin(), kServerFields.end(), metadata_member) != kServerFields.end();
}

Comparison Compare(const Message& before, const Message& after, std::string_view ignored_member) {
  Comparison out;
  Comparer comparer;
  Nodes* changed = out.changed.mutable_nodes();
  Nodes* removed = out.removed.mutable_nodes();
  for (const auto& member : Plan::Of(api::SchemaOf(after.GetDescriptor())).members()) {
    const FieldSchema& field = *member->field;
    if (field.name == ignored_member) continue;
    if (field.name != "metadata" || member->shape != Shape::kObject) {
      comparer.Member(*member, &before, &after, changed, removed);
      continue;
    }
    const Message& old_meta = before.GetReflection()->GetMessage(before, field.descriptor);
    const Message& new_meta = after.GetReflection()->GetMessage(after, field.descriptor);
    Node added{member->element, false, {}};
    Node gone{member->element, false, {}};
    for (const auto& inner : member->child().members())
      if (!IsServerField(inner->field->name))
        comparer.Member(*inner, &old_meta, &new_meta, &added.children, &gone.children);
    if (!added.children.empty()) changed->push_back(std::move(added));
    if (!gone.children.empty()) removed->push_back(std::move(gone));
  }
  return out;
}

}  // namespace gantry::apiserver::apply
