#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/informer.h"
#include "client/work_queue.h"

namespace gantry::client {

// An event to be recorded (core/v1 Event), folded with equal ones as client-go's recorder does.
struct EventNote {
  api::ObjectPtr about;
  std::string type;  // "Normal" or "Warning"
  std::string reason;
  std::string message;
};

struct Plan;

// What one reconcile wants done. The shell carries it out in order, each write with its
// preconditions, and stops at the first failure of an action that is not `independent` (the key
// comes back with back-off after any). Neighbouring creates of one kind go out together, in batches
// that double (1, 2, 4, ...), so that a hopeless one is tried once and not five hundred times.
// NotFound on a delete and AlreadyExists with `tolerate_exists` are success.
struct Action {
  enum class Verb : uint8_t { kCreate, kUpdate, kUpdateStatus, kPatch, kDelete };
  Action() = default;

  Verb verb = Verb::kCreate;
  const api::KindInfo* kind = nullptr;
  std::string ns, name;
  std::string subresource;
  std::shared_ptr<const google::protobuf::Message> object;  // create, update
  std::string patch;                                        // kPatch
  PatchType patch_type = PatchType::kMerge;
  DeleteOptions delete_options;
  bool tolerate_exists = false;
  // What comes behind it is tried even when it fails.
  bool independent = false;
  // What else is to be said once the write went through, or failed: events that name the object
  // that the server made, a status that tells of the failure. Both see only their argument and what
  // they captured by value.
  std::function<EventNote(const api::ObjectPtr& written)> on_success;
  std::function<Plan(const Status& failure)> on_failure;
};

// A view and a revision that it has reached, or is to reach.
struct ViewAt {
  Informer* informer = nullptr;
  int64_t revision = 0;
};

struct Plan {
  std::vector<Action> actions;
  std::vector<EventNote> events;
  std::optional<Duration> requeue_after;  // look again by then, even if nothing changes
  // What the reconciler could not judge with views this old: it looks again once they show
  // everything up to the revision.
  std::vector<ViewAt> look_again_at;

  template <class T>
  void Create(T object);
  template <class T>
  void Update(T object);
  template <class T>
  void UpdateStatus(T object);
  template <class T>
  void Delete(const T& object,
              DeleteOptions options = DeleteOptions());  // uid becomes a precondition
};

// Moves one object's world towards what it asks for. `Reconcile` is plain synchronous code over the
// informers: it reads, compares and returns what should be done; it never waits, and it never
// remembers anything that it could look up. The framework: de-duplicates keys, never reconciles a
// key twice at once, backs off on failure (5 ms doubling to 1000 s, as client-go), and does not
// reconcile a key again before the informers show its own last writes.
class Reconciler {
 public:
  using Key = QueueKey;
  // Puts keys into the queue; handed to Setup for use inside informer handlers.
  using Enqueue = std::function<void(Key)>;

  virtual ~Reconciler() = default;
  virtual std::string_view name() const = 0;  // "deployment", also the metrics label
  // The component that its events name.
  virtual std::string event_source() const { return std::string(name()) + "-controller"; }
  // Registers informers, indexes and handlers.
  virtual void Setup(InformerSet& informers, Enqueue enqueue) = 0;
  // A failed status is a retry with back-off.
  virtual Result<Plan> Reconcile(const Key& key, WallTime now) = 0;
};

// Runs reconcilers over one client: queues, workers, events, metrics. Reconcile is called on the
// pool of loop threads, for different keys at the same time. A create that fails because its
// namespace is terminating ends the plan without a retry. Life cycle: Add, Start (which starts the
// informers), Stop; the informers are stopped by whoever made them, before this goes away, since
// their handlers lead here. Threading: any thread.
class ReconcilerRunner {
 public:
  ReconcilerRunner(Env& env, Client& client, InformerSet& informers);
  ~ReconcilerRunner();

  // `workers` keys at a time. Before Start.
  void Add(std::unique_ptr<Reconciler> reconciler, int workers = 8);
  void Start();
  Task<> Stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

template <class T>
Action WriteAction(Action::Verb verb, T object) {
  Action action;
  action.verb = verb;
  action.kind = &api::KindOf<T>();
  action.ns = object.metadata().namespace_();
  action.name = object.metadata().name();
  action.object = std::make_shared<const T>(std::move(object));
  return action;
}
template <class T>
void Plan::Create(T object) {
  actions.push_back(WriteAction(Action::Verb::kCreate, std::move(object)));
}
template <class T>
void Plan::Update(T object) {
  actions.push_back(WriteAction(Action::Verb::kUpdate, std::move(object)));
}
template <class T>
void Plan::UpdateStatus(T object) {
  actions.push_back(WriteAction(Action::Verb::kUpdateStatus, std::move(object)));
}
template <class T>
void Plan::Delete(const T& object, DeleteOptions options) {
  Action action;
  action.verb = Action::Verb::kDelete;
  action.kind = &api::KindOf<T>();
  action.ns = object.metadata().namespace_();
  action.name = object.metadata().name();
  if (options.uid.empty()) options.uid = object.metadata().uid();
  action.delete_options = std::move(options);
  actions.push_back(std::move(action));
}

}  // namespace gantry::client
