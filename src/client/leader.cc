#include "client/leader.h"

#include <absl/synchronization/mutex.h>

#include <atomic>
#include <optional>
#include <utility>

#include "api/coordination/v1/lease.pb.h"
#include "base/log.h"
#include "client/typed.h"

namespace gantry::client {

using api::coordination::v1::Lease;
using api::coordination::v1::LeaseSpec;

namespace {

void SetNow(WallTime now, api::meta::v1::MicroTime* time) {
  const auto micros = std::chrono::floor<std::chrono::microseconds>(now.time_since_epoch());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(micros);
  time->set_seconds(seconds.count());
  time->set_nanos(static_cast<int32_t>(std::chrono::nanoseconds(micros - seconds).count()));
}

}  // namespace

struct LeaderElector::State {
  State(Env& env, Client& client, LeaderOptions options, Callbacks callbacks)
      : env(env),
        client(client),
        options(std::move(options)),
        callbacks(std::move(callbacks)),
        strand(env.MakeStrand()) {}

  // What a lease of ours says. `before`: the one that it follows, which may be another's.
  LeaseSpec MakeSpec(const LeaseSpec* before) const {
    LeaseSpec spec;
    if (before) spec = *before;
    const bool ours = before && before->holder_identity() == options.identity;
    spec.set_holder_identity(options.identity);
    spec.set_lease_duration_seconds(static_cast<int32_t>(
        std::chrono::floor<std::chrono::seconds>(options.lease_duration).count()));
    SetNow(env.Now(), spec.mutable_renew_time());
    if (!ours) {
      *spec.mutable_acquire_time() = spec.renew_time();
      spec.set_lease_transitions(before ? before->lease_transitions() + 1 : 0);
    }
    return spec;
  }

  // Remembers what was seen of the lease, and since when it has been so.
  void Observe(const Lease& lease) {
    const std::string record = lease.spec().SerializeAsString();
    if (record == observed_record) return;
    observed_record = record;
    observed_at = env.Steady();
    std::string holder = lease.spec().holder_identity();
    bool changed = false;
    {
      absl::MutexLock lock(&mutex);
      changed = std::exchange(observed_leader, holder) != holder;
    }
    if (changed && !holder.empty() && callbacks.on_new_leader) callbacks.on_new_leader(holder);
  }

  // True when the lease is ours now.
  Task<bool> TryAcquireOrRenew() {
    Result<api::Ref<Lease>> found = co_await Get<Lease>(client, options.ns, options.name);
    if (!found.ok()) {
      if (found.code() != Code::kNotFound) co_return Failed(found.status());
      Lease lease;
      lease.mutable_metadata()->set_namespace_(options.ns);
      lease.mutable_metadata()->set_name(options.name);
      *lease.mutable_spec() = MakeSpec(nullptr);
      Result<api::Ref<Lease>> created = co_await Create<Lease>(client, std::move(lease));
      if (!created.ok()) co_return Failed(created.status());
      Observe(**created);
      co_return true;
    }
    Observe(**found);
    const LeaseSpec& spec = (*found)->spec();
    const bool held = !spec.holder_identity().empty() && spec.holder_identity() != options.identity;
    const Duration term = std::chrono::seconds(spec.lease_duration_seconds());
    if (held && observed_at + term > env.Steady()) co_return false;
    Lease lease = **found;
    *lease.mutable_spec() = MakeSpec(&spec);
    Result<api::Ref<Lease>> updated = co_await Update<Lease>(client, std::move(lease));
    if (!updated.ok()) co_return Failed(updated.status());
    Observe(**updated);
    co_return true;
  }

  bool Failed(const Status& status) {
    log::Debug("client", "leader election",
               {{"lease", options.name}, {"error", status.ToString()}});
    return false;
  }

