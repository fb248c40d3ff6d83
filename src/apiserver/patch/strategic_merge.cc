#include <algorithm>
#include <limits>
#include <string>
#include <unordered_map>
#include <vector>

#include <google/protobuf/descriptor.h>

#include "api/go_text.h"
#include "api/schema.h"
#include "apiserver/patch/patch.h"

namespace gantry::apiserver {
namespace {

using api::FieldSchema;
using api::GoText;
using api::GoTypeOf;
using api::JsonValue;
using api::MessageSchema;
using Array = JsonValue::Array;
using Object = JsonValue::Object;

constexpr std::string_view kDirective = "$patch";
constexpr std::string_view kRetainKeys = "$retainKeys";
constexpr std::string_view kSetOrder = "$setElementOrder";
constexpr std::string_view kDeleteFromList = "$deleteFromPrimitiveList";

constexpr std::string_view kBadRetainKeys = "invalid patch format of retainKeys";
constexpr std::string_view kBadSetOrder = "invalid patch format of setElementOrder list";
constexpr std::string_view kBadDeleteList = "invalid patch format of primitive list";
constexpr std::string_view kListOfLists = "lists of lists are not supported";

// A patch that cannot be, though its form is right: kube-apiserver gives no reason for it.
Status Broken(std::string message) { return Status(Code::kUnknown, std::move(message)); }

Status NoMergeKey(const JsonValue& item, std::string_view key) {
  return Broken("map: " + GoText(item) +
                " does not contain declared merge key: " + std::string(key));
}
Status UnknownDirective(const JsonValue& directive, const JsonValue& item) {
  return Broken("unknown patch type: " + GoText(directive) + " in map: " + GoText(item));
}
Status WrongKind(std::string_view wanted, const JsonValue& value) {
  return Broken("expected a " + std::string(wanted) + ", but received a " +
                std::string(GoTypeOf(value)));
}

bool IsDirectiveName(std::string_view name) {
  return name == kDirective || name == kRetainKeys || name.starts_with(kSetOrder) ||
         name.starts_with(kDeleteFromList);
}

// "containers" of "$setElementOrder/containers".
Result<std::string> DirectiveField(std::string_view name, std::string_view prefix,
                                   std::string_view error) {
  if (name.size() <= prefix.size() || name[prefix.size()] != '/')
    return BadRequest(std::string(error));
  return std::string(name.substr(prefix.size() + 1));
}

// How a member of an object merges; of what the schema does not know, objects merge and lists are
// replaced.
struct Rule {
  const MessageSchema* schema = nullptr;
  bool merge = false;
  std::string_view key;
};

Rule RuleOf(const MessageSchema* schema, std::string_view name) {
  const FieldSchema* field = schema ? schema->Find(name) : nullptr;
  if (!field) return {};
  // The entries of a map are merged by name, each by the schema of the value; no map of the API has
  // mergeable values.
  if (field->map) return {};
  return {field->message, field->patch_merge, field->merge_key};
}

void DropNulls(JsonValue* value) {
  if (value->is_object()) {
    std::erase_if(value->as_object(),
                  [](const JsonValue::Member& member) { return member.second.is_null(); });
    for (auto& [name, member] : value->as_object())
      DropNulls(&member);
  } else if (value->is_array()) {
    for (JsonValue& item : value->as_array())
      DropNulls(&item);
  }
}

// Takes all directives out of a value that is new. False where it says of itself that it is to be
// deleted.
bool DropDirectives(JsonValue* value) {
  if (value->is_object()) {
    const JsonValue* directive = value->Find(kDirective);
    if (directive && directive->is_string() && directive->as_string() == "delete") return false;
    std::erase_if(value->as_object(), [](JsonValue::Member& member) {
      return IsDirectiveName(member.first) || !DropDirectives(&member.second);
    });
  } else if (value->is_array()) {
    std::erase_if(value->as_array(), [](JsonValue& item) { return !DropDirectives(&item); });
  }
  return true;
}

bool SameType(const JsonValue& a, const JsonValue& b) {
  return (a.is_object() && b.is_object()) || (a.is_array() && b.is_array()) ||
         (!a.is_object() && !a.is_array() && !b.is_object() && !b.is_array());
}

// What identifies an item: the value of its merge key, or (without a key) the item itself.
const JsonValue* Identity(const JsonValue& item, std::string_view key) {
  return key.empty() || !item.is_object() ? &item : item.Find(key);
}

constexpr size_t kAbsent = std::numeric_limits<size_t>::max();

// Where the items of a list are.
class Places {
 public:
  Places(const Array& list, std::string_view key) : key_(key) {
    for (const JsonValue& item : list) {
      Insert(item);
      ++count_;
    }
  }

