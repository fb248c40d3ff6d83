#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/synchronization/mutex.h>

#include <algorithm>
#include <utility>

#include "base/env/spawn.h"
#include "base/log.h"
#include "base/metrics.h"
#include "client/events.h"
#include "client/plan_shell.h"
#include "client/reconciler.h"

namespace gantry::client {
namespace {

// One reconciler with its queue. Threading: any thread.
class Controller {
 public:
  Controller(Env& env, Client& client, InformerSet& informers,
             std::unique_ptr<Reconciler> reconciler, size_t max_workers)
      : env_(env),
        client_(client),
        informers_(informers),
        reconciler_(std::move(reconciler)),
        max_workers_(max_workers),
        recorder_(env, client, reconciler_->event_source()),
        failures_(MetricRegistry::Default()
                      .Counters("controller_runtime_reconcile_errors_total",
                                "Total number of reconciliation errors per controller",
                                {"controller"})
                      .With({std::string(reconciler_->name())})),
        queue_(env, std::string(reconciler_->name()), [this] { StartWorker(); }) {
    reconciler_->Setup(informers_, [this](QueueKey key) { queue_.Add(std::move(key)); });
  }

  // From now on keys are worked on.
  void Open() {
    {
      absl::MutexLock lock(&mutex_);
      open_ = true;
    }
    for (size_t i = 0; i < max_workers_; ++i)
      StartWorker();
  }

  Task<> Stop() {
    queue_.ShutDown();
    co_await gate_.Close(env_);
    co_await recorder_.Stop();
  }

 private:
  void StartWorker() {
    {
      absl::MutexLock lock(&mutex_);
      if (!open_ || workers_ >= max_workers_ || queue_.size() == 0) return;
      ++workers_;
    }
    Spawn(env_.executor(), gate_, "reconciler", Work());
  }

  Task<> Work() {
    while (std::optional<QueueKey> key = queue_.TryTake()) {
      if (CaughtUp(*key)) co_await ReconcileOnce(*key);
      queue_.Done(*key);
    }
    {
      absl::MutexLock lock(&mutex_);
      --workers_;
    }
    StartWorker();  // for what came in between
  }

  Task<> ReconcileOnce(QueueKey key) {
    Result<Plan> plan = reconciler_->Reconcile(key, env_.Now());
    Status status = plan.status();
    std::optional<Duration> requeue_after;
    std::vector<ViewAt> look_again_at;
    if (plan.ok()) {
      requeue_after = plan->requeue_after;
      look_again_at = std::move(plan->look_again_at);
      Execution execution;
      execution.record = [this](EventNote note) {
        recorder_.Record(note.about, std::move(note.type), std::move(note.reason),
                         std::move(note.message));
      };
      status = co_await Execute(env_, client_, std::move(plan).value(), execution);
      SetBarriers(key, execution.written);
    }
    if (!status.ok()) {
      failures_.Add();
      const auto level = status.code() == Code::kConflict || status.code() == Code::kCanceled
                             ? log::Level::kDebug
                             : log::Level::kWarning;
      if (log::Enabled(level)) {
        log::Write(level, "controllers", "reconcile failed and will be tried again",
                   {{"controller", reconciler_->name()},
                    {"key", key.ns.empty() ? key.name : key.ns + "/" + key.name},
                    {"error", status.ToString()}});
      }
      queue_.AddRateLimited(std::move(key));
      co_return;
    }
    queue_.Forget(key);
    if (!look_again_at.empty()) {
      for (const ViewAt& view : look_again_at) {
        SetBarrier(key, view);
        view.informer->WantRevision(view.revision);
      }
      queue_.Add(key);  // comes when the views are there
    }
    if (requeue_after) queue_.AddAfter(std::move(key), *requeue_after);
  }

  // Remembers how far the informers must be before the key comes again.
  void SetBarriers(const QueueKey& key, const std::vector<Written>& written) {
    for (const Written& write : written) {
      if (Informer* informer = informers_.Find(*write.kind))
        SetBarrier(key, ViewAt{informer, write.revision});
    }
  }

