#include <algorithm>
#include <csignal>

#include "api/core/v1/container.pb.h"
#include "api/core/v1/pod_status.pb.h"
#include "api/core/v1/service.pb.h"
#include "base/env/blocking.h"
#include "base/log.h"
#include "client/typed.h"
#include "node/os/fs.h"
#include "node/pod/pod_writes.h"
#include "node/pod/worker.h"
#include "node/probes/handler.h"
#include "node/runtime/signals.h"

// How a pod and its containers end.
namespace gantry::node {

using api::core::v1::Pod;
using std::chrono::seconds;

namespace {

// How long a pod that is deleted waits for service maps to forget it, at most.
constexpr Duration kDrainTimeout = seconds(5);
// Between the signals, however little of the grace period is left.
constexpr Duration kLeastGrace = seconds(2);
// After the last SIGKILL.
constexpr Duration kKillTimeout = seconds(10);

// Whether service maps lead to the pod: one of the services that have an address selects it.
bool IsServed(const Pod& pod, const std::vector<api::Ref<api::core::v1::Service>>& services) {
  return std::any_of(services.begin(), services.end(), [&](const auto& service) {
    const auto& selector = service->spec().selector();
    return service->metadata().namespace_() == pod.metadata().namespace_() && !selector.empty() &&
           service->spec().cluster_ip() != "None" &&
           std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
             auto label = pod.metadata().labels().find(wanted.first);
             return label != pod.metadata().labels().end() && label->second == wanted.second;
           });
  });
}

}  // namespace

struct PodWorker::Hook {
  CancelSource cancel;
  bool done = false;
};

Task<> PodWorker::RunPreStop(std::shared_ptr<Hook> hook, api::core::v1::LifecycleHandler handler,
                             HandlerTarget target) {
  std::string container = target.container.name();
  Status done =
      co_await RunLifecycleHandler(node_.env, node_.runtime, std::move(handler), std::move(target),
                                   std::chrono::hours(24), hook->cancel.token());
  if (!done.ok() && pod_ && !hook->cancel.token().cancelled())
    Event("Warning", "FailedPreStopHook", "PreStopHook failed", std::move(container));
  hook->done = true;
  exited_.Notify();
}

// Returns when the hook has ended, or at the deadline, which may come nearer meanwhile.
Task<> PodWorker::PreStop(std::string container, std::string id,
                          std::function<SteadyTime()> deadline) {
  const ContainerEntry* entry = containers_->Find(container);
  if (entry == nullptr || !entry->spec->lifecycle().has_pre_stop()) co_return;
  const ContainerRun* run = runs_.FindId(id);
  if (run == nullptr) co_return;
  HandlerTarget target;
  target.id = id;
  target.bundle = run->bundle;
  target.pod_ip = ips_.empty() ? std::string() : ips_.front();
  target.pod = PodDescription(*pod_);
  target.container = *entry->spec;
  api::core::v1::LifecycleHandler handler = entry->spec->lifecycle().pre_stop();
  auto hook = std::make_shared<Hook>();
  Gate gate;
  Spawn(strand_, gate, "pre-stop hook", RunPreStop(hook, std::move(handler), std::move(target)));
  while (!hook->done && !stop_.token().cancelled()) {
    SteadyTime now = node_.env.Steady(), end = deadline();
    if (now >= end) break;
    co_await exited_.Wait(node_.env, stop_.token(), std::min<SteadyTime>(end, now + seconds(1)));
  }
  hook->cancel.Cancel();
  co_await gate.Close(node_.env);
}

