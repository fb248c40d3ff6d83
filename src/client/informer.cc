#include "client/informer.h"

#include <map>
#include <tuple>

#include "client/informer_impl.h"

namespace gantry::client {

struct InformerSet::State {
  // Kind, namespace, label selector, field selector.
  using Key = std::tuple<std::string, std::string, std::string, std::string>;

  State(Env& env, Client& client) : env(env), client(client) {}

  static Key KeyOf(const api::KindInfo& kind, const ListOptions& options) {
    return Key(kind.ApiVersion() + "/" + std::string(kind.kind), options.ns, options.label_selector,
               options.field_selector);
  }
  std::vector<InformerImpl*> All() {
    absl::MutexLock lock(&mutex);
    std::vector<InformerImpl*> all;
    for (auto& [key, informer] : informers)
      all.push_back(informer.get());
    return all;
  }

  Env& env;
  Client& client;
  absl::Mutex mutex;
  bool started ABSL_GUARDED_BY(mutex) = false;
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  std::map<Key, std::unique_ptr<InformerImpl>> informers ABSL_GUARDED_BY(mutex);
};

InformerSet::InformerSet(Env& env, Client& client) : state_(std::make_unique<State>(env, client)) {}
InformerSet::~InformerSet() = default;

Informer& InformerSet::For(const api::KindInfo& kind, ListOptions options) {
  InformerImpl* informer = nullptr;
  bool start = false;
  {
    absl::MutexLock lock(&state_->mutex);
    std::unique_ptr<InformerImpl>& slot = state_->informers[State::KeyOf(kind, options)];
    if (!slot) {
      slot = std::make_unique<InformerImpl>(state_->env, state_->client, kind, std::move(options));
      start = state_->started && !state_->stopped;
    }
    informer = slot.get();
  }
  if (start) informer->Start();
  return *informer;
}

Client& InformerSet::client() { return state_->client; }

Informer* InformerSet::Find(const api::KindInfo& kind) {
  absl::MutexLock lock(&state_->mutex);
  auto it = state_->informers.find(State::KeyOf(kind, ListOptions()));
  return it == state_->informers.end() ? nullptr : it->second.get();
}

void InformerSet::Start() {
  {
    absl::MutexLock lock(&state_->mutex);
    state_->started = true;
  }
  for (InformerImpl* informer : state_->All())
    informer->Start();
}

Task<Status> InformerSet::WaitForSync(CancelToken cancel) {
  std::vector<InformerImpl*> all = state_->All();
  for (InformerImpl* informer : all)
    GANTRY_CO_TRY(co_await informer->WaitForSync(cancel));
  co_return Status::Ok();
}

Task<> InformerSet::Stop() {
  {
    absl::MutexLock lock(&state_->mutex);
    state_->stopped = true;
  }
  std::vector<InformerImpl*> all = state_->All();
  for (InformerImpl* informer : all)
    co_await informer->Stop();
}

}  // namespace gantry::client
