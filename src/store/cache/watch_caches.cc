#include <absl/synchronization/mutex.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/check.h"
#include "store/cache/kind_cache.h"
#include "store/cache/watch_cache.h"

namespace gantry::store {
namespace {

constexpr char kRoot[] = "/registry/";
// Revisions before the loaded one whose changes are read back, so that watches of before a restart
// can go on.
constexpr int64_t kHistoryAtStart = 5000;

}  // namespace

struct WatchCaches::State : CommitObserver {
  State(Env& env, Store& store) : env(env), store(store) {}

  // The cache that a key belongs to; null: none.
  KindCache* Route(std::string_view key) {
    auto it = by_prefix.upper_bound(key);
    if (it == by_prefix.begin()) return nullptr;
    --it;
    return key.starts_with(it->first) ? it->second : nullptr;
  }

  void OnCommit(const std::vector<Event>& events) override {
    {
      absl::MutexLock lock(&mutex);
      if (!loaded) {
        early.insert(early.end(), events.begin(), events.end());
        early_revision = events.back().record.revision;
        return;
      }
    }
    ApplyAll(events);
    Advance(events.back().record.revision);
  }

  void OnGap(const std::vector<Event>& events, int64_t to) override {
    {
      absl::MutexLock lock(&mutex);
      if (!loaded) {
        early.insert(early.end(), events.begin(), events.end());
        early_revision = to;
        return;
      }
    }
    const auto by_kind = ByKind(events);
    for (const auto& [prefix, cache] : by_prefix) {
      auto own = std::find_if(by_kind.begin(), by_kind.end(),
                              [cache = cache](const auto& entry) { return entry.first == cache; });
      if (own != by_kind.end()) {
        cache->ApplyGap(own->second, to);
      } else {
        cache->ApplyGap({}, to);
      }
    }
    Advance(to);
  }

  void OnCompact(int64_t compacted) override {
    absl::MutexLock lock(&mutex);
    if (!loaded) return;
    for (const auto& [prefix, cache] : by_prefix)
      cache->Trim(compacted);
  }

  void OnFailure(const Status& status) override { End(status); }

  using ByKindCache = std::vector<std::pair<KindCache*, std::vector<const Event*>>>;
  ByKindCache ByKind(const std::vector<Event>& events) {
    ByKindCache by_kind;
    for (const Event& event : events) {
      if (event.record.revision <= loaded_revision) continue;
      KindCache* cache = Route(event.record.key);
      if (!cache) continue;
      auto same = std::find_if(by_kind.begin(), by_kind.end(),
                               [cache](const auto& entry) { return entry.first == cache; });
      if (same == by_kind.end())
        same = by_kind.emplace(by_kind.end(), cache, std::vector<const Event*>());
      same->second.push_back(&event);
    }
    return by_kind;
  }

  // Kind by kind, so that a reader never sees half of a revision.
  void ApplyAll(const std::vector<Event>& events) {
    for (const auto& [cache, own] : ByKind(events))
      cache->Apply(own);
  }

  void Advance(int64_t to) {
    std::vector<std::shared_ptr<Notifier>> wake;
    {
      absl::MutexLock lock(&mutex);
      if (to > revision.load()) revision.store(to);
      wake.swap(waiters);
    }
    for (const auto& waiter : wake)
      waiter->Notify();
    for (const auto& [prefix, cache] : by_prefix)
      cache->OnAdvance();
  }

  void End(const Status& status) {
    std::vector<std::shared_ptr<Notifier>> wake;
    {
      absl::MutexLock lock(&mutex);
      if (health.ok()) health = status;
      wake.swap(waiters);
    }
    for (const auto& waiter : wake)
      waiter->Notify();
    for (const auto& [prefix, cache] : by_prefix)
      cache->End(status);
  }

  Task<Status> Load();

  Env& env;
  Store& store;
  Gate gate;
  std::map<const api::KindInfo*, std::vector<std::pair<std::string, IndexFunction>>>
      index_functions;
  // Fixed by Start.
  std::map<const api::KindInfo*, std::unique_ptr<KindCache>> caches;
  std::map<std::string, KindCache*, std::less<>> by_prefix;
  int64_t loaded_revision = 0;