  size_t Find(const JsonValue& item) const {
    const JsonValue* identity = Identity(item, key_);
    auto found = identity ? places_.find(identity->ToString()) : places_.end();
    return found == places_.end() ? kAbsent : found->second;
  }
  bool Has(const JsonValue& item) const { return Find(item) != kAbsent; }
  // Adds the item behind the others. False where it was there already.
  bool Add(const JsonValue& item) {
    bool added = Insert(item);
    if (added) ++count_;
    return added;
  }

 private:
  bool Insert(const JsonValue& item) {
    const JsonValue* identity = Identity(item, key_);
    return identity && places_.emplace(identity->ToString(), count_).second;
  }

  std::string_view key_;
  size_t count_ = 0;
  std::unordered_map<std::string, size_t> places_;
};

// Puts `items` into the given order; those that are not in it keep their place at the end.
Array Sorted(Array items, const Places& order) {
  std::vector<std::pair<size_t, size_t>> places;
  for (size_t i = 0; i < items.size(); ++i)
    places.emplace_back(order.Find(items[i]), i);
  std::sort(places.begin(), places.end());
  Array out;
  for (const auto& [place, i] : places)
    out.push_back(std::move(items[i]));
  return out;
}

// Items that `wanted` lists come in its order, the others in the order they had on the server;
// where both meet, the order on the server decides.
Array Ordered(Array merged, const Places& wanted, const Places& server) {
  Array listed, others;
  for (JsonValue& item : merged)
    (wanted.Has(item) ? listed : others).push_back(std::move(item));
  listed = Sorted(std::move(listed), wanted);
  others = Sorted(std::move(others), server);
  Array out;
  size_t i = 0, j = 0;
  while (i < others.size() && j < listed.size()) {
    size_t left = server.Find(others[i]);
    size_t right = server.Find(listed[j]);
    bool other_first = left != kAbsent && right != kAbsent && left < right;
    out.push_back(std::move(other_first ? others[i++] : listed[j++]));
  }
  while (i < others.size())
    out.push_back(std::move(others[i++]));
  while (j < listed.size())
    out.push_back(std::move(listed[j++]));
  return out;
}

class Merger {
 public:
  Result<JsonValue> MergeObject(JsonValue original, JsonValue patch, const MessageSchema* schema) {
    if (const JsonValue* directive = patch.Find(kDirective)) {
      if (*directive == JsonValue("delete")) return JsonValue::MakeObject();
      if (*directive != JsonValue("replace")) return UnknownDirective(*directive, patch);
      patch.Erase(kDirective);
      return patch;
    }
    if (!original.is_object()) original = JsonValue::MakeObject();
    GANTRY_TRY(RetainKeys(&original, &patch));
    GANTRY_TRY(SetOrder(&original, &patch, schema));
    for (auto& [name, value] : patch.as_object())
      GANTRY_TRY(MergeMember(&original, name, std::move(value), schema));
    return original;
  }

 private:
  static Status RetainKeys(JsonValue* original, JsonValue* patch) {
    const JsonValue* list = patch->Find(kRetainKeys);
    if (!list) return {};
    if (!list->is_array()) return BadRequest(std::string(kBadRetainKeys));
    std::vector<std::string> keep;
    for (const JsonValue& item : list->as_array()) {
      if (!item.is_string()) return BadRequest(std::string(kBadRetainKeys));
      keep.push_back(item.as_string());
    }
    patch->Erase(kRetainKeys);
    auto kept = [&](const std::string& name) {
      return std::find(keep.begin(), keep.end(), name) != keep.end();
    };
    for (const auto& [name, value] : patch->as_object())
      if (!value.is_null() && !IsDirectiveName(name) && !kept(name))
        return BadRequest(std::string(kBadRetainKeys));
    std::erase_if(original->as_object(),
                  [&](const JsonValue::Member& member) { return !kept(member.first); });
    return {};
  }

