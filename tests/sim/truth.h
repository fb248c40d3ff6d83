#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "sim/world.h"
#include "store/store.h"

namespace gantry::sim {

// One change of one object, as the store made it.
struct Fact {
  int64_t revision = 0;
  std::string key;
  bool deleted = false;
  api::ObjectPtr before, after;  // null: there is none; both null: the key belongs to no kind
};

// Everything that was ever committed, straight from the store's committer: what all others are
// measured by. Also holds the store to its own rules: revisions only grow, and a store that was
// opened again holds what it had. Threading: one thread.
class Truth final : public store::CommitObserver {
 public:
  using Listener = std::function<void(const Fact& fact)>;

  explicit Truth(World& world);

  void Listen(Listener listener) { listeners_.push_back(std::move(listener)); }

  // A store that was opened after a crash: it must hold every commit that was heard of; what it has
  // beyond that was durable without anybody knowing, and is heard now. Then listens to it.
  Task<> Adopt(store::Store& store);

  void OnCommit(const std::vector<store::Event>& events) override;
  void OnGap(const std::vector<store::Event>& events, int64_t revision) override;
  void OnCompact(int64_t) override {}
  void OnFailure(const Status&) override {}

  int64_t revision() const { return revision_; }
  // Of the last change of an object that is no lease, event or node status: what a cluster at rest
  // does not touch.
  Duration last_real_change() const { return last_real_change_; }
  // Objects as they are now, by key, that start with `prefix`.
  std::vector<api::ObjectPtr> Now(std::string_view prefix) const;
  template <class T>
  std::vector<api::Ref<T>> All(std::string_view ns = {}) const {
    std::vector<api::Ref<T>> all;
    for (const api::ObjectPtr& object : Now(api::StoragePrefix(api::KindOf<T>(), ns)))
      all.emplace_back(object);
    return all;
  }
  api::ObjectPtr At(const std::string& key) const;

  // Facts of one kind in order: those under its prefix.
  const std::vector<Fact>& Of(const api::KindInfo& kind) const;
  // Whether `key` was changed at this very revision.
  bool Has(const api::KindInfo& kind, const std::string& key, int64_t revision) const;

 private:
  struct Kind {
    const api::KindInfo* info = nullptr;
    std::vector<Fact> facts;
  };
  Kind* Route(std::string_view key);

  World& world_;
  std::map<std::string, Kind, std::less<>> kinds_;  // by prefix
  std::map<std::string, api::ObjectPtr, std::less<>> now_;
  std::map<std::string, int64_t, std::less<>> revisions_;  // of the keys that there are
  int64_t revision_ = 1;
  Duration last_real_change_{};
  std::vector<Listener> listeners_;
};

}  // namespace gantry::sim