  std::atomic<int64_t> revision = 0;
  absl::Mutex mutex;
  bool observing ABSL_GUARDED_BY(mutex) = false;
  bool loaded ABSL_GUARDED_BY(mutex) = false;
  std::vector<Event> early ABSL_GUARDED_BY(mutex);  // committed while loading
  int64_t early_revision ABSL_GUARDED_BY(mutex) = 0;
  Status health ABSL_GUARDED_BY(mutex);
  std::vector<std::shared_ptr<Notifier>> waiters ABSL_GUARDED_BY(mutex);
};

Task<Status> WatchCaches::State::Load() {
  Result<ListPage> page = co_await store.List(kRoot);
  if (!page.ok()) co_return page.status();
  std::map<KindCache*, std::vector<std::pair<std::string, api::ObjectPtr>>> objects;
  for (Record& record : page->records) {
    KindCache* cache = Route(record.key);
    if (!cache) continue;
    Result<api::ObjectPtr> object =
        api::Object::FromStored(cache->kind(), std::move(record.value), record.revision);
    if (!object.ok()) co_return object.status().WithContext(record.key);
    objects[cache].emplace_back(std::move(record.key), std::move(object).value());
  }
  for (const auto& [prefix, cache] : by_prefix)
    cache->Load(std::move(objects[cache]), page->revision);
  loaded_revision = page->revision;

  // Revision 1 is that of an empty store: it has no event.
  const int64_t from =
      std::max({int64_t{1}, store.compacted_revision(), page->revision - kHistoryAtStart});
  std::map<KindCache*, std::vector<Event>> history;
  if (from < page->revision) {
    // With all keys, so that every revision has an event and Next never waits for one.
    Result<std::unique_ptr<WatchStream>> past = store.Watch("", from);
    while (past.ok() && (*past)->revision() < page->revision) {
      Result<std::vector<Event>> events = co_await (*past)->Next(CancelToken());
      if (events.code() == Code::kExpired) break;
      if (!events.ok()) co_return events.status();
      for (Event& event : *events) {
        if (event.record.revision > page->revision) break;
        if (KindCache* cache = Route(event.record.key)) history[cache].push_back(std::move(event));
      }
    }
    if (past.ok() && (*past)->revision() >= page->revision) {
      for (const auto& [prefix, cache] : by_prefix)
        cache->LoadWindow(history[cache], from);
    }
  }
  co_return Status::Ok();
}

WatchCaches::WatchCaches(Env& env, Store& store) : state_(std::make_unique<State>(env, store)) {}
WatchCaches::~WatchCaches() {
  absl::MutexLock lock(&state_->mutex);
  GANTRY_CHECK(!state_->observing, "WatchCaches::Stop was not called");
}

void WatchCaches::AddIndex(const api::KindInfo& kind, std::string name, IndexFunction function) {
  state_->index_functions[&kind].emplace_back(std::move(name), std::move(function));
}

Task<Status> WatchCaches::Start(std::vector<const api::KindInfo*> kinds) {
  State& state = *state_;
  for (const api::KindInfo* kind : kinds) {
    if (kind->storage_prefix.empty() || state.caches.contains(kind)) continue;
    auto cache = std::make_unique<KindCache>(state.env, state.gate, *kind, state.revision);
    for (auto& [name, function] : state.index_functions[kind])
      cache->AddIndex(name, function);
    state.by_prefix[cache->prefix()] = cache.get();
    state.caches[kind] = std::move(cache);
  }
  state.index_functions.clear();
  {
    absl::MutexLock lock(&state.mutex);
    state.observing = true;
  }
  state.store.AddObserver(&state);
  GANTRY_CO_TRY(co_await state.Load());
  // What was committed meanwhile is applied before anything newer can be.
  absl::MutexLock lock(&state.mutex);
  state.ApplyAll(state.early);
  state.revision.store(std::max(state.loaded_revision, state.early_revision),
                       std::memory_order_release);
  state.early.clear();
  state.early.shrink_to_fit();
  state.loaded = true;
  co_return Status::Ok();
}

Task<> WatchCaches::Stop() {
  bool observing = false;
  {
    absl::MutexLock lock(&state_->mutex);
    observing = std::exchange(state_->observing, false);
  }
  if (observing) state_->store.RemoveObserver(state_.get());
  state_->End(Canceled("the server is stopping"));
  co_await state_->gate.Close(state_->env);
}

WatchCache& WatchCaches::For(const api::KindInfo& kind) {
  auto it = state_->caches.find(&kind);
  GANTRY_CHECK(it != state_->caches.end(), "no watch cache of " + kind.GroupResource());
  return *it->second;
}

int64_t WatchCaches::revision() const { return state_->revision.load(std::memory_order_acquire); }

Task<Status> WatchCaches::WaitFor(int64_t revision, CancelToken cancel,
                                  std::optional<SteadyTime> deadline) {
  while (this->revision() < revision) {
    auto waiter = std::make_shared<Notifier>();
    {
      absl::MutexLock lock(&state_->mutex);
      if (state_->revision.load() >= revision) break;
      if (!state_->health.ok()) co_return state_->health;
      state_->waiters.push_back(waiter);
    }
    const Wake wake = co_await waiter->Wait(state_->env, cancel, deadline);
    if (wake == Wake::kNotified) continue;
    absl::MutexLock lock(&state_->mutex);
    std::erase(state_->waiters, waiter);
    const std::string waited = "waiting for revision " + std::to_string(revision);
    if (wake == Wake::kTimeout) co_return Status(Code::kTimeout, waited + " took too long");
    co_return Canceled(waited + " was cancelled");
  }
  co_return Status::Ok();
}

Status WatchCaches::health() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->health;
}

}  // namespace gantry::store