  // Merges the lists whose order the patch gives, and takes them out of the patch.
  Status SetOrder(JsonValue* original, JsonValue* patch, const MessageSchema* schema) {
    Object orders, rest;
    for (auto& member : patch->as_object())
      (member.first.starts_with(kSetOrder) ? orders : rest).push_back(std::move(member));
    patch->as_object() = std::move(rest);
    for (auto& [name, order] : orders) {
      if (!order.is_array()) return WrongKind("[]interface {}", order);
      GANTRY_ASSIGN(std::string field, DirectiveField(name, kSetOrder, kBadSetOrder));
      Rule rule = RuleOf(schema, field);
      JsonValue* on_server = original->Find(field);
      JsonValue* in_patch = patch->Find(field);
      if (on_server && !on_server->is_array()) return WrongKind("[]interface {}", *on_server);
      if (in_patch && !in_patch->is_array()) return WrongKind("[]interface {}", *in_patch);
      if (in_patch) GANTRY_TRY(CheckOrder(in_patch->as_array(), order.as_array(), rule.key));
      if (!on_server && !in_patch) continue;
      Places server(on_server ? on_server->as_array() : Array(), rule.key);
      JsonValue merged;
      if (!in_patch) {
        merged = *on_server;
      } else if (!on_server) {
        merged = std::move(*in_patch);
        DropDirectives(&merged);
      } else {
        GANTRY_ASSIGN(merged, MergeList(std::move(*on_server), std::move(*in_patch), rule, false));
      }
      if (in_patch) patch->Erase(field);
      if (!rule.key.empty())
        for (const Array* list : {&merged.as_array(), &order.as_array()})
          GANTRY_TRY(CheckKeys(*list, rule.key));
      (*original)[field] = JsonValue(
          Ordered(std::move(merged.as_array()), Places(order.as_array(), rule.key), server));
    }
    return {};
  }

  static Status CheckKeys(const Array& items, std::string_view key) {
    for (const JsonValue& item : items) {
      if (!item.is_object()) return WrongKind("map[string]interface {}", item);
      if (!item.Find(key)) return NoMergeKey(item, key);
    }
    return {};
  }

  // The items of the patch that are not deleted must stand in the order list, in the same order.
  static Status CheckOrder(const Array& items, const Array& order, std::string_view key) {
    size_t at = 0;
    for (const JsonValue& item : items) {
      if (item.is_object() && item.Find(kDirective)) continue;
      const JsonValue* identity = Identity(item, key);
      if (!identity) return NoMergeKey(item, key);
      while (at < order.size()) {
        const JsonValue* other = Identity(order[at++], key);
        if (!other) return NoMergeKey(order[at - 1], key);
        if (*other == *identity) {
          identity = nullptr;
          break;
        }
      }
      if (identity)
        return Broken("The order in patch list:\n" + GoText(JsonValue(items)) +
                      "\n doesn't match " + std::string(kSetOrder) + " list:\n" +
                      GoText(JsonValue(order)) + "\n");
    }
    return {};
  }

  Status MergeMember(JsonValue* original, const std::string& name, JsonValue value,
                     const MessageSchema* schema) {
    bool delete_list = name.starts_with(kDeleteFromList);
    std::string field = name;
    if (delete_list) {
      GANTRY_ASSIGN(field, DirectiveField(name, kDeleteFromList, kBadDeleteList));
    }
    if (value.is_null()) {
      original->Erase(field);
      return {};
    }
    JsonValue* old = original->Find(field);
    if (!old || !SameType(*old, value)) {
      if (delete_list) return {};
      DropNulls(&value);
      if (DropDirectives(&value)) {
        (*original)[field] = std::move(value);
      } else {
        original->Erase(field);
      }
      return {};
    }
    Rule rule = RuleOf(schema, field);
    if (value.is_object()) {
      GANTRY_ASSIGN(*old, MergeObject(std::move(*old), std::move(value), rule.schema));
    } else if (value.is_array()) {
      GANTRY_ASSIGN(*old, MergeList(std::move(*old), std::move(value), rule, delete_list));
    } else {
      *old = std::move(value);
    }
    return {};
  }

