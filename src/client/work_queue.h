#pragma once

#include <compare>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/env/env.h"

namespace gantry::client {

// Names one object of a kind, or whatever else a reconciler gives two names to.
struct QueueKey {
  std::string ns, name;
  auto operator<=>(const QueueKey&) const = default;
};

// Work to be done, as client-go's work queue has it: a key that is added several times before it is
// taken is there once; a key is never with two workers at once; one that is added while a worker
// has it comes again when the worker is done. Threading: any thread.
class WorkQueue {
 public:
  // Called, without a lock, whenever a key has become available.
  using ReadyCallback = std::function<void()>;

  // `name` labels the metrics (workqueue_depth, ...). `env` outlives the queue.
  WorkQueue(Env& env, std::string name, ReadyCallback on_ready);
  ~WorkQueue();

  void Add(QueueKey key);
  // Adds it after `delay`; the earliest wish for a key counts.
  void AddAfter(QueueKey key, Duration delay);
  // Adds it after this key's back-off: 5 ms, doubling with every call up to 1000 s.
  void AddRateLimited(QueueKey key);
  // Success: the key's back-off starts anew.
  void Forget(const QueueKey& key);

  // The next key, or nullopt when there is none now. Whoever takes a key gives it back with Done.
  std::optional<QueueKey> TryTake();
  void Done(const QueueKey& key);

  // Keys that wait, delayed ones not counted.
  size_t size() const;
  // Nothing comes out of it any more.
  void ShutDown();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace gantry::client