Task<> PodWorker::KillContainer(std::string id, std::string message, bool deleting) {
  ContainerRun* run = runs_.FindId(id);
  if (run == nullptr || run->state == ContainerRun::State::kExited) co_return;
  std::string name = run->name, bundle = run->bundle;
  bool started = run->state == ContainerRun::State::kRunning;
  Event("Normal", "Killing", message.empty() ? "Stopping container " + name : message, name);
  std::optional<int64_t> probe_grace = deleting ? std::nullopt : prober_.GraceFor(name);
  prober_.StopContainer(name, true);
  SteadyTime begin = node_.env.Steady();
  // Containers that end in turns share the pod's time, and hooks use it up: but each may have a
  // last moment.
  auto grace = [&]() -> Duration { return probe_grace ? seconds(*probe_grace) : GracePeriod(); };
  SteadyTime since = ending_since_.value_or(begin);
  SteadyTime last_moment = begin + std::min(kLeastGrace, grace());
  // A deletion may be asked for again with less patience: the deadline follows the pod as it is
  // now.
  auto deadline = [&] { return std::max(since + grace(), last_moment); };
  if (started) {
    std::function<SteadyTime()> end = deadline;
    co_await PreStop(name, id, std::move(end));
    last_moment = node_.env.Steady() + std::min(kLeastGrace, grace());
  }
  std::string signal_name;
  if (const ContainerEntry* entry = containers_->Find(name))
    signal_name = entry->spec->lifecycle().stop_signal();
  const int signal = signal_name.empty() ? StopSignalOf(bundle) : SignalNumber(signal_name);
  // A container that was created but never started has no program to ask.
  Status sent = co_await node_.runtime.Kill(id, bundle, started ? signal : SIGKILL);
  bool killed = !started;
  SteadyTime kill_deadline = node_.env.Steady() + kKillTimeout;
  while (!stop_.token().cancelled()) {
    run = runs_.FindId(id);
    if (run == nullptr || run->state == ContainerRun::State::kExited ||
        runs_.NoteExit(node_.runtime, *run))
      break;
    SteadyTime now = node_.env.Steady();
    if (!killed && now >= deadline()) {
      killed = true;
      kill_deadline = now + kKillTimeout;
      sent = co_await node_.runtime.Kill(id, bundle, SIGKILL);
      continue;
    }
    if (sent.code() == Code::kNotFound || (killed && now >= kill_deadline)) {
      co_await NoteExits();  // the process is gone without a record
      run = runs_.FindId(id);
      if (run == nullptr || run->state == ContainerRun::State::kExited) break;
      if (killed && now >= kill_deadline) break;
    }
    SteadyTime until = std::min(killed ? kill_deadline : deadline(), now + seconds(1));
    co_await exited_.Wait(node_.env, stop_.token(), until);
  }
  if (stop_.token().cancelled()) co_return;
  if (run = runs_.FindId(id); run != nullptr && run->state == ContainerRun::State::kExited) {
    ContainerRun copy = *run;
    co_await DropContainer(std::move(copy));
  }
}

Task<> PodWorker::KillAll(std::vector<std::string> ids, bool deleting) {
  auto gate = std::make_shared<Gate>();
  auto kill = [](std::shared_ptr<PodWorker> self, std::string id, bool deleting) -> Task<> {
    co_await self->KillContainer(std::move(id), std::string(), deleting);
  };
  for (const std::string& id : ids)
    Spawn(strand_, *gate, "kill container", kill(shared_from_this(), id, deleting));
  co_await gate->Close(node_.env);
}

