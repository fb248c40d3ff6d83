#include "apiserver/apply/typed_json.h"

#include <map>
#include <set>

#include "api/go_text.h"
#include "api/json_text.h"

namespace gantry::apiserver::apply {
namespace {

using api::JsonForm;
using api::JsonValue;
using api::ValueType;
using Node = FieldSet::Node;
using Nodes = FieldSet::Nodes;
using Shape = PlanMember::Shape;
using Array = JsonValue::Array;

// A value as Go's %v and %#v print the wrapper around it.
std::string Shown(const JsonValue& value) { return "&{" + api::GoText(value) + "}"; }
std::string ShownWithType(const JsonValue& value) {
  return "&value.valueUnstructured{Value:" + value.ToString() + "}";
}

// Type errors are collected like this: `.spec.replicas: expected numeric (int or float), got
// string`.
Status TypeError(const std::string& path, const std::string& what) {
  return BadRequest(path + ": " + what);
}

Status CheckScalar(const api::FieldSchema& field, const JsonValue& value, const std::string& path) {
  if (value.is_null()) return {};
  switch (field.type) {
    case ValueType::kString:
    case ValueType::kBytes:
      if (!value.is_string())
        return TypeError(path, "expected string, got " + ShownWithType(value));
      return {};
    case ValueType::kBool:
      if (!value.is_bool()) return TypeError(path, "expected boolean, got " + Shown(value));
      return {};
    case ValueType::kInt32:
    case ValueType::kInt64:
    case ValueType::kDouble:
      if (!value.is_number())
        return TypeError(
            path, "expected numeric (int or float), got " + std::string(api::GoTypeOf(value)));
      return {};
    case ValueType::kMessage:
      if (field.message->form() == JsonForm::kObject && !value.is_object())
        return TypeError(path, "expected map, got " + Shown(value));
      return {};
  }
  return {};
}

// The element of an item in a list of objects.
Result<std::string> ItemElement(const PlanMember& member, const JsonValue& item, size_t index,
                                const std::string& path) {
  std::string out = "k:{";
  const api::FieldSchema* missing = nullptr;
  for (const api::FieldSchema* key : member.keys) {
    const JsonValue* value = item.Find(key->name);
    if (value && value->is_null()) value = nullptr;
    if (!value && key->default_value.empty()) {
      missing = key;
      continue;
    }
    if (out.back() != '{') out.push_back(',');
    api::AppendJsonString(key->name, &out);
    out.push_back(':');
    if (value) {
      value->AppendTo(&out);
    } else if (key->type == ValueType::kString) {
      api::AppendJsonString(key->default_value, &out);
    } else {
      out.append(key->default_value);
    }
  }
  if (out.back() == '{' && missing)
    return TypeError(path,
                     "element " + std::to_string(index) +
                         ": associative list with keys has an element that omits key field \"" +
                         std::string(missing->name) + "\" (and doesn't have default value)");
  out.push_back('}');
  return out;
}

std::string ValueElement(const JsonValue& item) { return "v:" + item.ToString(); }

// The element of every item of a list that merges.
Result<std::vector<std::string>> Elements(const PlanMember& member, const Array& items,
                                          const std::string& path) {
  std::vector<std::string> out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (member.shape == Shape::kSetList) {
      out.push_back(ValueElement(items[i]));
      continue;
    }
    if (!items[i].is_object())
      return TypeError(path, "element " + std::to_string(i) +
                                 ": associative list with keys may not have non-map elements");
    GANTRY_ASSIGN(std::string element, ItemElement(member, items[i], i, path));
    out.push_back(std::move(element));
  }
  return out;
}

bool IsEmptyObject(const JsonValue& value) {
  return value.is_object() && value.as_object().empty();
}

Status CollectObject(const Plan& plan, const JsonValue& object, const std::string& path, bool root,
                     Nodes* nodes);

Status CollectMember(const PlanMember& member, const JsonValue& value, const std::string& path,
                     Node* node) {
  const api::FieldSchema& field = *member.field;
  if (value.is_null()) {
    node->member = true;
    return {};
  }
  bool wants_list = field.list;
  bool wants_map = field.map;
  if (wants_list && !value.is_array()) return TypeError(path, "expected list, got " + Shown(value));
  if (wants_map && !value.is_object()) return TypeError(path, "expected map, got " + Shown(value));
  switch (member.shape) {
    case Shape::kLeaf:
      node->member = true;
      if (!wants_list && !wants_map) return CheckScalar(field, value, path);
      return {};
    case Shape::kObject:
      GANTRY_TRY(CheckScalar(field, value, path));
      node->member = IsEmptyObject(value);
      return CollectObject(member.child(), value, path, false, &node->children);
    case Shape::kMap:
      node->member = IsEmptyObject(value);
      for (const auto& [key, entry] : value.as_object()) {
        GANTRY_TRY(CheckScalar(field, entry, path + "." + key));
        FindOrAdd(&node->children, "f:" + key)->member = true;
      }
      return {};
    case Shape::kSetList:
    case Shape::kMapList: {
      const Array& items = value.as_array();
      node->member = items.empty();
      GANTRY_ASSIGN(auto elements, Elements(member, items, path));
      for (size_t i = 0; i < items.size(); ++i) {
        Node* item = FindOrAdd(&node->children, elements[i]);
        if (item->member)
          return TypeError(path, "duplicate entries for key " + ElementText(elements[i]));
        item->member = true;
        if (member.shape == Shape::kMapList && !member.atomic_items)
          GANTRY_TRY(CollectObject(member.child(), items[i], path + ElementText(elements[i]), false,
                                   &item->children));
      }
      return {};
    }
  }
  return {};
}

Status CollectObject(const Plan& plan, const JsonValue& object, const std::string& path, bool root,
                     Nodes* nodes) {
  for (const auto& [name, value] : object.as_object()) {
    if (root && (name == "apiVersion" || name == "kind")) continue;
    const PlanMember* member = plan.Find(name);
    std::string inner = path + "." + name;
    if (!member) return TypeError(inner, "field not declared in schema");
    GANTRY_TRY(CollectMember(*member, value, inner, FindOrAdd(nodes, member->element)));
  }
  return {};
}

JsonValue MergeObject(const Plan& plan, JsonValue live, const JsonValue& applied);

// Items of both lists in one: the order of `applied` holds; items that only `live` has stay before
// the next item that both have.
JsonValue MergeLists(const PlanMember& member, const Array& live, const Array& applied) {
  auto left = Elements(member, live, "");
  auto right = Elements(member, applied, "");
  if (!left.ok() || !right.ok()) return JsonValue(applied);
  std::map<std::string_view, const JsonValue*> live_items;
  std::set<std::string_view> applied_items(right->begin(), right->end());
  for (size_t i = 0; i < live.size(); ++i)
    live_items.emplace((*left)[i], &live[i]);
  std::vector<size_t> next_shared(applied.size() + 1, applied.size());
  for (size_t j = applied.size(); j-- > 0;)
    next_shared[j] = live_items.contains((*right)[j]) ? j : next_shared[j + 1];

  Array out;
  size_t i = 0, j = 0;
  auto take_applied = [&] {
    auto old = live_items.find((*right)[j]);
    bool merge = old != live_items.end() && member.shape == Shape::kMapList && !member.atomic_items;
    out.push_back(merge ? MergeObject(member.child(), *old->second, applied[j]) : applied[j]);
    ++j;
  };
  while (i < live.size() || j < applied.size()) {
    if (i == live.size()) {
      take_applied();
    } else if (!applied_items.contains((*left)[i])) {
      out.push_back(live[i++]);
    } else if (j < applied.size() && (*left)[i] == (*right)[j]) {
      take_applied();
      ++i;
    } else if (next_shared[j] == applied.size() || (*right)[next_shared[j]] != (*left)[i]) {
      ++i;  // comes, or came, with the applied ones
    } else {
      take_applied();
    }
  }
  return JsonValue(std::move(out));
}

JsonValue MergeObject(const Plan& plan, JsonValue live, const JsonValue& applied) {
  if (!live.is_object() || !applied.is_object()) return applied;
  for (const auto& [name, value] : applied.as_object()) {
    JsonValue& target = live[name];
    const PlanMember* member = plan.Find(name);
    Shape shape = member ? member->shape : Shape::kLeaf;
    if (shape == Shape::kObject) {
      target = MergeObject(member->child(), std::move(target), value);
    } else if (shape == Shape::kMap && target.is_object() && value.is_object()) {
      for (const auto& [key, entry] : value.as_object())
        target[key] = entry;
    } else if ((shape == Shape::kSetList || shape == Shape::kMapList) && target.is_array() &&
               value.is_array()) {
      target = MergeLists(*member, target.as_array(), value.as_array());
    } else {
      target = value;
    }
  }
  return live;
}

void RemoveFromList(const PlanMember& member, const Nodes& nodes, JsonValue* list) {
  auto elements = Elements(member, list->as_array(), "");
  if (!elements.ok()) return;
  Array kept;
  for (size_t i = 0; i < elements->size(); ++i) {
    JsonValue& item = list->as_array()[i];
    const Node* node = FindNode(nodes, (*elements)[i]);
    if (node && node->member) continue;
    if (node && member.shape == Shape::kMapList && !member.atomic_items)
      RemovePaths(member.child(), node->children, &item);
    kept.push_back(std::move(item));
  }
  list->as_array() = std::move(kept);
}

}  // namespace

