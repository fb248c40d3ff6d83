#include "store/cache/kind_cache.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/env/notifier.h"
#include "base/log.h"

namespace gantry::store {
namespace {

// Recent changes that are kept per kind, whichever bound is reached first.
constexpr size_t kWindowEvents = 16'384;
constexpr size_t kWindowBytes = 64 << 20;
// Of so many the frames are kept: most watchers read them at once.
constexpr size_t kFramesKept = 512;
// Label indexes made on demand, and the number of objects from which on they are worth it.
constexpr size_t kLabelIndexes = 4;
constexpr size_t kLabelIndexFrom = 512;

// What Next returns at most.
constexpr size_t kItemsPerRead = 512;

// From here on JSON is dropped now and then.
constexpr size_t kManyObjects = 1000;

constexpr std::string_view kLabelPrefix = "label:";

std::string IndexBucket(std::string_view index, std::string_view value) {
  return "i" + std::string(index) + "\n" + std::string(value);
}

}  // namespace

std::shared_ptr<const std::string> CacheEvent::Frame(size_t slot,
                                                     absl::FunctionRef<std::string()> make) const {
  GANTRY_CHECK(slot < kFrameSlots, "no such frame");
  absl::MutexLock lock(&frame_mutex_);
  if (!frames_[slot]) frames_[slot] = std::make_shared<const std::string>(make());
  return frames_[slot];
}

void CacheEvent::DropFrames() const {
  absl::MutexLock lock(&frame_mutex_);
  frames_ = {};
}

// One watcher's end of a subscription.
class KindCache::Watcher final : public CacheWatch {
 public:
  Watcher(KindCache& cache, std::shared_ptr<Subscription> subscription, uint64_t id,
          std::string bucket)
      : cache_(cache),
        subscription_(std::move(subscription)),
        id_(id),
        bucket_(std::move(bucket)) {}
  ~Watcher() override { cache_.Remove(id_, bucket_); }

  Task<Result<std::vector<WatchItem>>> Next(CancelToken cancel,
                                            std::optional<SteadyTime> deadline) override {
    if (!arrived_) {
      arrived_ = std::make_shared<NotifyingWaker>();
      subscription_->SetWaker(arrived_);
    }
    std::vector<WatchItem> items;
    while (true) {
      GANTRY_CO_TRY(subscription_->Take(kItemsPerRead, &items));
      if (!items.empty() || subscription_->TakeProgress()) co_return items;
      const Wake wake = co_await arrived_->notifier.Wait(cache_.env_, cancel, deadline);
      if (wake == Wake::kCanceled) co_return Canceled("the watch was cancelled");
      if (wake == Wake::kTimeout) co_return items;
    }
  }
  void SetWaker(std::shared_ptr<Waker> waker) override {
    subscription_->SetWaker(std::move(waker));
  }
  Result<bool> Take(size_t limit, std::vector<WatchItem>* items) override {
    return subscription_->Take(limit, items);
  }
  void WantRevision(int64_t revision) override { cache_.Want(revision, subscription_); }
  int64_t revision() const override { return subscription_->Revision(cache_.Dispatched()); }