  Result<JsonValue> MergeList(JsonValue original, JsonValue patch, const Rule& rule,
                              bool delete_list) {
    if (!rule.merge && !delete_list) return patch;
    Array& server = original.as_array();
    Array& items = patch.as_array();
    const JsonValue* sample = !server.empty()  ? &server.front()
                              : !items.empty() ? &items.front()
                                               : nullptr;
    if (!sample) return original;
    for (const Array* list : {&server, &items})
      for (const JsonValue& item : *list) {
        if (item.is_array()) return Status(Code::kInvalid, std::string(kListOfLists));
        if (item.is_object() != sample->is_object())
          return Broken("list element types are not identical: " + GoText(JsonValue(*list)));
      }
    if (!sample->is_object()) return JsonValue(MergeScalars(server, items, delete_list));
    if (rule.key.empty()) return Broken("cannot merge lists without merge key");
    return MergeItems(std::move(server), std::move(items), rule);
  }

  static Array MergeScalars(const Array& server, const Array& items, bool delete_list) {
    Array out;
    Places in_patch(items, "");
    if (delete_list) {
      for (const JsonValue& item : server)
        if (!in_patch.Has(item)) out.push_back(item);
      return out;
    }
    Places seen({}, "");
    for (const Array* list : {&server, &items})
      for (const JsonValue& item : *list)
        if (seen.Add(item)) out.push_back(item);
    return Ordered(std::move(out), in_patch, Places(server, ""));
  }

  Result<JsonValue> MergeItems(Array server, Array patch, const Rule& rule) {
    Array items;
    bool replace = false;
    for (JsonValue& item : patch) {
      const JsonValue* directive = item.Find(kDirective);
      if (!directive) {
        items.push_back(std::move(item));
      } else if (*directive == JsonValue("delete")) {
        const JsonValue* key = item.Find(rule.key);
        if (!key) return NoMergeKey(item, rule.key);
        std::erase_if(server, [&](const JsonValue& old) {
          const JsonValue* identity = old.Find(rule.key);
          return identity && *identity == *key;
        });
      } else if (*directive == JsonValue("replace")) {
        replace = true;
      } else if (*directive == JsonValue("merge")) {
        return Broken("merging lists cannot yet be specified in the patch");
      } else {
        return UnknownDirective(*directive, item);
      }
    }
    if (replace) return JsonValue(std::move(items));
    GANTRY_TRY(CheckKeys(items, rule.key));
    GANTRY_TRY(CheckKeys(server, rule.key));
    Places in_patch(items, rule.key);
    Places on_server(server, rule.key);
    Places merged(server, rule.key);
    for (JsonValue& item : items) {
      if (merged.Add(item)) {
        DropNulls(&item);
        DropDirectives(&item);
        server.push_back(std::move(item));
        continue;
      }
      JsonValue& old = server[merged.Find(item)];
      GANTRY_ASSIGN(old, MergeObject(std::move(old), std::move(item), rule.schema));
    }
    return JsonValue(Ordered(std::move(server), in_patch, on_server));
  }
};

}  // namespace

Result<JsonValue> StrategicMergePatch(const google::protobuf::Descriptor* type, JsonValue document,
                                      const JsonValue& patch) {
  if (!patch.is_object())
    return BadRequest("json: cannot unmarshal " +
                      std::string(patch.is_array() ? "array" : "value") +
                      " into Go value of type map[string]interface {}");
  return Merger().MergeObject(std::move(document), patch, &api::SchemaOf(type));
}

}  // namespace gantry::apiserver