Result<FieldSet> FieldSetOf(const Plan& plan, const JsonValue& document) {
  FieldSet out;
  if (!document.is_object()) return TypeError("", "expected map, got " + Shown(document));
  GANTRY_TRY(CollectObject(plan, document, "", true, out.mutable_nodes()));
  return out;
}

JsonValue Merge(const Plan& plan, JsonValue live, const JsonValue& applied) {
  return MergeObject(plan, std::move(live), applied);
}

void RemovePaths(const Plan& plan, const Nodes& nodes, JsonValue* document) {
  for (const Node& node : nodes) {
    std::string_view name = std::string_view(node.element).substr(2);
    if (node.member) {
      document->Erase(name);
      continue;
    }
    const PlanMember* member = plan.Find(name);
    JsonValue* value = document->Find(name);
    if (!member || !value) continue;
    switch (member->shape) {
      case Shape::kLeaf:
        break;
      case Shape::kObject:
        if (value->is_object()) RemovePaths(member->child(), node.children, value);
        break;
      case Shape::kMap:
        for (const Node& entry : node.children)
          if (entry.member) value->Erase(std::string_view(entry.element).substr(2));
        break;
      case Shape::kSetList:
      case Shape::kMapList:
        if (value->is_array()) RemoveFromList(*member, node.children, value);
        break;
    }
  }
}

void AddNamedFields(const Plan& plan, Nodes* nodes) {
  for (Node& node : *nodes) {
    const PlanMember* member = plan.Find(std::string_view(node.element).substr(2));
    if (!member) continue;
    node.member = true;
    if (member->shape == Shape::kObject) AddNamedFields(member->child(), &node.children);
    if (member->shape == Shape::kMapList && !member->atomic_items)
      for (Node& item : node.children)
        AddNamedFields(member->child(), &item.children);
  }
}

}  // namespace gantry::apiserver::apply
