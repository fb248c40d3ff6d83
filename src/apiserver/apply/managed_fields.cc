#include "apiserver/apply/managed_fields.h"

#include <algorithm>
#include <map>
#include <string>

#include <google/protobuf/message.h>

#include "api/json.h"
#include "api/schema.h"
#include "apiserver/apply/compare.h"
#include "apiserver/apply/managers.h"
#include "apiserver/apply/typed_json.h"

namespace gantry::apiserver {
namespace {

using api::JsonValue;
using api::meta::v1::ObjectMeta;
using apply::Comparison;
using apply::FieldSet;
using apply::Manager;
using apply::Managers;
using apply::Plan;
using google::protobuf::Message;

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
constexpr std::string_view kBeforeFirstApply = "before-first-apply";

const ObjectMeta& MetaOf(const Message& object) {
  const auto* field = object.GetDescriptor()->FindFieldByName("metadata");
  return static_cast<const ObjectMeta&>(object.GetReflection()->GetMessage(object, field));
}
ObjectMeta* MutableMetaOf(Message* object) {
  const auto* field = object->GetDescriptor()->FindFieldByName("metadata");
  return static_cast<ObjectMeta*>(object->GetReflection()->MutableMessage(object, field));
}

// Whoever writes the object cannot set its status, and whoever writes the status can set nothing
// else.
std::string_view IgnoredMember(std::string_view subresource) {
  return subresource == "status" ? "spec" : "status";
}

// Takes out what nobody owns through this endpoint.
void Strip(std::string_view subresource, FieldSet* fields) {
  FieldSet stripped;
  FindOrAdd(stripped.mutable_nodes(), "f:" + std::string(IgnoredMember(subresource)))->member =
      true;
  fields->RemoveBelow(stripped);
  std::erase_if(*fields->mutable_nodes(), [](FieldSet::Node& node) {
    if (node.element != "f:metadata") return false;
    node.member = false;
    std::erase_if(node.children, [](const FieldSet::Node& inner) {
      return apply::IsServerField(std::string_view(inner.element).substr(2));
    });
    return node.children.empty();
  });
}

bool IsReset(const apply::Entries& entries) {
  return entries.size() == 1 && entries[0].ByteSizeLong() == 0;
}

Managers DecodeOrNone(const apply::Entries& entries, const apply::Entries* trusted) {
  auto managers = apply::DecodeManagers(entries, trusted);
  return managers.ok() ? *std::move(managers) : Managers();
}

Manager Entry(const api::KindInfo& kind, std::string_view name, std::string_view operation,
              std::string_view subresource, WallTime now) {
  Manager manager;
  manager.name = name;
  manager.operation = operation;
  manager.api_version = kind.ApiVersion();
  manager.subresource = subresource;
  manager.time = now;
  manager.has_time = true;
  return manager;
}

// Gives what changed to `self` and takes it, and what is gone, from everybody.
void Account(const Comparison& comparison, Manager self, Managers* managers) {
  for (Manager& manager : *managers)
    if (!manager.SameEntry(self)) manager.Lose(comparison.changed, comparison.removed);
  Manager* previous = FindManager(managers, self);
  if (previous) previous->Lose({}, comparison.removed);
  if (!comparison.changed.empty()) {
    if (previous) {
      previous->Fields().Add(comparison.changed);
      previous->time = self.time;
      previous->has_time = true;
    } else {
      self.fields = comparison.changed;
      self.decoded = true;
      managers->push_back(std::move(self));
    }
  }
  std::erase_if(*managers, [](const Manager& manager) { return manager.empty(); });
}

struct Conflict {
  std::string manager;
  std::string path;
};

Status ConflictError(const std::vector<Conflict>& conflicts) {
  StatusDetails details;
  std::map<std::string, std::vector<std::string>> by_manager;
  for (const Conflict& conflict : conflicts) {
    details.causes.push_back(
        {"FieldManagerConflict", "conflict with " + conflict.manager, conflict.path});
    by_manager[conflict.manager].push_back(conflict.path);
  }
  std::string message = "Apply failed with " + std::to_string(conflicts.size());
  if (conflicts.size() == 1) {
    message += " conflict: conflict with " + conflicts[0].manager + ": " + conflicts[0].path;
  } else {
    message += " conflicts: ";
    bool first = true;
    for (const auto& [manager, paths] : by_manager) {
      message += (first ? "conflicts with " : "\nconflicts with ") + manager + ":";
      for (const std::string& path : paths)
        message += "\n- " + path;
      first = false;
    }
  }
  return Status(Code::kConflict, std::move(message), std::move(details));
}

// What kubectl applied from the client's side, by its annotation: kubectl may take these fields
// over without force.
FieldSet LastAppliedFields(const Plan& plan, const Message& live) {
  const auto& annotations = MetaOf(live).annotations();
  auto found = annotations.find(std::string(kLastApplied));
  if (found == annotations.end()) return {};
  auto document = JsonValue::Parse(found->second);
  if (!document.ok()) return {};
  auto fields = FieldSetOf(plan, *document);
  if (!fields.ok()) return {};
  FieldSet out = *std::move(fields);
  auto* metadata = FindOrAdd(out.mutable_nodes(), "f:metadata");
  auto* all = FindOrAdd(&metadata->children, "f:annotations");
  FindOrAdd(&all->children, "f:" + std::string(kLastApplied))->member = true;
  return out;
}

Status CheckApplied(const api::KindInfo& kind, const JsonValue& applied) {
  const JsonValue* version = applied.Find("apiVersion");
  std::string given = version && version->is_string() ? version->as_string() : "";
  if (given != kind.ApiVersion())
    return BadRequest("Incorrect version specified in apply patch. Specified patch version: " +
                      given + ", expected: " + kind.ApiVersion());
  const JsonValue* metadata = applied.Find("metadata");
  const JsonValue* managed = metadata ? metadata->Find("managedFields") : nullptr;
  if (managed && !managed->is_null()) return BadRequest("metadata.managedFields must be nil");
  return {};
}

std::string AppliedName(const api::KindInfo& kind, const JsonValue& applied) {
  auto text = [&](std::string_view member) {
    const JsonValue* metadata = applied.Find("metadata");
    const JsonValue* value = metadata ? metadata->Find(member) : nullptr;
    return value && value->is_string() ? value->as_string() : std::string();
  };
  return text("namespace") + "/" + text("name") + "; " + std::string(kind.group) + "/" +
         std::string(kind.version) + ", Kind=" + std::string(kind.kind);
}

// Takes out of `merged` what `last` had and no manager has any more.
void Prune(const Plan& plan, FieldSet last, Managers& managers, JsonValue* merged) {
  if (last.empty()) return;
  FieldSet owned;
  for (Manager& manager : managers)
    owned.Add(manager.Fields());
  AddNamedFields(plan, last.mutable_nodes());
  AddNamedFields(plan, owned.mutable_nodes());
  last.Remove(owned);
  RemovePaths(plan, last.nodes(), merged);
}

// kubectl reads its annotation again when it goes back to client-side apply, so it follows what is
// applied.
void RefreshLastApplied(const JsonValue& applied, Message* object) {
  auto* annotations = MutableMetaOf(object)->mutable_annotations();
  auto found = annotations->find(std::string(kLastApplied));
  if (found == annotations->end()) return;
  JsonValue copy = applied;
  if (JsonValue* metadata = copy.Find("metadata"))
    if (JsonValue* inner = metadata->Find("annotations")) inner->Erase(kLastApplied);
  found->second = copy.ToString() + "\n";
}

std::unique_ptr<Message> Copy(const Message& message) {
  std::unique_ptr<Message> copy(message.New());
  copy->CopyFrom(message);
  return copy;
}

}  // namespace

void UpdateManagedFields(const api::KindInfo& kind, const Message* before, Message* after,
                         std::string_view manager, std::string_view subresource, WallTime now) {
  apply::Entries* entries = MutableMetaOf(after)->mutable_managed_fields();
  const apply::Entries* live = before ? &MetaOf(*before).managed_fields() : nullptr;
  std::string_view ignored = IgnoredMember(subresource);
  Managers managers;
  if (IsReset(*entries)) {
    entries->Clear();
  } else {
    // A subresource cannot change what the object says of its managers.
    bool take = subresource.empty() && !entries->empty();
    if (take) managers = DecodeOrNone(*entries, live);
    if (managers.empty() && live) managers = DecodeOrNone(*live, live);
  }
  if (!before && managers.empty()) {
    Manager self = Entry(kind, manager, "Update", subresource, now);
    self.raw = apply::FieldsOfNew(*after, ignored);
    managers.push_back(std::move(self));
    return apply::EncodeManagers(std::move(managers), entries);
  }
  if (managers.empty()) return entries->Clear();
  std::unique_ptr<Message> none(before ? nullptr : after->New());
  Comparison comparison = apply::Compare(before ? *before : *none, *after, ignored);
  Account(comparison, Entry(kind, manager, "Update", subresource, now), &managers);
  apply::CapUpdateManagers(&managers);
  apply::EncodeManagers(std::move(managers), entries);
}

Result<std::unique_ptr<Message>> Apply(const api::KindInfo& kind, const Message* live,
                                       const JsonValue& applied, std::string_view manager,
                                       std::string_view subresource, bool force, WallTime now) {
  GANTRY_TRY(CheckApplied(kind, applied));
  std::unique_ptr<Message> base =
      live ? Copy(*live) : std::unique_ptr<Message>(kind.prototype->New());
  const Plan& plan = Plan::Of(api::SchemaOf(base->GetDescriptor()));
  auto checked = FieldSetOf(plan, applied);
  if (!checked.ok())
    return Status(Code::kUnknown, "failed to create typed patch object (" +
                                      AppliedName(kind, applied) +
                                      "): " + checked.status().message());
  FieldSet fields = *std::move(checked);
  Strip(subresource, &fields);

  Managers managers = DecodeOrNone(MetaOf(*base).managed_fields(), nullptr);
  MutableMetaOf(base.get())->clear_managed_fields();
  if (managers.empty() && live) {
    std::unique_ptr<Message> none(base->New());
    Comparison all = apply::Compare(*none, *base, IgnoredMember(subresource));
    Account(all, Entry(kind, kBeforeFirstApply, "Update", subresource, now), &managers);
  }
  Manager self = Entry(kind, manager, "Apply", subresource, now);
  FieldSet last;
  if (Manager* previous = FindManager(&managers, self)) {
    last = previous->Fields();
    self.time = previous->time;
    self.has_time = previous->has_time;
  }
  std::erase_if(managers, [&](const Manager& other) { return other.SameEntry(self); });
  self.fields = std::move(fields);
  self.decoded = true;
  managers.push_back(self);

  std::string text;
  api::WriteJson(*base, &text);
  GANTRY_ASSIGN(JsonValue document, JsonValue::Parse(text));
  JsonValue merged = Merge(plan, std::move(document), applied);
  Prune(plan, std::move(last), managers, &merged);
  std::unique_ptr<Message> result(base->New());
  GANTRY_TRY(api::ReadJson(merged.ToString(), result.get()));

  Comparison comparison = apply::Compare(*base, *result, IgnoredMember(subresource));
  std::vector<Conflict> conflicts;
  FieldSet allowed =
      manager == "kubectl" && live && !force ? LastAppliedFields(plan, *live) : FieldSet();
  bool changed = !comparison.changed.empty() || !comparison.removed.empty() || !live;
  for (Manager& other : managers) {
    if (other.SameEntry(self)) continue;
    FieldSet conflict = FieldSet::Intersection(other.Fields(), comparison.changed);
    if (!force) {
      FieldSet open = conflict;
      open.Remove(allowed);
      for (std::string& path : open.Paths())
        conflicts.push_back({other.Text(), std::move(path)});
    }
    other.Lose(conflict, comparison.removed);
  }
  if (!conflicts.empty()) {
    std::sort(conflicts.begin(), conflicts.end(), [](const Conflict& a, const Conflict& b) {
      return std::tie(a.manager, a.path) < std::tie(b.manager, b.path);
    });
    return ConflictError(conflicts);
  }
  if (Manager* own = FindManager(&managers, self); own && (changed || !own->has_time)) {
    own->time = now;
    own->has_time = true;
  }
  if (manager == "kubectl" && live) RefreshLastApplied(applied, result.get());
  apply::EncodeManagers(std::move(managers), MutableMetaOf(result.get())->mutable_managed_fields());
  return result;
}

}  // namespace gantry::apiserver
