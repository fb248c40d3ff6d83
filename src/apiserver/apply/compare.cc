#include "apiserver/apply/compare.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <unordered_map>

#include "api/json_text.h"
#include "apiserver/apply/field_values.h"

namespace gantry::apiserver::apply {
namespace {

using api::FieldSchema;
using api::JsonForm;
using api::MessageSchema;
using api::ValueType;
using google::protobuf::Message;
using google::protobuf::Reflection;
using Node = FieldSet::Node;
using Nodes = FieldSet::Nodes;
using Shape = PlanMember::Shape;

constexpr std::array<std::string_view, 8> kServerFields = {
    "creationTimestamp", "generation",      "managedFields", "name",
    "namespace",         "resourceVersion", "selfLink",      "uid"};

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

// Receives paths as the walk comes by them and makes a tree of them.
class TreeSink {
 public:
  TreeSink() { open_.emplace_back(); }

  void Open(const PlanMember& member, bool in_set) {
    open_.push_back(Node{member.element, in_set, {}});
  }
  void Open(const std::string& element, bool in_set) { open_.push_back(Node{element, in_set, {}}); }
  // Ends what was opened last; it stays where it or something in it is in the set.
  void Close() {
    Node node = std::move(open_.back());
    open_.pop_back();
    if (node.member || !node.children.empty()) open_.back().children.push_back(std::move(node));
  }
  void Leaf(const PlanMember& member) {
    open_.back().children.push_back(Node{member.element, true, {}});
  }
  void Leaf(const std::string& element) {
    open_.back().children.push_back(Node{element, true, {}});
  }

  Nodes Take() { return std::move(open_.front().children); }

 private:
  Nodes open_;
};

// The same as JSON text.
class TextSink {
 public:
  TextSink() {
    text_.reserve(4096);
    text_.push_back('{');
  }

  void Open(const PlanMember& member, bool in_set) {
    Begin();
    text_.append(member.json);
    Inside(in_set);
  }
  void Open(const std::string& element, bool in_set) {
    Begin();
    api::AppendJsonString(element, &text_);
    text_.push_back(':');
    Inside(in_set);
  }
  void Close() {
    Level level = open_.back();
    open_.pop_back();
    if (text_.size() > level.inside) {
      text_.push_back('}');
    } else if (level.in_set) {
      text_.resize(level.inside - kSelf.size());
      text_.push_back('}');
    } else {
      text_.resize(level.before);
    }
  }
  void Leaf(const PlanMember& member) {
    Separate();
    text_.append(member.json).append("{}");
  }
  void Leaf(const std::string& element) {
    Separate();
    api::AppendJsonString(element, &text_);
    text_.append(":{}");
  }

  // Empty for the empty set. Takes no more memory than it needs: objects keep it.
  std::string Take() const { return text_.size() == 1 ? std::string() : text_ + "}"; }

 private:
  static constexpr std::string_view kSelf = "\".\":{}";
  struct Level {
    size_t before;  // where the text ended before it
    size_t inside;  // where its members begin, behind "."
    bool in_set;
  };

  void Separate() {
    if (text_.back() != '{') text_.push_back(',');
  }
  void Begin() {
    open_.push_back({text_.size(), 0, false});
    Separate();
  }
  void Inside(bool in_set) {
    text_.push_back('{');
    if (in_set) text_.append(kSelf);
    open_.back().inside = text_.size();
    open_.back().in_set = in_set;
  }

  std::string text_;
  std::vector<Level> open_;
};

// For what nobody asks for.
class NoSink {
 public:
  template <class Element>
  void Open(const Element&, bool) {}
  void Close() {}
  template <class Element>
  void Leaf(const Element&) {}
};

// Walks two versions of an object side by side. Null stands for one that is not there.
template <class Changed, class Removed>
class Comparer {
 public:
  // The whole object.
  void Root(const Message& before, const Message& after, std::string_view ignored_member) {
    for (const auto& member : Plan::Of(api::SchemaOf(after.GetDescriptor())).members()) {
      const FieldSchema& field = *member->field;
      if (field.name == ignored_member) continue;
      if (field.name != "metadata" || member->shape != Shape::kObject) {
        Member(*member, &before, &after);
        continue;
      }
      const Message& old_meta = field.reflection->GetMessage(before, field.descriptor);
      const Message& new_meta = field.reflection->GetMessage(after, field.descriptor);
      Open(*member, false);
      for (const auto& inner : member->child().members())
        if (!IsServerField(inner->field->name)) Member(*inner, &old_meta, &new_meta);
      Close();
    }
  }