Task<> PodWorker::Terminate() {
  bool deleting = gone_ || pod_->metadata().has_deletion_timestamp();
  if (!ended_) {
    std::vector<std::string> mains, sidecars;
    if (!ending_since_) ending_since_ = node_.env.Steady();
    for (const ContainerRun* run : runs_.Running()) {
      const ContainerEntry* entry = containers_->Find(run->name);
      bool sidecar = entry != nullptr && entry->role == ContainerRole::kSidecar;
      (sidecar ? sidecars : mains).push_back(run->id);
    }
    if (deleting && !mains.empty() && node_.drain != nullptr && !ips_.empty() &&
        !pod_->spec().host_network()) {
      SteadyTime deadline = node_.env.Steady() + std::min<Duration>(kDrainTimeout, GracePeriod());
      std::vector<std::string> ips = ips_;
      co_await node_.drain->AwaitDrained(std::move(ips), deadline);
      if (node_.cluster_drain && IsServed(*pod_, node_.services())) {
        ips = ips_;
        const Duration rest = deadline - node_.env.Steady();
        if (rest > Duration::zero()) co_await node_.cluster_drain(std::move(ips), rest);
      }
    }
    co_await KillAll(std::move(mains), deleting);
    // Sidecars serve the others to the end: they go last, the last one first.
    std::vector<ContainerEntry> order = containers_->Of(ContainerRole::kSidecar);
    std::vector<std::string> names;
    for (auto it = order.rbegin(); it != order.rend(); ++it)
      names.push_back(it->name());
    for (const std::string& name : names) {
      const ContainerRun* run = runs_.Latest(name);
      if (run != nullptr && run->state != ContainerRun::State::kExited) {
        std::string id = run->id;
        co_await KillContainer(std::move(id), std::string(), deleting);
      }
    }
    if (stop_.token().cancelled()) co_return;
    if (!runs_.Running().empty()) {
      log::Error("node", "containers do not end", {{"pod", pod_->metadata().name()}});
      RetryIn(seconds(5));
      co_return;
    }
    prober_.StopAll();
    co_await CleanUp();
    ended_ = true;
    waiting_.clear();
  }
  Status written = co_await WriteStatus();
  if (!written.ok()) RetryIn(seconds(1));
  if (gone_) co_return;
  if (!written.ok() || !pod_->metadata().has_deletion_timestamp()) co_return;
  const Result<bool> was_gone = co_await ConfirmDeletion(node_.client, pod_);
  if (!was_gone.ok()) {
    RetryIn(seconds(1));
  } else if (*was_gone) {
    gone_ = true;
    wake_.Notify();
  }
}

// What the records and the logs were kept for is gone.
Task<> PodWorker::Forget() {
  auto remove =
      [pod = node_.paths.Pod(uid_), bundles = node_.paths.Bundles(uid_),
       logs = node_.paths.PodLogs(pod_->metadata().namespace_(), pod_->metadata().name(), uid_)] {
        Status status = RemoveTree(bundles);
        if (status.ok()) status = RemoveTree(pod);
        Status logs_removed = RemoveTree(logs);
        return status.ok() ? logs_removed : status;
      };
  Status removed = co_await RunBlocking(node_.env, std::move(remove));
  if (!removed.ok())
    log::Warning("node", "pod's files were not removed",
                 {{"pod", uid_}, {"error", removed.ToString()}});
  node_.objects.Release(uid_);
}

// Everything but the records, which the status and the logs still need.
Task<> PodWorker::CleanUp() {
  Turns::Turn turn = co_await node_.take_down.Take(node_.env, stop_.token());
  if (node_.network != nullptr && !pod_->spec().host_network()) {
    Status detached = co_await node_.network->Detach(uid_);
    if (!detached.ok())
      log::Warning("node", "pod was not detached", {{"pod", uid_}, {"error", detached.ToString()}});
  }
  std::vector<std::string> homes;
  for (const auto& [name, runs] : runs_.all()) {
    for (const ContainerRun& run : runs)
      homes.push_back(run.home);
  }
  auto clean = [&node = node_, uid = uid_, cgroup = PodCgroup(*pod_, node_.paths.CgroupRoot()),
                homes]() -> Status {
    Status result;
    auto note = [&result](Status s) {
      if (!s.ok()) result = std::move(s);
    };
    for (const std::string& home : homes) {
      note(node.images.UnmountRoot(home));
      note(RemoveTree(home + "/upper"));
      note(RemoveTree(home + "/work"));
    }
    note(PodVolumes(node.paths, uid).TearDown());
    note(node.sandboxes.Remove(uid, cgroup));
    return result;
  };
  Status cleaned = co_await RunBlocking(node_.env, std::move(clean));
  if (!cleaned.ok())
    log::Warning("node", "pod was not cleaned up", {{"pod", uid_}, {"error", cleaned.ToString()}});
  node_.objects.Release(uid_);
}

}  // namespace gantry::node
