#pragma once

#include <absl/functional/function_ref.h>
#include <absl/synchronization/mutex.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/waker.h"
#include "base/status.h"
#include "store/store.h"

namespace gantry::store {

// One change of one object, shared by all who watch it.
struct CacheEvent {
  enum class Type : uint8_t { kAdded, kModified, kDeleted };
  Type type = Type::kAdded;
  int64_t revision = 0;
  api::ObjectPtr object;    // after the change; of a deletion: the last state, stamped with the
                            // deletion's revision
  api::ObjectPtr previous;  // before the change; null for kAdded

  // Bytes that watchers share: `make` runs once per slot (the readers give slots their meaning).
  // Any thread.
  static constexpr size_t kFrameSlots = 16;
  std::shared_ptr<const std::string> Frame(size_t slot,
                                           absl::FunctionRef<std::string()> make) const;
  // Lets go of them; what is asked for again is made again.
  void DropFrames() const;

 private:
  mutable absl::Mutex frame_mutex_;
  mutable std::array<std::shared_ptr<const std::string>, kFrameSlots> frames_
      ABSL_GUARDED_BY(frame_mutex_);
};

// Which objects a list or a watch is about. All conditions hold together.
struct Selection {
  Selection() = default;
  std::string ns;    // empty: all namespaces
  std::string name;  // empty: all names
  // Empty, or an index declared with AddIndex, or "label:KEY" (made on first need); and the value
  // looked for.
  std::string index;
  std::string index_value;
  std::function<bool(const api::Object&)> matches;  // null: all
};

// What one watcher sees. Type is from its own view: a change that takes the object out of the
// selection is kDeleted with `object` as it was before, one that brings it in is kAdded.
struct WatchItem {
  enum class Type : uint8_t { kAdded, kModified, kDeleted, kInitialEnd };
  Type type = Type::kAdded;
  int64_t revision = 0;  // of the change; of kInitialEnd: of the snapshot
  api::ObjectPtr
      object;  // null for kInitialEnd; its own revision may be older than `revision` for kDeleted
  std::shared_ptr<const CacheEvent> event;  // null for the snapshot's objects and kInitialEnd
};

// One subscription, read either by Next or by Take. Destroying it ends it. Threading: one caller at
// a time, but for WantRevision.
class CacheWatch {
 public:
  virtual ~CacheWatch() = default;
  // The next items, in order; empty when `deadline` passed without any, or when a wanted revision
  // is reached. kExpired: this reader was too slow.
  virtual Task<Result<std::vector<WatchItem>>> Next(CancelToken cancel,
                                                    std::optional<SteadyTime> deadline) = 0;

  // For those who do not wait. SetWaker comes first: `waker` is told when there is something, or an
  // end, after Take left nothing.
  virtual void SetWaker(std::shared_ptr<Waker> waker) = 0;
  // Appends at most `limit` of the items that are there. True: there are more.
  virtual Result<bool> Take(size_t limit, std::vector<WatchItem>* items) = 0;

  // Wakes the reader once revision() has reached `revision`. Any thread.
  virtual void WantRevision(int64_t revision) = 0;
  // Everything up to this revision that concerns this watcher has been returned by Next. For
  // bookmarks.
  virtual int64_t revision() const = 0;
};

// All objects of one stored kind at their newest revision, and the recent changes. Threading: any
// thread.
class WatchCache {
 public:
  struct Page {
    std::vector<api::ObjectPtr> objects;  // ordered by key
    int64_t revision = 0;
    bool more = false;
    int64_t remaining = 0;  // objects behind this page that the key range holds, selected or not
  };

  virtual ~WatchCache() = default;

  // Null when absent. `key` as in the store.
  virtual api::ObjectPtr Get(std::string_view key) const = 0;
  // At most `limit` (0: all) selected objects with keys behind `after`.
  virtual Page List(const Selection& selection, std::string_view after = {},
                    int64_t limit = 0) const = 0;
  virtual size_t size() const = 0;

  // Changes after `after_revision`; with `initial` first a snapshot (kAdded each, then
  // kInitialEnd), without a gap, and `after_revision` is not looked at. kExpired when the window no
  // longer reaches back that far.
  virtual Result<std::unique_ptr<CacheWatch>> Watch(Selection selection, int64_t after_revision,
                                                    bool initial) = 0;

  // The view shows every commit of the store up to here, of whatever kind.
  virtual int64_t revision() const = 0;
  // The last revision that changed an object of this kind (or the one of the first load).
  virtual int64_t changed_revision() const = 0;
};

// The watch caches of all kinds over one store, fed by one subscription. What Commit acknowledged
// is visible to Get and List at the latest when WaitFor(its revision) returns, which normally does
// not wait. Life cycle: AddIndex, Start, use, Stop. Threading: any thread.
class WatchCaches {
 public:
  using IndexFunction = std::function<std::vector<std::string>(const api::Object& object)>;

  WatchCaches(Env& env, Store& store);
  ~WatchCaches();

  void AddIndex(const api::KindInfo& kind, std::string name, IndexFunction function);
  // Loads everything under /registry/ that belongs to `kinds` (storage kinds), and recent changes,
  // so that watches of before a restart go on; serves when it returns.
  Task<Status> Start(std::vector<const api::KindInfo*> kinds);
  Task<> Stop();

  // A bug for a kind that Start did not get.
  WatchCache& For(const api::KindInfo& kind);
  int64_t revision() const;
  // kCanceled, kTimeout after `deadline`, or kUnavailable once the store failed.
  Task<Status> WaitFor(int64_t revision, CancelToken cancel = {},
                       std::optional<SteadyTime> deadline = {});
  // The last failure of the feed; ok while it runs.
  Status health() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gantry::store