  Changed changed;
  Removed removed;

 private:
  template <class Element>
  void Open(const Element& element, bool added) {
    changed.Open(element, added);
    removed.Open(element, false);
  }
  void Close() {
    changed.Close();
    removed.Close();
  }

  void Object(const Plan& plan, const Message* before, const Message* after) {
    for (const auto& member : plan.members())
      Member(*member, before, after);
  }

  void Member(const PlanMember& member, const Message* before, const Message* after) {
    const FieldSchema& field = *member.field;
    bool was = before && Present(*before, field);
    bool is = after && Present(*after, field);
    if (!was && !is) return;
    if (!is) return removed.Leaf(member);
    if (member.shape == Shape::kLeaf) {
      if (!was || !SameValue(field, *before, *after)) changed.Leaf(member);
      return;
    }
    const Message* old_value = was ? &Holder(*before, field) : nullptr;
    const Message& new_value = Holder(*after, field);
    Open(member, !was);
    switch (member.shape) {
      case Shape::kObject: {
        const Message* old_object =
            old_value ? &field.reflection->GetMessage(*old_value, field.descriptor) : nullptr;
        Object(member.child(), old_object,
               &field.reflection->GetMessage(new_value, field.descriptor));
        break;
      }
      case Shape::kMap:
        Map(field, old_value, new_value);
        break;
      case Shape::kSetList:
        Set(field, old_value, new_value);
        break;
      case Shape::kMapList:
        Items(member, old_value, new_value);
        break;
      case Shape::kLeaf:
        break;
    }
    Close();
  }

  using SortedEntries = std::vector<std::pair<std::string, const void*>>;

  static SortedEntries Entries(const FieldSchema& field, const Message& message) {
    api::MapAccess::Entries entries;
    field.map_access->collect(message, &entries);
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return *a.first < *b.first; });
    SortedEntries out;
    out.reserve(entries.size());
    for (const auto& [key, value] : entries)
      out.emplace_back("f:" + *key, value);
    return out;
  }

  void Map(const FieldSchema& field, const Message* before, const Message& after) {
    for (const auto& [element, value] : Entries(field, after)) {
      const void* old = before ? field.map_access->find(*before, element.substr(2)) : nullptr;
      if (!old || !SameMapValue(field, old, value)) changed.Leaf(element);
    }
    if (!before) return;
    for (const auto& [element, value] : Entries(field, *before))
      if (!field.map_access->find(after, element.substr(2))) removed.Leaf(element);
  }

