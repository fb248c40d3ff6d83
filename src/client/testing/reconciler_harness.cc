#include "client/testing/reconciler_harness.h"

#include "client/plan_shell.h"

namespace gantry::client {
namespace {

Task<> RunPlan(Env& env, Client& client, Plan plan, Execution& execution, Status& status) {
  status = co_await Execute(env, client, std::move(plan), execution);
}

}  // namespace

ReconcilerHarness::ReconcilerHarness(std::unique_ptr<Reconciler> reconciler)
    : client_(env_),
      informers_(env_, client_),
      reconciler_(std::move(reconciler)),
      queue_(env_, std::string(reconciler_->name()), [] {}) {
  reconciler_->Setup(informers_, [this](Reconciler::Key key) { queue_.Add(std::move(key)); });
  informers_.Start();
  env_.RunUntilIdle();
}

ReconcilerHarness::~ReconcilerHarness() { env_.RunToEnd(informers_.Stop()); }

Result<Plan> ReconcilerHarness::Reconcile(const Reconciler::Key& key) {
  env_.RunUntilIdle();
  return reconciler_->Reconcile(key, env_.Now());
}

Status ReconcilerHarness::Apply(Plan plan) {
  Execution execution;
  execution.record = [this](EventNote note) {
    events_.push_back(note.type + " " + note.reason + " " + note.message);
  };
  Status status;
  env_.RunToEnd(RunPlan(env_, client_, std::move(plan), execution, status));
  env_.RunUntilIdle();
  return status;
}

std::vector<Reconciler::Key> ReconcilerHarness::TakeQueued() {
  env_.RunUntilIdle();
  std::vector<Reconciler::Key> keys;
  while (std::optional<QueueKey> key = queue_.TryTake()) {
    queue_.Done(*key);
    keys.push_back(*std::move(key));
  }
  return keys;
}

int ReconcilerHarness::Settle(int limit) {
  int plans = 0;
  env_.RunUntilIdle();
  while (plans < limit) {
    std::optional<QueueKey> key = queue_.TryTake();
    if (!key) break;
    ++plans;
    settled_.insert(*key);
    Result<Plan> plan = Reconcile(*key);
    Status status = plan.status();
    std::optional<Duration> requeue_after;
    std::vector<ViewAt> look_again_at;
    if (plan.ok()) {
      requeue_after = plan->requeue_after;
      look_again_at = plan->look_again_at;
      status = Apply(std::move(plan).value());
    }
    if (!status.ok()) {
      last_failure_ = status;
      queue_.AddRateLimited(*key);
    } else {
      queue_.Forget(*key);
      if (requeue_after) queue_.AddAfter(*key, *requeue_after);
      for (const ViewAt& view : look_again_at) {
        view.informer->WantRevision(view.revision);
        queue_.Add(*key);
      }
    }
    queue_.Done(*key);
  }
  return plans;
}

std::vector<Reconciler::Key> ReconcilerHarness::Restless() {
  std::vector<Reconciler::Key> restless;
  for (const Reconciler::Key& key : settled_) {
    Result<Plan> plan = Reconcile(key);
    if (!plan.ok() || !plan->actions.empty() || !plan->events.empty()) restless.push_back(key);
  }
  return restless;
}

void ReconcilerHarness::Advance(Duration duration) {
  constexpr Duration kStep = std::chrono::milliseconds(100);
  Settle();
  while (duration > Duration::zero()) {
    const Duration step = std::min(kStep, duration);
    env_.Advance(step);
    duration -= step;
    Settle();
  }
}

}  // namespace gantry::client
