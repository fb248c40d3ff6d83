#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>
#include <absl/synchronization/mutex.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/env/spawn.h"
#include "store/cache/subscription.h"
#include "store/cache/watch_cache.h"

namespace gantry::store {

// The watch cache of one kind. The committer applies changes; one strand hands them to the
// watchers. Lock order: registry_mutex_ before mutex_ before a subscription's. Threading: any
// thread; Apply and Trim come from one at a time.
class KindCache final : public WatchCache {
 public:
  using IndexFunction = WatchCaches::IndexFunction;

  // `all_revision`: up to where the caches of all kinds have applied. References outlive the cache.
  KindCache(Env& env, Gate& gate, const api::KindInfo& kind,
            const std::atomic<int64_t>& all_revision);

  api::ObjectPtr Get(std::string_view key) const override;
  Page List(const Selection& selection, std::string_view after, int64_t limit) const override;
  size_t size() const override;
  Result<std::unique_ptr<CacheWatch>> Watch(Selection selection, int64_t after_revision,
                                            bool initial) override;
  int64_t revision() const override { return all_revision_.load(std::memory_order_acquire); }
  int64_t changed_revision() const override;

  const api::KindInfo& kind() const { return kind_; }
  const std::string& prefix() const { return prefix_; }

  // Before the first Apply.
  void AddIndex(std::string name, IndexFunction function);
  void Load(std::vector<std::pair<std::string, api::ObjectPtr>> objects, int64_t revision);
  // Changes from before the loaded revision, in order; `window_start` is what they follow on.
  void LoadWindow(const std::vector<Event>& events, int64_t window_start);

  // Events of this kind, in order. Readers see all of them or none.
  void Apply(std::span<const Event* const> events);
  // As Apply, for a store that lost sight of its data: watches expire, and nobody can begin before
  // `revision`.
  void ApplyGap(std::span<const Event* const> events, int64_t revision);
  // Forgets changes up to `revision`, and the JSON of what many objects' JSON takes too much room
  // for.
  void Trim(int64_t revision);
  // The revision that all caches have applied has grown.
  void OnAdvance() {
    if (wanted_count_.load() > 0) TellWanted();
  }
  // Ends all watches.
  void End(const Status& status);

 private:
  class Watcher;
  struct Entry {
    std::string key;
    api::ObjectPtr object;
  };
  struct ByKey {
    using is_transparent = void;
    static std::string_view KeyOf(const std::unique_ptr<Entry>& entry) { return entry->key; }
    static std::string_view KeyOf(const Entry* entry) { return entry->key; }
    static std::string_view KeyOf(std::string_view key) { return key; }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return KeyOf(a) < KeyOf(b);
    }
  };
  using EntrySet = absl::btree_set<Entry*, ByKey>;
  struct Index {
    IndexFunction function;
    bool on_demand = false;
    mutable std::atomic<int64_t> last_use = 0;
    std::map<std::string, EntrySet, std::less<>> values;
  };
  using EventPtr = std::shared_ptr<const CacheEvent>;
  // By the order in which they came.
  using Bucket = absl::btree_map<uint64_t, std::shared_ptr<Subscription>>;

  api::ObjectPtr Find(std::string_view key) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  EventPtr MakeEvent(const Event& event, api::ObjectPtr previous) const;
  void Put(std::string_view key, api::ObjectPtr object) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void IndexEntry(Index& index, Entry* entry, bool add) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remember(EventPtr event, size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeLabelIndex(const std::string& name);
  std::string KeyPrefix(const Selection& selection) const;
  Page ListLocked(const Selection& selection, std::string_view after, int64_t limit) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // Where a watcher with this selection is looked for, and where the watchers of an event are.
  // With the index as a condition of its own.
  Selection WithIndex(Selection selection);
  std::string BucketOf(const Selection& selection) const;
  std::vector<std::string> BucketsOf(const CacheEvent& event) const
      ABSL_SHARED_LOCKS_REQUIRED(registry_mutex_);
  void Dispatch();
  void DropJson();
  // Up to where all watchers have been offered everything.
  int64_t Dispatched() const;
  int64_t DispatchedLocked() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void Want(int64_t revision, std::shared_ptr<Subscription> subscription);
  void TellWanted();
  void Remove(uint64_t id, const std::string& bucket);

  Env& env_;
  Gate& gate_;
  const api::KindInfo& kind_;
  const std::string prefix_;
  const std::atomic<int64_t>& all_revision_;
  const Executor strand_;

  mutable absl::Mutex mutex_;
  absl::btree_set<std::unique_ptr<Entry>, ByKey> objects_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string_view, Entry*> by_key_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Index, std::less<>> indexes_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::pair<EventPtr, size_t>> window_
      ABSL_GUARDED_BY(mutex_);  // with the bytes of each
  size_t window_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t window_start_ ABSL_GUARDED_BY(mutex_) = 0;  // everything above it is in the window
  int64_t changed_revision_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<EventPtr> undispatched_ ABSL_GUARDED_BY(mutex_);
  bool dispatching_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t dispatched_revision_ ABSL_GUARDED_BY(mutex_) = 0;

  // Who asked to be told once everything up to a revision has been offered.
  std::vector<std::pair<int64_t, std::shared_ptr<Subscription>>> wanted_ ABSL_GUARDED_BY(mutex_);
  std::atomic<size_t> wanted_count_ = 0;

  std::atomic<size_t> watcher_count_ = 0;
  mutable std::atomic<int64_t> uses_ = 0;
  absl::Mutex registry_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  Status ended_ ABSL_GUARDED_BY(registry_mutex_);
  uint64_t last_watcher_ ABSL_GUARDED_BY(registry_mutex_) = 0;
  std::map<std::string, Bucket, std::less<>> watchers_ ABSL_GUARDED_BY(registry_mutex_);
  std::map<std::string, IndexFunction, std::less<>> watch_indexes_ ABSL_GUARDED_BY(registry_mutex_);
};

}  // namespace gantry::store
