#include "client/leader.h"

#include <absl/synchronization/mutex.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <optional>
#include <utility>

#include "api/coordination/v1/lease.pb.h"
#include "base/log.h"
#include "client/typed.h"

namespace gantry::client {

using api::coordination::v1::Lease;
using api::coordination::v1::LeaseSpec;

namespace {

// The exact length of a lease, in milliseconds: the API has whole seconds.
constexpr char kDuration[] = "gantry/lease-duration-ms";

Duration TermOf(const Lease& lease) {
  const auto& annotations = lease.metadata().annotations();
  if (auto exact = annotations.find(kDuration); exact != annotations.end()) {
    int64_t ms = 0;
    const char* end = exact->second.data() + exact->second.size();
    if (std::from_chars(exact->second.data(), end, ms).ec == std::errc() && ms > 0)
      return std::chrono::milliseconds(ms);
  }
  return std::chrono::seconds(lease.spec().lease_duration_seconds());
}

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

  // Makes `lease` say that it is ours from now on. `fresh`: nobody held it before.
  void Take(bool fresh, Lease* lease) const {
    LeaseSpec& spec = *lease->mutable_spec();
    const bool ours = !fresh && spec.holder_identity() == options.identity;
    spec.set_holder_identity(options.identity);
    spec.set_lease_duration_seconds(static_cast<int32_t>(
        std::chrono::ceil<std::chrono::seconds>(options.lease_duration).count()));
    const auto ms = std::chrono::floor<std::chrono::milliseconds>(options.lease_duration);
    auto& annotations = *lease->mutable_metadata()->mutable_annotations();
    if (ms % std::chrono::seconds(1) == ms.zero()) {
      annotations.erase(kDuration);
    } else {
      annotations[kDuration] = std::to_string(ms.count());
    }
    SetNow(env.Now(), spec.mutable_renew_time());
    if (ours) return;
    *spec.mutable_acquire_time() = spec.renew_time();
    spec.set_lease_transitions(fresh ? 0 : spec.lease_transitions() + 1);
  }

  // Remembers what was seen of the lease, and since when it has been so.
  void Observe(const Lease& lease) {
    const std::string record = lease.spec().SerializeAsString();
    if (record == observed_record) return;
    observed_record = record;
    observed_at = env.Steady();
    observed_term = TermOf(lease);
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
    // What we wrote last is most likely what stands there: nobody needs to be asked.
    if (std::optional<Lease> last = std::exchange(ours, std::nullopt)) {
      Take(false, &*last);
      Result<api::Ref<Lease>> renewed = co_await Update<Lease>(client, std::move(*last));
      if (renewed.ok()) co_return Got(**renewed);
      if (renewed.code() != Code::kConflict) co_return Failed(renewed.status());
    }
    Result<api::Ref<Lease>> found = co_await Get<Lease>(client, options.ns, options.name);
    if (!found.ok()) {
      if (found.code() != Code::kNotFound) co_return Failed(found.status());
      Lease lease;
      lease.mutable_metadata()->set_namespace_(options.ns);
      lease.mutable_metadata()->set_name(options.name);
      Take(true, &lease);
      Result<api::Ref<Lease>> created = co_await Create<Lease>(client, std::move(lease));
      if (!created.ok()) co_return Failed(created.status());
      co_return Got(**created);
    }
    Observe(**found);
    const LeaseSpec& spec = (*found)->spec();
    const bool held = !spec.holder_identity().empty() && spec.holder_identity() != options.identity;
    if (held && observed_at + observed_term > env.Steady()) co_return false;
    Lease lease = **found;
    Take(false, &lease);
    Result<api::Ref<Lease>> updated = co_await Update<Lease>(client, std::move(lease));
    if (!updated.ok()) co_return Failed(updated.status());
    co_return Got(**updated);
  }

  bool Got(const Lease& lease) {
    Observe(lease);
    ours = lease;
    return true;
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
        co_await WaitForTurn(stopped);
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

  Duration Jitter(Duration most) {
    return Duration(
        static_cast<int64_t>(RandomBelow(env, static_cast<uint64_t>(most.count()) + 1)));
  }

  // Until another try may help: the lease that another holds has run out or was let go. A random
  // part, so that candidates do not keep meeting.
  Task<> WaitForTurn(CancelToken stopped) {
    ListOptions one;
    one.ns = options.ns;
    one.field_selector = "metadata.name=" + options.name;
    Result<List> listed = co_await client.ListObjects(api::KindOf<Lease>(), one);
    std::unique_ptr<Watcher> watcher;
    if (listed.ok() && !listed->items.empty()) {
      Observe(listed->items[0]->As<Lease>());
      Result<std::unique_ptr<Watcher>> watch =
          co_await client.Watch(api::KindOf<Lease>(), one, listed->revision);
      if (watch.ok()) watcher = std::move(watch).value();
    }
    if (!watcher) {
      co_await SleepFor(env, options.retry_period + Jitter(options.retry_period), stopped);
      co_return;
    }
    Gate following;
    CancelSource enough;
    const CancelToken::Registration registration =
        stopped.OnCancel([enough]() mutable { enough.Cancel(); });
    Spawn(strand, following, "leader watch", FollowLease(*watcher, enough.token()));
    while (!stopped.cancelled()) {
      const SteadyTime until = observed_at + observed_term;
      const std::string holder = HolderSeen();
      if (holder.empty() || holder == options.identity || until <= env.Steady() || watch_ended)
        break;
      co_await lease_changed.Wait(env, stopped, until);
    }
    enough.Cancel();
    co_await following.Close(env);
    const bool failed = watch_ended || HolderSeen() == options.identity;
    const Duration pause = failed ? options.retry_period : Duration::zero();
    co_await SleepFor(env, pause + Jitter(options.retry_period / 4), stopped);
  }

  Task<> FollowLease(Watcher& watcher, CancelToken enough) {
    watch_ended = false;
    while (true) {
      Result<std::vector<WatchEvent>> events = co_await watcher.Next(enough);
      if (!events.ok()) break;
      for (const WatchEvent& event : *events) {
        if (event.object) Observe(event.object->As<Lease>());
        if (event.type == WatchEvent::Type::kDeleted) observed_term = Duration::zero();
      }
      lease_changed.Notify();
    }
    watch_ended = true;
    lease_changed.Notify();
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

  std::string HolderSeen() {
    absl::MutexLock lock(&mutex);
    return observed_leader;
  }
  // False once somebody else is known to hold the lease.
  bool HoldsIt() { return HolderSeen() == options.identity; }

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
  Duration observed_term{};
  std::optional<Lease> ours;  // as we wrote it last
  bool watch_ended = false;
  Notifier lease_changed;
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