  static std::vector<std::string> Values(const FieldSchema& field, const Message& message) {
    const Reflection& r = *field.reflection;
    std::vector<std::string> out;
    for (int i = 0; i < r.FieldSize(message, field.descriptor); ++i) {
      std::string element = "v:";
      std::string scratch;
      switch (field.type) {
        case ValueType::kString:
        case ValueType::kBytes:
          api::AppendJsonString(
              r.GetRepeatedStringReference(message, field.descriptor, i, &scratch), &element);
          break;
        case ValueType::kInt32:
          api::AppendJsonInt(r.GetRepeatedInt32(message, field.descriptor, i), &element);
          break;
        case ValueType::kInt64:
          api::AppendJsonInt(r.GetRepeatedInt64(message, field.descriptor, i), &element);
          break;
        default:
          continue;
      }
      out.push_back(std::move(element));
    }
    std::sort(out.begin(), out.end(), ElementLess);
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  void Set(const FieldSchema& field, const Message* before, const Message& after) {
    std::vector<std::string> old_values =
        before ? Values(field, *before) : std::vector<std::string>();
    std::vector<std::string> new_values = Values(field, after);
    auto has = [](const std::vector<std::string>& values, const std::string& value) {
      return std::binary_search(values.begin(), values.end(), value, ElementLess);
    };
    for (const std::string& value : new_values)
      if (!has(old_values, value)) changed.Leaf(value);
    for (const std::string& value : old_values)
      if (!has(new_values, value)) removed.Leaf(value);
  }

  struct Item {
    std::string element;
    const Message* message;
    int place;
  };

  // The items by key; of several with one key, the first.
  static std::vector<Item> ByKey(const PlanMember& member, const Message& message) {
    const Reflection& r = *member.field->reflection;
    std::vector<Item> out;
    int size = r.FieldSize(message, member.field->descriptor);
    out.reserve(static_cast<size_t>(size));
    for (int i = 0; i < size; ++i) {
      const Message& item = r.GetRepeatedMessage(message, member.field->descriptor, i);
      out.push_back({KeyElement(member.keys, item), &item, i});
    }
    std::sort(out.begin(), out.end(), [](const Item& a, const Item& b) {
      return a.element == b.element ? a.place < b.place : ElementLess(a.element, b.element);
    });
    auto same = [](const Item& a, const Item& b) { return a.element == b.element; };
    out.erase(std::unique(out.begin(), out.end(), same), out.end());
    return out;
  }

  void Items(const PlanMember& member, const Message* before, const Message& after) {
    std::vector<Item> old_items = before ? ByKey(member, *before) : std::vector<Item>();
    auto old_item = old_items.begin();
    for (const Item& item : ByKey(member, after)) {
      while (old_item != old_items.end() && ElementLess(old_item->element, item.element))
        removed.Leaf((old_item++)->element);
      bool was = old_item != old_items.end() && old_item->element == item.element;
      const Message* old = was ? (old_item++)->message : nullptr;
      bool replaced =
          old && member.atomic_items && !SameMessage(*member.field->message, *old, *item.message);
      Open(item.element, !old || replaced);
      if (!member.atomic_items) Object(member.child(), old, item.message);
      Close();
    }
    for (; old_item != old_items.end(); ++old_item)
      removed.Leaf(old_item->element);
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
    api::AppendJsonString(member->element, &member->json);
    member->json.push_back(':');
    member->shape = ShapeOf(field);
    if (member->shape == Shape::kMapList) {
      for (std::string_view key : field.keys)
        if (const FieldSchema* key_field = field.message->Find(key))
          member->keys.push_back(key_field);
      std::sort(member->keys.begin(), member->keys.end(),
                [](const FieldSchema* a, const FieldSchema* b) { return a->name < b->name; });
      member->atomic_items = field.message->atomic();
    }
    members_.push_back(std::move(member));
  }
  std::sort(members_.begin(), members_.end(),
            [](const auto& a, const auto& b) { return a->element < b->element; });
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
  auto at = std::lower_bound(
      members_.begin(), members_.end(), name,
      [](const auto& member, std::string_view wanted) { return member->field->name < wanted; });
  return at == members_.end() || (*at)->field->name != name ? nullptr : at->get();
}

bool IsServerField(std::string_view metadata_member) {
  return std::find(kServerFields.begin(), kServerFields.end(), metadata_member) !=
         kServerFields.end();
}

Comparison Compare(const Message& before, const Message& after, std::string_view ignored_member) {
  Comparer<TreeSink, TreeSink> comparer;
  comparer.Root(before, after, ignored_member);
  Comparison out;
  *out.changed.mutable_nodes() = comparer.changed.Take();
  *out.removed.mutable_nodes() = comparer.removed.Take();
  return out;
}

std::string FieldsOfNew(const Message& object, std::string_view ignored_member) {
  const Message& empty =
      *google::protobuf::MessageFactory::generated_factory()->GetPrototype(object.GetDescriptor());
  Comparer<TextSink, NoSink> comparer;
  comparer.Root(empty, object, ignored_member);
  return comparer.changed.Take();
}

}  // namespace gantry::apiserver::apply