 private:
  KindCache& cache_;
  const std::shared_ptr<Subscription> subscription_;
  std::shared_ptr<NotifyingWaker> arrived_;  // once Next was called
  const uint64_t id_;
  const std::string bucket_;
};

KindCache::KindCache(Env& env, Gate& gate, const api::KindInfo& kind,
                     const std::atomic<int64_t>& all_revision)
    : env_(env),
      gate_(gate),
      kind_(kind),
      prefix_(api::StoragePrefix(kind)),
      all_revision_(all_revision),
      strand_(env.MakeStrand()) {}

void KindCache::AddIndex(std::string name, IndexFunction function) {
  absl::MutexLock registry_lock(&registry_mutex_);
  watch_indexes_.emplace(name, function);
  absl::MutexLock lock(&mutex_);
  indexes_[std::move(name)].function = std::move(function);
}

void KindCache::IndexEntry(Index& index, Entry* entry, bool add) {
  for (std::string& value : index.function(*entry->object)) {
    if (add) {
      index.values[std::move(value)].insert(entry);
      continue;
    }
    auto bucket = index.values.find(value);
    if (bucket == index.values.end()) continue;
    bucket->second.erase(entry);
    if (bucket->second.empty()) index.values.erase(bucket);
  }
}

void KindCache::Put(std::string_view key, api::ObjectPtr object) {
  auto it = by_key_.find(key);
  Entry* entry = it == by_key_.end() ? nullptr : it->second;
  if (entry != nullptr) {
    for (auto& [name, index] : indexes_)
      IndexEntry(index, entry, false);
    if (!object) {
      by_key_.erase(it);
      objects_.erase(objects_.find(key));
      return;
    }
    entry->object = std::move(object);
  } else {
    if (!object) return;
    auto made = std::make_unique<Entry>();
    entry = made.get();
    entry->key = std::string(key);
    entry->object = std::move(object);
    objects_.insert(std::move(made));
    by_key_.emplace(entry->key, entry);
  }
  for (auto& [name, index] : indexes_)
    IndexEntry(index, entry, true);
}

void KindCache::Load(std::vector<std::pair<std::string, api::ObjectPtr>> objects,
                     int64_t revision) {
  absl::MutexLock lock(&mutex_);
  for (auto& [key, object] : objects)
    Put(key, std::move(object));
  changed_revision_ = dispatched_revision_ = window_start_ = revision;
}

void KindCache::LoadWindow(const std::vector<Event>& events, int64_t window_start) {
  absl::MutexLock lock(&mutex_);
  window_start_ = window_start;
  for (const Event& event : events) {
    api::ObjectPtr previous;
    if (event.previous) {
      Result<api::ObjectPtr> made =
          api::Object::FromStored(kind_, event.previous->value, event.previous->revision);
      if (made.ok()) previous = std::move(made).value();
    }
    const size_t bytes = event.record.value ? event.record.value->size() : 0;
    if (EventPtr made = MakeEvent(event, std::move(previous))) Remember(std::move(made), bytes);
  }
}

KindCache::EventPtr KindCache::MakeEvent(const Event& event, api::ObjectPtr previous) const {
  auto made = std::make_shared<CacheEvent>();
  const bool deleted = event.type == Event::Type::kDelete;
  made->type = deleted    ? CacheEvent::Type::kDeleted
               : previous ? CacheEvent::Type::kModified
                          : CacheEvent::Type::kAdded;
  made->revision = event.record.revision;
  made->object = event.object;
  if (!made->object) {
    Bytes stored = deleted && previous ? previous->stored() : event.record.value;
    Result<api::ObjectPtr> object =
        stored ? api::Object::FromStored(kind_, std::move(stored), event.record.revision)
               : Result<api::ObjectPtr>(DataLoss("nothing is known of what was deleted"));
    if (!object.ok()) {
      log::Error("store", "an object cannot be shown",
                 {{"key", event.record.key}, {"error", object.status().message()}});
      return nullptr;
    }
    made->object = std::move(object).value();
  }
  made->previous = std::move(previous);
  return made;
}

void KindCache::Remember(EventPtr event, size_t bytes) {
  window_bytes_ += bytes;
  window_.emplace_back(std::move(event), bytes);
  if (window_.size() > kFramesKept) {
    const CacheEvent& cold = *window_[window_.size() - 1 - kFramesKept].first;
    cold.DropFrames();
    cold.object->DropJson();  // most was made for the writer's answer; who reads it makes it anew
    if (cold.previous) cold.previous->DropJson();
  }
  while (window_.size() > kWindowEvents || (window_bytes_ > kWindowBytes && window_.size() > 1))
    DropOldest();
}

void KindCache::DropOldest() {
  window_start_ = std::max(window_start_, window_.front().first->revision);
  window_bytes_ -= window_.front().second;
  window_.pop_front();
}

void KindCache::Apply(std::span<const Event* const> events) {
  bool start = false;
  {
    absl::MutexLock lock(&mutex_);
    for (const Event* event : events) {
      const std::string_view key = event->record.key;
      api::ObjectPtr previous = Find(key);
      changed_revision_ = event->record.revision;
      EventPtr made = MakeEvent(*event, std::move(previous));
      if (!made) continue;
      Put(key, made->type == CacheEvent::Type::kDeleted ? nullptr : made->object);
      if (watcher_count_.load() > 0) undispatched_.push_back(made);
      Remember(std::move(made), event->record.value ? event->record.value->size() : 0);
    }
    start = !undispatched_.empty() && !std::exchange(dispatching_, true);
  }
  if (start && gate_.Enter()) boost::asio::post(strand_, [this] { Dispatch(); });
}

void KindCache::ApplyGap(std::span<const Event* const> events, int64_t revision) {
  absl::MutexLock registry_lock(&registry_mutex_);
  {
    absl::MutexLock lock(&mutex_);
    for (const Event* event : events) {
      const std::string_view key = event->record.key;
      api::ObjectPtr previous = Find(key);
      EventPtr made = MakeEvent(*event, std::move(previous));
      if (made) Put(key, made->type == CacheEvent::Type::kDeleted ? nullptr : made->object);
    }
    window_.clear();
    window_bytes_ = 0;
    window_start_ = changed_revision_ = revision;
  }
  const Status expired(Code::kExpired, "the server lost some changes; list again");
  for (const auto& [name, bucket] : watchers_) {
    for (const auto& [id, subscription] : bucket)
      subscription->End(expired);
  }
}

void KindCache::Dispatch() {
  while (true) {
    std::deque<EventPtr> events;
    {
      absl::MutexLock lock(&mutex_);
      events.swap(undispatched_);
      if (events.empty()) {
        dispatching_ = false;
        break;
      }
    }
    {
      absl::ReaderMutexLock lock(&registry_mutex_);
      for (const EventPtr& event : events) {
        for (const std::string& name : BucketsOf(*event)) {
          auto bucket = watchers_.find(name);
          if (bucket == watchers_.end()) continue;
          for (const auto& [id, subscription] : bucket->second)
            subscription->Offer(event);
        }
      }
    }
    absl::MutexLock lock(&mutex_);
    dispatched_revision_ = events.back()->revision;
  }
  OnAdvance();
  gate_.Leave();
}

int64_t KindCache::DispatchedLocked() const {
  return dispatching_ ? dispatched_revision_ : std::max(all_revision_.load(), dispatched_revision_);
}

int64_t KindCache::Dispatched() const {
  absl::ReaderMutexLock lock(&mutex_);
  return DispatchedLocked();
}

void KindCache::Want(int64_t revision, std::shared_ptr<Subscription> subscription) {
  {
    absl::MutexLock lock(&mutex_);
    wanted_.emplace_back(revision, std::move(subscription));
    ++wanted_count_;
  }
  TellWanted();
}

void KindCache::TellWanted() {
  std::vector<std::shared_ptr<Subscription>> reached;
  {
    absl::MutexLock lock(&mutex_);
    const int64_t dispatched = DispatchedLocked();
    std::erase_if(wanted_, [&](auto& wanted) {
      if (wanted.first > dispatched) return false;
      reached.push_back(std::move(wanted.second));
      return true;
    });
    wanted_count_ -= reached.size();
  }
  for (const auto& subscription : reached)
    subscription->Progress();
}

std::string KindCache::KeyPrefix(const Selection& selection) const {
  return selection.ns.empty() ? prefix_ : prefix_ + selection.ns + "/";
}

std::string KindCache::BucketOf(const Selection& selection) const {
  if (!selection.name.empty() && (!kind_.namespaced || !selection.ns.empty())) {
    return "k" + KeyPrefix(selection) + selection.name;
  }
  if (!selection.index.empty() && !selection.index.starts_with(kLabelPrefix)) {
    return IndexBucket(selection.index, selection.index_value);
  }
  return selection.ns.empty() ? "" : "n" + selection.ns;
}

std::vector<std::string> KindCache::BucketsOf(const CacheEvent& event) const {
  std::vector<std::string> buckets{
      "", "n" + event.object->ns(),
      "k" + api::StorageKey(kind_, event.object->ns(), event.object->name())};
  for (const auto& [name, function] : watch_indexes_) {
    std::set<std::string> values;
    for (const api::ObjectPtr& object : {event.object, event.previous}) {
      if (!object) continue;
      for (std::string& value : function(*object))
        values.insert(std::move(value));
    }
    for (const std::string& value : values)
      buckets.push_back(IndexBucket(name, value));
  }
  return buckets;
}

api::ObjectPtr KindCache::Get(std::string_view key) const {
  absl::ReaderMutexLock lock(&mutex_);
  return Find(key);
}

api::ObjectPtr KindCache::Find(std::string_view key) const {
  auto it = by_key_.find(key);
  return it == by_key_.end() ? nullptr : it->second->object;
}

size_t KindCache::size() const {
  absl::ReaderMutexLock lock(&mutex_);
  return objects_.size();
}

int64_t KindCache::changed_revision() const {
  absl::ReaderMutexLock lock(&mutex_);
  return changed_revision_;
}

WatchCache::Page KindCache::List(const Selection& selection, std::string_view after,
                                 int64_t limit) const {
  if (selection.index.starts_with(kLabelPrefix)) {
    bool make = false;
    {
      absl::ReaderMutexLock lock(&mutex_);
      make = objects_.size() >= kLabelIndexFrom && !indexes_.contains(selection.index);
    }
    if (make) const_cast<KindCache*>(this)->MakeLabelIndex(selection.index);
  }
  absl::ReaderMutexLock lock(&mutex_);
  return ListLocked(selection, after, limit);
}

void KindCache::MakeLabelIndex(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  if (indexes_.contains(name)) return;
  std::vector<std::pair<int64_t, std::string>> made;
  for (const auto& [other, index] : indexes_) {
    if (index.on_demand) made.emplace_back(index.last_use.load(), other);
  }
  if (made.size() >= kLabelIndexes)
    indexes_.erase(std::min_element(made.begin(), made.end())->second);
  Index& index = indexes_[name];
  index.on_demand = true;
  index.last_use = ++uses_;
  index.function = [label = name.substr(kLabelPrefix.size())](const api::Object& object) {
    std::vector<std::string> values;
    const auto& labels = object.meta().labels();
    if (auto it = labels.find(label); it != labels.end()) values.push_back(it->second);
    return values;
  };
  for (const std::unique_ptr<Entry>& entry : objects_)
    IndexEntry(index, entry.get(), true);
}

WatchCache::Page KindCache::ListLocked(const Selection& selection, std::string_view after,
                                       int64_t limit) const {
  Page page;
  page.revision = std::max(changed_revision_, all_revision_.load(std::memory_order_acquire));
  const std::string prefix = KeyPrefix(selection);
  const std::string_view start = std::max(std::string_view(prefix), after);
  // Walks over entries with the prefix in order of their keys.
  auto walk = [&](auto it, auto end) {
    for (; it != end; ++it) {
      const Entry& entry = **it;
      if (entry.key == after) continue;
      if (!selection.name.empty() && entry.object->name() != selection.name) continue;
      if (selection.matches && !selection.matches(*entry.object)) continue;
      if (limit > 0 && page.objects.size() == static_cast<size_t>(limit)) {
        page.more = true;
        page.remaining = std::distance(it, end);  // does not look at the entries
        return;
      }
      page.objects.push_back(entry.object);
    }
  };
  if (!selection.name.empty() && (!kind_.namespaced || !selection.ns.empty())) {
    auto it = objects_.find(prefix + selection.name);
    if (it != objects_.end() && (*it)->key > after) walk(it, std::next(it));
    return page;
  }
  std::string behind = prefix;  // every key with the prefix
  ++behind.back();
  auto index = selection.index.empty() ? indexes_.end() : indexes_.find(selection.index);
  if (index != indexes_.end()) {
    index->second.last_use = ++uses_;
    auto bucket = index->second.values.find(selection.index_value);
    if (bucket == index->second.values.end()) return page;
    walk(bucket->second.lower_bound(start), bucket->second.lower_bound(std::string_view(behind)));
    return page;
  }
  GANTRY_CHECK(selection.index.empty() || selection.index.starts_with(kLabelPrefix),
               "no index " + selection.index);
  walk(objects_.lower_bound(start), objects_.lower_bound(std::string_view(behind)));
  return page;
}

// The bucket alone does not do for a watcher: what it missed is read from the window, where the
// changes of all are, and an object may come into the bucket, or leave it.
Selection KindCache::WithIndex(Selection selection) {
  if (selection.index.empty() || selection.index.starts_with(kLabelPrefix)) return selection;
  absl::ReaderMutexLock lock(&registry_mutex_);
  auto index = watch_indexes_.find(selection.index);
  GANTRY_CHECK(index != watch_indexes_.end(), "no index " + selection.index);
  selection.matches = [function = index->second, value = selection.index_value,
                       matches = std::move(selection.matches)](const api::Object& object) {
    const std::vector<std::string> values = function(object);
    return std::find(values.begin(), values.end(), value) != values.end() &&
           (!matches || matches(object));
  };
  return selection;
}

Result<std::unique_ptr<CacheWatch>> KindCache::Watch(Selection selection, int64_t after_revision,
                                                     bool initial) {
  auto subscription = std::make_shared<Subscription>(WithIndex(std::move(selection)));
  const std::string bucket = BucketOf(subscription->selection());
  // From here on Apply hands events to the dispatcher, which waits for the registry.
  ++watcher_count_;
  absl::MutexLock registry_lock(&registry_mutex_);
  std::vector<WatchItem> items;
  int64_t begin = 0;
  Status refused = ended_;
  if (refused.ok()) {
    absl::ReaderMutexLock lock(&mutex_);
    // Whatever is applied later has a revision above what is seen here, of this kind.
    begin = std::max(changed_revision_, all_revision_.load(std::memory_order_acquire));
    if (initial) {
      Page page = ListLocked(subscription->selection(), {}, 0);
      for (api::ObjectPtr& object : page.objects) {
        WatchItem& item = items.emplace_back();
        item.revision = object->revision();
        item.object = std::move(object);
      }
      WatchItem& end = items.emplace_back();
      end.type = WatchItem::Type::kInitialEnd;
      end.revision = begin;
    } else if (after_revision < window_start_) {
      refused =
          Status(Code::kExpired, "too old resource version: " + std::to_string(after_revision) +
                                     " (" + std::to_string(window_start_) + ")");
    } else {
      auto first = std::upper_bound(
          window_.begin(), window_.end(), after_revision,
          [](int64_t at, const auto& entry) { return at < entry.first->revision; });
      for (; first != window_.end(); ++first) {
        if (std::optional<WatchItem> item =
                Subscription::View(subscription->selection(), first->first)) {
          items.push_back(*std::move(item));
        }
      }
      begin = std::max(begin, after_revision);
    }
  }
  if (!refused.ok()) {
    --watcher_count_;
    return refused;
  }
  subscription->Begin(std::move(items), begin);
  const uint64_t id = ++last_watcher_;
  watchers_[bucket].emplace(id, subscription);
  return std::unique_ptr<CacheWatch>(
      std::make_unique<Watcher>(*this, std::move(subscription), id, bucket));
}

void KindCache::Remove(uint64_t id, const std::string& bucket) {
  --watcher_count_;
  absl::MutexLock lock(&registry_mutex_);
  auto it = watchers_.find(bucket);
  if (it == watchers_.end()) return;
  it->second.erase(id);
  if (it->second.empty()) watchers_.erase(it);
}

void KindCache::Trim(int64_t revision) {
  bool many = false;
  {
    absl::MutexLock lock(&mutex_);
    while (!window_.empty() && window_.front().first->revision <= revision)
      DropOldest();
    window_start_ = std::max(window_start_, revision);
    many = objects_.size() >= kManyObjects;
  }
  if (many && gate_.Enter()) boost::asio::post(strand_, [this] { DropJson(); });
}

// What is read again is made again; what was read once does not stay for good.
void KindCache::DropJson() {
  for (const api::ObjectPtr& object : List(Selection(), {}, 0).objects)
    object->DropJson();
  gate_.Leave();
}

void KindCache::End(const Status& status) {
  absl::MutexLock lock(&registry_mutex_);
  ended_ = status;
  for (const auto& [name, bucket] : watchers_) {
    for (const auto& [id, subscription] : bucket)
      subscription->End(status);
  }
}

}  // namespace gantry::store
