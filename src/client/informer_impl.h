#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/synchronization/mutex.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/env/spawn.h"
#include "client/backoff.h"
#include "client/informer.h"

namespace gantry::client {

// Lists, then watches, and keeps the view. Threading: Run and all that changes the view are on
// `strand_`; reads come from any thread.
class InformerImpl final : public Informer {
 public:
  InformerImpl(Env& env, Client& client, const api::KindInfo& kind, ListOptions options);

  void AddHandler(Handler handler) override;
  void AddProgressHandler(ProgressHandler handler) override;
  void AddIndex(std::string name, IndexFunction function) override;
  api::ObjectPtr Get(std::string_view ns, std::string_view name) const override;
  std::vector<api::ObjectPtr> List(std::string_view ns) const override;
  std::vector<api::ObjectPtr> ByIndex(std::string_view index,
                                      std::string_view value) const override;
  bool synced() const override { return synced_.load(std::memory_order_acquire); }
  int64_t revision() const override { return revision_.load(std::memory_order_acquire); }
  void WantRevision(int64_t revision) override;
  Task<Status> WaitForSync(CancelToken cancel) override;

  void Start();
  Task<> Stop();

 private:
  using Name = std::pair<std::string_view, std::string_view>;
  struct ByName {
    using is_transparent = void;
    static Name NameOf(const api::ObjectPtr& object) { return {object->ns(), object->name()}; }
    static Name NameOf(const Name& name) { return name; }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return NameOf(a) < NameOf(b);
    }
  };
  using ObjectSet = absl::btree_set<api::ObjectPtr, ByName>;
  struct Index {
    IndexFunction function;
    absl::btree_map<std::string, ObjectSet, std::less<>> values;
  };
  struct Change {
    api::ObjectPtr before, after;
  };
  // What is called on the strand; replaced as a whole so that a running round is not disturbed.
  struct Handlers {
    std::vector<Handler> on_change;
    std::vector<ProgressHandler> on_progress;
  };

  Task<> Run();
  Task<Status> ListAll();
  // `held`: the watch went on for long enough to be followed by another at once.
  Task<Status> WatchOn(bool* held);
  Task<Status> Follow(Watcher& watcher);
  void SetWatcher(Watcher* watcher);
  Task<> AddLate(Handler handler);

  void Replace(std::vector<api::ObjectPtr> objects, int64_t revision);
  void ApplyEvents(const std::vector<WatchEvent>& events);
  // Puts `after` in the place of `before`; either may be null.
  void Put(const Change& change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Tell(const std::vector<Change>& changes, int64_t revision);

  Env& env_;
  Client& client_;
  const api::KindInfo& kind_;
  const ListOptions options_;
  const Executor strand_;
  ReflectorBackoff backoff_;
  CancelSource stop_;
  Gate gate_;

  std::atomic<bool> synced_ = false;
  std::atomic<int64_t> revision_ = 0;

  mutable absl::Mutex mutex_;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<const Handlers> handlers_ ABSL_GUARDED_BY(mutex_) = std::make_shared<Handlers>();
  ObjectSet objects_ ABSL_GUARDED_BY(mutex_);
  absl::btree_map<std::string, Index, std::less<>> indexes_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Notifier>> sync_waiters_ ABSL_GUARDED_BY(mutex_);
  Watcher* watcher_ ABSL_GUARDED_BY(mutex_) = nullptr;  // while one runs
  int64_t wanted_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace gantry::client
