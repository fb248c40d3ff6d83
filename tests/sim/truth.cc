#include "sim/truth.h"

#include <algorithm>
#include <utility>

#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"

namespace gantry::sim {
namespace {

// What changes also while nothing happens.
bool IsHeartbeat(const api::KindInfo& kind, const Fact& fact) {
  if (kind.kind == "Lease" || kind.kind == "Event") return true;
  if (kind.kind != "Node" || !fact.before || !fact.after) return false;
  return fact.before->As<api::core::v1::Node>().spec().SerializeAsString() ==
         fact.after->As<api::core::v1::Node>().spec().SerializeAsString();
}

std::string Words(const Fact& fact) {
  std::string text = "store: " + std::to_string(fact.revision) + " " + fact.key;
  const api::ObjectPtr& object = fact.after ? fact.after : fact.before;
  text += fact.deleted ? " is deleted" : fact.before ? "" : " is new";
  text += " (" + object->uid() + ")";
  if (object->meta().has_deletion_timestamp()) text += " leaving";
  if (&object->kind() == &api::KindOf<api::core::v1::Pod>()) {
    const auto& pod = object->As<api::core::v1::Pod>();
    text += " on '" + pod.spec().node_name() + "' " + pod.status().phase();
  }
  return text;
}

}  // namespace

Truth::Truth(World& world) : world_(world) {
  for (const api::KindInfo& kind : api::AllKinds()) {
    if (kind.storage_kind != &kind || kind.storage_prefix.empty()) continue;
    kinds_[api::StoragePrefix(kind)].info = &kind;
  }
}

Truth::Kind* Truth::Route(std::string_view key) {
  auto it = kinds_.upper_bound(key);
  if (it == kinds_.begin()) return nullptr;
  --it;
  return key.starts_with(it->first) ? &it->second : nullptr;
}

Task<> Truth::Adopt(store::Store& store) {
  store.AddObserver(this);
  if (store.revision() < revision_) {
    world_.Breach("the store came back at revision " + std::to_string(store.revision()) +
                  " after it had shown " + std::to_string(revision_));
    co_return;
  }
  Result<std::unique_ptr<store::WatchStream>> unheard = store.Watch("", revision_);
  while (unheard.ok() && revision_ < store.revision()) {
    Result<std::vector<store::Event>> events = co_await (*unheard)->Next(CancelToken());
    if (!events.ok()) break;
    OnCommit(*events);
  }
  Result<store::ListPage> page = co_await store.List("");
  if (!page.ok()) {
    world_.Breach("the store cannot be read after its start: " + page.status().ToString());
    co_return;
  }
  std::map<std::string, int64_t, std::less<>> held;
  for (const store::Record& record : page->records)
    held[record.key] = record.revision;
  for (const auto& [key, revision] : revisions_) {
    if (!held.contains(key) || held[key] != revision)
      world_.Breach("the store lost " + key + " of revision " + std::to_string(revision));
  }
  for (const auto& [key, revision] : held) {
    if (!revisions_.contains(key)) world_.Breach("the store brought back " + key);
  }
}

void Truth::OnCommit(const std::vector<store::Event>& events) {
  int64_t batch = 0;
  for (const store::Event& event : events) {
    Fact fact;
    fact.revision = event.record.revision;
    fact.key = event.record.key;
    fact.deleted = event.type == store::Event::Type::kDelete;
    if (fact.revision <= revision_ && fact.revision != batch) {
      world_.Breach("revision " + std::to_string(fact.revision) + " came after " +
                    std::to_string(revision_));
    }
    batch = revision_ = fact.revision;
    if (fact.deleted) {
      revisions_.erase(fact.key);
    } else {
      revisions_[fact.key] = fact.revision;
    }
    Kind* kind = Route(fact.key);
    if (!kind) continue;
    if (auto it = now_.find(fact.key); it != now_.end()) fact.before = it->second;
    if (!fact.deleted) {
      Result<api::ObjectPtr> object =
          api::Object::FromStored(*kind->info, event.record.value, fact.revision);
      if (!object.ok()) {
        world_.Breach(fact.key + " cannot be decoded: " + object.status().ToString());
        continue;
      }
      fact.after = *object;
      now_[fact.key] = fact.after;
    } else {
      now_.erase(fact.key);
    }
    world_.Trace(HashOf(fact.key, static_cast<uint64_t>(fact.revision)));
    if (!IsHeartbeat(*kind->info, fact)) {
      last_real_change_ = world_.now();
      if (world_.tells()) world_.Narrate(Words(fact));
    }
    kind->facts.push_back(fact);
    for (const Listener& listener : listeners_)
      listener(fact);
  }
}

void Truth::OnGap(const std::vector<store::Event>&, int64_t revision) {
  world_.Breach("the store itself has a gap before revision " + std::to_string(revision));
}

std::vector<api::ObjectPtr> Truth::Now(std::string_view prefix) const {
  std::vector<api::ObjectPtr> found;
  for (auto it = now_.lower_bound(prefix); it != now_.end() && it->first.starts_with(prefix); ++it)
    found.push_back(it->second);
  return found;
}

api::ObjectPtr Truth::At(const std::string& key) const {
  auto it = now_.find(key);
  return it == now_.end() ? nullptr : it->second;
}

const std::vector<Fact>& Truth::Of(const api::KindInfo& kind) const {
  static const std::vector<Fact> none;
  auto it = kinds_.find(api::StoragePrefix(*kind.storage_kind));
  return it == kinds_.end() ? none : it->second.facts;
}

bool Truth::Has(const api::KindInfo& kind, const std::string& key, int64_t revision) const {
  const std::vector<Fact>& facts = Of(kind);
  auto it = std::lower_bound(facts.begin(), facts.end(), revision,
                             [](const Fact& fact, int64_t at) { return fact.revision < at; });
  for (; it != facts.end() && it->revision == revision; ++it) {
    if (it->key == key) return true;
  }
  return false;
}

}  // namespace gantry::sim