  Task<> Run() {
    const CancelToken stopped = stop.token();
    while (!stopped.cancelled()) {
      const SteadyTime asked = env.Steady();
      const bool acquired = co_await TryAcquireOrRenew();
      // An answer that took too long is worth nothing: others may have waited long enough by now.
      if (!acquired || env.Steady() - asked >= options.renew_deadline) {
        // A random part, so that candidates do not keep meeting.
        const auto jitter = static_cast<int64_t>(
            RandomBelow(env, static_cast<uint64_t>(options.retry_period.count()) * 6 / 5 + 1));
        co_await SleepFor(env, options.retry_period + Duration(jitter), stopped);
        continue;
      }
      renewed_at = asked;
      leading = true;
      log::Info("client", "leads", {{"lease", options.name}, {"identity", options.identity}});
      if (callbacks.on_started_leading) callbacks.on_started_leading();
      Spawn(strand, gate, "leader guard", GuardDeadline(stopped));
      co_await KeepRenewing(stopped);
      StepDown();
    }
  }

  void StepDown() {
    if (!leading.exchange(false)) return;
    log::Info("client", "no longer leads",
              {{"lease", options.name}, {"identity", options.identity}});
    if (callbacks.on_stopped_leading) callbacks.on_stopped_leading();
  }

  // Returns when leading is over: renewing failed for too long, another one leads, or Stop.
  Task<> KeepRenewing(CancelToken stopped) {
    while (co_await SleepFor(env, options.retry_period, stopped) != Wake::kCanceled) {
      const SteadyTime asked = env.Steady();
      const bool renewed = co_await TryAcquireOrRenew();
      if (!leading) co_return;
      if (renewed) {
        renewed_at = asked;
      } else if (!HoldsIt()) {
        co_return;
      }
    }
  }

  // Steps down in time even while a renewal hangs.
  Task<> GuardDeadline(CancelToken stopped) {
    while (leading && !stopped.cancelled()) {
      const Duration left = renewed_at + options.renew_deadline - env.Steady();
      if (left <= Duration::zero()) {
        StepDown();
        co_return;
      }
      co_await SleepFor(env, left, stopped);
    }
  }

  // False once somebody else is known to hold the lease.
  bool HoldsIt() {
    absl::MutexLock lock(&mutex);
    return observed_leader == options.identity;
  }

  // Leaves the lease to the next one.
  Task<> Release() {
    Result<api::Ref<Lease>> found = co_await Get<Lease>(client, options.ns, options.name);
    if (!found.ok() || (*found)->spec().holder_identity() != options.identity) co_return;
    Lease lease = **found;
    LeaseSpec& spec = *lease.mutable_spec();
    spec.set_holder_identity("");
    spec.set_lease_duration_seconds(1);
    SetNow(env.Now(), spec.mutable_renew_time());
    *spec.mutable_acquire_time() = spec.renew_time();
    Result<api::Ref<Lease>> released = co_await Update<Lease>(client, std::move(lease));
    if (!released.ok()) Failed(released.status());
  }

  Env& env;
  Client& client;
  const LeaderOptions options;
  const Callbacks callbacks;
  const Executor strand;
  CancelSource stop;
  Gate gate;
  std::atomic<bool> leading = false;

  // On the strand.
  std::string observed_record;
  SteadyTime observed_at{};
  SteadyTime renewed_at{};

  mutable absl::Mutex mutex;
  std::string observed_leader ABSL_GUARDED_BY(mutex);
};

LeaderElector::LeaderElector(Env& env, Client& client, LeaderOptions options, Callbacks callbacks)
    : state_(std::make_unique<State>(env, client, std::move(options), std::move(callbacks))) {}
LeaderElector::~LeaderElector() = default;

void LeaderElector::Start() {
  Spawn(state_->strand, state_->gate, "leader election", state_->Run());
}

Task<> LeaderElector::Stop() {
  const bool led = state_->leading;
  state_->stop.Cancel();
  co_await state_->gate.Close(state_->env);
  if (led && state_->options.release_on_stop) co_await state_->Release();
}

bool LeaderElector::leads() const { return state_->leading; }

std::string LeaderElector::leader() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->observed_leader;
}

}  // namespace gantry::client
