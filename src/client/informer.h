#pragma once

#include <absl/container/btree_map.h>
#include <absl/functional/any_invocable.h>
#include <absl/synchronization/mutex.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/env/spawn.h"
#include "client/client.h"

namespace gantry::client {

// A cached, ordered view of one kind that follows the API server.
//
// Contract: eventually every object of the kind (that the selector admits) is here at its newest
// revision. Handlers see, per object, changes in order, none twice, but several changes may arrive
// as one; nothing is promised across objects. A handler called with (old, new) is called after the
// view shows the change. On a lost connection the informer goes on by itself (with back-off), and
// where it must list again it hands out the difference. In-process objects are shared with the API
// server's cache: nothing is copied or decoded twice. Life cycle: Start and Stop through the
// InformerSet. Threading: any thread; handlers run on one strand of the informer and must not
// block.
class Informer {
 public:
  // `before` is null for an addition, `after` null for a removal.
  using Handler = std::function<void(const api::ObjectPtr& before, const api::ObjectPtr& after)>;
  // The values under which an object is found by ByIndex ("by node": spec.nodeName).
  using IndexFunction = std::function<std::vector<std::string>(const api::Object& object)>;

  // Called on the informer's strand whenever revision() has grown, after the handlers.
  using ProgressHandler = std::function<void(int64_t revision)>;

  virtual ~Informer() = default;

  // A handler that comes after Start first hears of every object there is as an addition.
  virtual void AddHandler(Handler handler) = 0;
  virtual void AddProgressHandler(ProgressHandler handler) = 0;
  // Before Start. Adding the same name again keeps the first.
  virtual void AddIndex(std::string name, IndexFunction function) = 0;

  // Null when absent. `ns` is empty for cluster-scoped kinds.
  virtual api::ObjectPtr Get(std::string_view ns, std::string_view name) const = 0;
  // Ordered by namespace and name. `ns` empty: all.
  virtual std::vector<api::ObjectPtr> List(std::string_view ns = {}) const = 0;
  virtual std::vector<api::ObjectPtr> ByIndex(std::string_view index,
                                              std::string_view value) const = 0;

  // True once the first list is in.
  virtual bool synced() const = 0;
  // The view shows every change up to this revision (of its kind; advances with bookmarks and
  // relists too).
  virtual int64_t revision() const = 0;
  // revision() is to reach `revision` soon, also when nothing of this kind changes. Without it, a
  // view of a kind that rests may stay at an old one.
  virtual void WantRevision(int64_t revision) = 0;
  virtual Task<Status> WaitForSync(CancelToken cancel) = 0;
};

// One Informer per kind and selector for a whole process, shared by all who ask.
class InformerSet {
 public:
  // `client` and `env` outlive the set.
  InformerSet(Env& env, Client& client);
  ~InformerSet();

  Informer& For(const api::KindInfo& kind, ListOptions options = {});
  template <class T>
  Informer& For() {
    return For(api::KindOf<T>());
  }

  // What they read from.
  Client& client();

  // The informer of all objects of the kind; null when nobody has asked for it.
  Informer* Find(const api::KindInfo& kind);

  // Starts those asked for so far, and later ones as they are asked for.
  void Start();
  // Until every informer has its first list.
  Task<Status> WaitForSync(CancelToken cancel);
  Task<> Stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Typed reads.
template <class T>
api::Ref<T> GetFrom(const Informer& informer, std::string_view ns, std::string_view name) {
  return api::Ref<T>(informer.Get(ns, name));
}
template <class T>
std::vector<api::Ref<T>> Typed(const std::vector<api::ObjectPtr>& objects) {
  std::vector<api::Ref<T>> typed;
  typed.reserve(objects.size());
  for (const api::ObjectPtr& object : objects)
    typed.emplace_back(object);
  return typed;
}

}  // namespace gantry::client
