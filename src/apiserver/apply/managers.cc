#include "apiserver/apply/managers.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "api/duration.h"
#include "api/quote.h"

namespace gantry::apiserver::apply {
namespace {

constexpr std::string_view kAncientChanges = "ancient-changes";

bool Contains(const Entries& entries, const std::string& raw) {
  return std::any_of(entries.begin(), entries.end(),
                     [&](const auto& entry) { return entry.fields_v1().raw() == raw; });
}

// False where no path of the set can stand in the text: none of its first elements does.
bool MayTouch(const FieldSet& set, const std::string& raw) {
  return std::any_of(set.nodes().begin(), set.nodes().end(), [&](const FieldSet::Node& node) {
    return raw.find("\"" + node.element + "\"") != std::string::npos;
  });
}

}  // namespace

FieldSet& Manager::Fields() {
  if (!decoded) {
    if (auto parsed = FieldSet::Parse(raw); parsed.ok()) fields = *std::move(parsed);
    decoded = true;
  }
  return fields;
}

void Manager::Lose(const FieldSet& changed, const FieldSet& removed) {
  if (!decoded && !MayTouch(changed, raw) && !MayTouch(removed, raw)) return;
  Fields().Remove(changed);
  Fields().RemoveBelow(removed);
}

bool Manager::SameEntry(const Manager& other) const {
  return name == other.name && operation == other.operation && subresource == other.subresource &&
         (applies() || api_version == other.api_version);
}

std::string Manager::Text() const {
  std::string out = api::GoQuote(name);
  if (!subresource.empty()) out += " with subresource " + api::GoQuote(subresource);
  if (!applies()) out += " using " + api_version;
  return out;
}

Result<Managers> DecodeManagers(const Entries& entries, const Entries* trusted) {
  Managers out;
  out.reserve(static_cast<size_t>(entries.size()) + 1);
  for (const auto& entry : entries) {
    Manager manager;
    manager.name = entry.manager();
    manager.operation = entry.operation();
    manager.api_version = entry.api_version();
    manager.subresource = entry.subresource();
    manager.has_time = entry.has_time();
    if (entry.has_time()) manager.time = api::ToWallTime(entry.time());
    if (manager.operation != "Apply" && manager.operation != "Update")
      return BadRequest("metadata.managedFields: operation must be Apply or Update");
    manager.raw = entry.fields_v1().raw();
    if (!trusted || !Contains(*trusted, manager.raw)) {
      GANTRY_ASSIGN(manager.fields, FieldSet::Parse(manager.raw));
      manager.decoded = true;
    }
    if (Manager* same = FindManager(&out, manager)) {
      same->Fields().Add(manager.Fields());
    } else {
      out.push_back(std::move(manager));
    }
  }
  return out;
}

void EncodeManagers(Managers managers, Entries* out) {
  auto key = [](const Manager& m) {
    return std::make_tuple(
        std::string_view(m.operation), std::chrono::floor<std::chrono::seconds>(m.time),
        std::string_view(m.name), std::string_view(m.api_version), std::string_view(m.subresource));
  };
  std::sort(managers.begin(), managers.end(),
            [&](const Manager& a, const Manager& b) { return key(a) < key(b); });
  out->Clear();
  for (const Manager& manager : managers) {
    if (manager.empty()) continue;
    auto* entry = out->Add();
    entry->set_manager(manager.name);
    entry->set_operation(manager.operation);
    entry->set_api_version(manager.api_version);
    if (manager.has_time) api::SetTime(manager.time, entry->mutable_time());
    entry->set_fields_type("FieldsV1");
    std::string* raw = entry->mutable_fields_v1()->mutable_raw();
    if (manager.decoded) {
      manager.fields.AppendTo(raw);
    } else {
      *raw = manager.raw;
    }
    if (!manager.subresource.empty()) entry->set_subresource(manager.subresource);
  }
}

Manager* FindManager(Managers* managers, const Manager& key) {
  for (Manager& manager : *managers)
    if (manager.SameEntry(key)) return &manager;
  return nullptr;
}

void CapUpdateManagers(Managers* managers) {
  std::vector<Manager> updaters;
  for (const Manager& manager : *managers)
    if (!manager.applies()) updaters.push_back(manager);
  if (updaters.size() <= kMaxUpdateManagers) return;
  std::sort(updaters.begin(), updaters.end(), [](const Manager& a, const Manager& b) {
    return std::tie(a.time, a.name, a.api_version, a.subresource) <
           std::tie(b.time, b.name, b.api_version, b.subresource);
  });
  auto erase = [&](const Manager& key) {
    std::erase_if(*managers, [&](const Manager& manager) { return manager.SameEntry(key); });
  };
  // The oldest of each version stays as it is until a second one comes.
  std::map<std::string, const Manager*> first_of_version;
  size_t count = updaters.size();
  for (Manager& oldest : updaters) {
    if (count <= kMaxUpdateManagers) return;
    auto [first, is_first] = first_of_version.try_emplace(oldest.api_version, &oldest);
    if (is_first) continue;
    Manager bucket;
    bucket.name = kAncientChanges;
    bucket.operation = "Update";
    bucket.api_version = oldest.api_version;
    if (!FindManager(managers, bucket)) {
      bucket.fields = Manager(*first->second).Fields();
      bucket.decoded = true;
      erase(*first->second);
      managers->push_back(bucket);
    }
    Manager* target = FindManager(managers, bucket);
    target->Fields().Add(oldest.Fields());
    target->time = oldest.time;
    target->has_time = oldest.has_time;
    if (!oldest.SameEntry(bucket)) erase(oldest);
    --count;
  }
}

}  // namespace gantry::apiserver::apply