  void SetBarrier(const QueueKey& key, const ViewAt& view) {
    if (view.informer->revision() >= view.revision) return;
    Follow(*view.informer);
    absl::MutexLock lock(&mutex_);
    std::vector<ViewAt>& barriers = barriers_[key];
    auto same = std::find_if(barriers.begin(), barriers.end(), [&](const ViewAt& barrier) {
      return barrier.informer == view.informer;
    });
    if (same == barriers.end()) {
      barriers.push_back(view);
    } else {
      same->revision = std::max(same->revision, view.revision);
    }
  }

  // A key that is not caught up is parked: it comes back by itself when the informers have
  // advanced.
  bool CaughtUp(const QueueKey& key) {
    absl::MutexLock lock(&mutex_);
    auto it = barriers_.find(key);
    if (it == barriers_.end()) return true;
    if (!Reached(it->second)) {
      // OnProgress takes the same lock, so that an advance between the check and this line is not
      // missed.
      parked_.insert(key);
      return false;
    }
    barriers_.erase(it);
    parked_.erase(key);
    return true;
  }

  static bool Reached(const std::vector<ViewAt>& barriers) {
    return std::all_of(barriers.begin(), barriers.end(), [](const ViewAt& barrier) {
      return barrier.informer->revision() >= barrier.revision;
    });
  }

  void Follow(Informer& informer) {
    {
      absl::MutexLock lock(&mutex_);
      if (!followed_.insert(&informer).second) return;
    }
    informer.AddProgressHandler([this](int64_t) { OnProgress(); });
  }

  void OnProgress() {
    std::vector<QueueKey> ready;
    {
      absl::MutexLock lock(&mutex_);
      for (auto it = parked_.begin(); it != parked_.end();) {
        auto barriers = barriers_.find(*it);
        if (barriers == barriers_.end() || Reached(barriers->second)) {
          ready.push_back(*it);
          it = parked_.erase(it);
        } else {
          ++it;
        }
      }
    }
    for (QueueKey& key : ready)
      queue_.Add(std::move(key));
  }

  Env& env_;
  Client& client_;
  InformerSet& informers_;
  const std::unique_ptr<Reconciler> reconciler_;
  const size_t max_workers_;
  EventRecorder recorder_;
  Counter& failures_;
  Gate gate_;

  absl::Mutex mutex_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  size_t workers_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::btree_map<QueueKey, std::vector<ViewAt>> barriers_ ABSL_GUARDED_BY(mutex_);
  absl::btree_set<QueueKey> parked_ ABSL_GUARDED_BY(mutex_);
  absl::btree_set<Informer*> followed_ ABSL_GUARDED_BY(mutex_);
  WorkQueue queue_;
};

}  // namespace

struct ReconcilerRunner::State {
  State(Env& env, Client& client, InformerSet& informers)
      : env(env), client(client), informers(informers) {}

  Task<> OpenWhenSynced() {
    if (!(co_await informers.WaitForSync(stop.token())).ok()) co_return;
    for (const auto& controller : controllers)
      controller->Open();
  }

  Env& env;
  Client& client;
  InformerSet& informers;
  CancelSource stop;
  Gate gate;
  std::vector<std::unique_ptr<Controller>> controllers;
};

ReconcilerRunner::ReconcilerRunner(Env& env, Client& client, InformerSet& informers)
    : state_(std::make_unique<State>(env, client, informers)) {}
ReconcilerRunner::~ReconcilerRunner() = default;

void ReconcilerRunner::Add(std::unique_ptr<Reconciler> reconciler, int workers) {
  state_->controllers.push_back(
      std::make_unique<Controller>(state_->env, state_->client, state_->informers,
                                   std::move(reconciler), static_cast<size_t>(workers)));
}

void ReconcilerRunner::Start() {
  state_->informers.Start();
  Spawn(state_->env.executor(), state_->gate, "reconciler start", state_->OpenWhenSynced());
}

Task<> ReconcilerRunner::Stop() {
  state_->stop.Cancel();
  co_await state_->gate.Close(state_->env);
  for (const auto& controller : state_->controllers)
    co_await controller->Stop();
}

}  // namespace gantry::client
