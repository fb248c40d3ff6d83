#include "node/pod/worker.h"

#include <algorithm>

#include "api/core/v1/container.pb.h"
#include "api/core/v1/pod_status.pb.h"
#include "api/core/v1/volume.pb.h"
#include "api/duration.h"
#include "base/env/blocking.h"
#include "base/log.h"
#include "client/typed.h"
#include "node/os/fs.h"
#include "node/pod/pod_writes.h"
#include "node/pod/storage.h"
#include "node/streams/log_file.h"

namespace gantry::node {

using api::core::v1::Pod;
using std::chrono::seconds;

namespace {

// Between looks that nothing asked for: tokens, deadlines and lost monitors are found then.
constexpr Duration kIdleLook = std::chrono::minutes(1);
// Between looks at what a pod with limits keeps on the disk.
constexpr Duration kMeasurePeriod = seconds(10);
constexpr size_t kMaxTerminationMessage = 4096;
constexpr size_t kMaxTerminationLog = 2048;
constexpr int kMaxTerminationLogLines = 80;

std::string TerminationMessage(const api::core::v1::Container& container, const ContainerRun& run) {
  std::string message = ReadFile(run.home + "/termination-log").value_or("");
  if (message.size() > kMaxTerminationMessage)
    message.erase(0, message.size() - kMaxTerminationMessage);
  if (message.empty() && run.exit_code != 0 &&
      container.termination_message_policy() == "FallbackToLogsOnError") {
    message = TailLogText(run.log_path, kMaxTerminationLogLines, kMaxTerminationLog);
  }
  return message;
}

}  // namespace

PodWorker::PodWorker(NodeContext& node, std::string uid, Executor strand,
                     std::function<void()> finished)
    : node_(node),
      uid_(std::move(uid)),
      strand_(std::move(strand)),
      finished_(std::move(finished)),
      runs_(std::make_unique<RunRecordFiles>(node.paths), uid_),
      prober_(node.env, node.runtime, node.events, strand_, [this] { Poke(); }) {}

PodWorker::~PodWorker() = default;

void PodWorker::Start(Gate& gate) {
  prober_.UseGate(gate);
  Result<std::string> number = ReadFile(node_.paths.Pod(uid_) + "/sandbox");
  if (number.ok()) sandbox_ = std::atoi(number->c_str());
  // What this node took once, it does not judge again.
  admitted_ = sandbox_ > 0;
  auto run = [](std::shared_ptr<PodWorker> self) -> Task<> { co_await self->Run(); };
  Spawn(strand_, gate, "pod worker", run(shared_from_this()));
}

void PodWorker::Stop() {
  stop_.Cancel();
  pull_.Cancel();
  prober_.StopAll();
  wake_.Notify();
  exited_.Notify();
}

void PodWorker::See(api::Ref<Pod> pod) {
  if (!pod) {
    gone_ = true;
  } else if (!pod_ || pod.revision() > pod_.revision()) {
    pod_ = std::move(pod);
    // Entries point into the pod: the list lives and dies with it. Steps that are under way find
    // theirs by name.
    containers_ = std::make_unique<ContainerList>(*pod_);
  }
}

void PodWorker::Update(api::Ref<Pod> pod) {
  See(std::move(pod));
  // Nobody waits for the image any more.
  if (gone_ || pod_->metadata().has_deletion_timestamp()) pull_.Cancel();
  Poke();
}

void PodWorker::Poke() {
  wake_.Notify();
  exited_.Notify();
}

const ContainerRun* PodWorker::FindRun(const std::string& container, bool previous) const {
  const ContainerRun* latest = runs_.Latest(container);
  if (!previous) return latest;
  // While the next run is waited for, the latest one is the previous one.
  bool waits = latest != nullptr && latest->state == ContainerRun::State::kExited &&
               waiting_.contains(container);
  return waits ? latest : runs_.Previous(container);
}

void PodWorker::Event(std::string type, std::string reason, std::string message,
                      std::string container) {
  std::string path;
  if (!container.empty()) {
    path = "spec.containers{" + container + "}";
    if (const ContainerEntry* entry = containers_->Find(container)) {
      if (entry->role == ContainerRole::kInit || entry->role == ContainerRole::kSidecar)
        path = "spec.initContainers{" + container + "}";
      if (entry->role == ContainerRole::kEphemeral)
        path = "spec.ephemeralContainers{" + container + "}";
    }
  }
  node_.events.Record(pod_.object(), std::move(type), std::move(reason), std::move(message),
                      std::move(path));
}

void PodWorker::RetryIn(Duration delay) {
  SteadyTime when = node_.env.Steady() + delay;
  if (!next_look_ || when < *next_look_) next_look_ = when;
}

Duration PodWorker::GracePeriod() const {
  const auto& meta = pod_->metadata();
  if (end_reason_ == "Evicted") return seconds(1);
  int64_t wanted = 30;
  if (meta.has_deletion_grace_period_seconds()) {
    wanted = meta.deletion_grace_period_seconds();
  } else if (pod_->spec().has_termination_grace_period_seconds()) {
    wanted = pod_->spec().termination_grace_period_seconds();
  }
  // An object that is gone before we took it away was deleted by force.
  if (gone_) wanted = std::min<int64_t>(wanted, 2);
  return seconds(std::max<int64_t>(1, wanted));
}

std::string PodWorker::LogDirectory(const std::string& container) const {
  const auto& meta = pod_->metadata();
  return node_.paths.PodLogs(meta.namespace_(), meta.name(), uid_) + "/" + container;
}

ObservedPod PodWorker::Observe() const {
  ObservedPod observed;
  observed.runs = &runs_;
  observed.sandbox = sandbox_;
  observed.sandbox_ready = sandbox_ > 0 && !ips_.empty() && node_.sandboxes.Ready(uid_);
  observed.probes = prober_.Results();
  return observed;
}

Task<> PodWorker::Run() {
  CancelToken cancel = stop_.token();
  while (!cancel.cancelled()) {
    next_look_ = node_.env.Steady() + kIdleLook;
    co_await SyncOnce();
    if (cancel.cancelled() || (gone_ && ended_)) break;
    co_await wake_.Wait(node_.env, cancel, next_look_);
  }
  prober_.StopAll();
  if (cancel.cancelled()) co_return;
  co_await Forget();
  finished_();
}

Task<> PodWorker::Prepare() {
  if (loaded_) co_return;
  runs_.Load(node_.runtime);
  for (const ContainerRun& run : runs_.TakeUnstarted())
    co_await Discard(run);
  admitted_ = admitted_ || !runs_.all().empty();
  for (const auto& [name, runs] : runs_.all()) {
    if (ContainerRun* latest = runs_.MutableLatest(name);
        latest->state == ContainerRun::State::kExited && latest->message.empty()) {
      if (const ContainerEntry* entry = containers_->Find(name)) {
        std::string message = TerminationMessage(*entry->spec, *latest);
        if (!message.empty()) runs_.SetMessage(*latest, std::move(message));
      }
    }
  }
  if (node_.sandboxes.Ready(uid_)) {
    if (pod_->spec().host_network()) {
      ips_ = node_.node_ips;
    } else {
      Result<std::string> ips = ReadFile(node_.paths.Namespaces(uid_) + "/ips");
      for (size_t at = 0; ips.ok() && at < ips->size();) {
        size_t end = std::min(ips->find('\n', at), ips->size());
        if (end > at) ips_.push_back(ips->substr(at, end - at));
        at = end + 1;
      }
    }
  }
  loaded_ = true;
}

Task<> PodWorker::SyncOnce() {
  if (!pod_ || (ended_ && gone_)) co_return;
  if (ended_) {
    co_await Terminate();
    co_return;
  }
  co_await Prepare();
  co_await NoteExits();

  const std::string& phase = pod_->status().phase();
  bool over = phase == "Succeeded" || phase == "Failed";
  if (gone_ || over || !end_reason_.empty() || pod_->metadata().has_deletion_timestamp()) {
    co_await Terminate();
    co_return;
  }
  if (pod_->spec().has_active_deadline_seconds() && pod_->status().has_start_time()) {
    WallTime deadline = api::ToWallTime(pod_->status().start_time()) +
                        seconds(pod_->spec().active_deadline_seconds());
    if (node_.env.Now() >= deadline) {
      end_reason_ = "DeadlineExceeded";
      end_message_ = "Pod was active on the node longer than the specified deadline";
      Event("Normal", "DeadlineExceeded", end_message_);
      co_await Terminate();
      co_return;
    }
    RetryIn(deadline - node_.env.Now());
  }
  if (!admitted_) {
    if (std::optional<Rejection> rejection = node_.admit(*pod_)) {
      end_reason_ = rejection->reason;
      end_message_ = "Pod was rejected: " + rejection->message;
      Event("Warning", rejection->reason, rejection->message);
      co_await Terminate();
      co_return;
    }
    admitted_ = true;
  }

  if (co_await StorageOverLimit()) {
    co_await Terminate();
    co_return;
  }

  PodActions actions = ComputeActions(*pod_, *containers_, Observe());
  if (actions.finished) {
    co_await Terminate();
    co_return;
  }
  for (const ContainerToKill& victim : actions.kill)
    co_await KillContainer(victim.id, victim.message, false);
  if (!actions.kill.empty() && !actions.create_sandbox) {
    // What is started next depends on what has ended.
    co_await NoteExits();
    actions = ComputeActions(*pod_, *containers_, Observe());
  }
  if (actions.create_sandbox) {
    if (co_await EnsureSandbox()) actions = ComputeActions(*pod_, *containers_, Observe());
  }
  if (!ips_.empty() && co_await EnsureVolumes()) co_await StartContainers(std::move(actions.start));
  if (stop_.token().cancelled()) co_return;
  prober_.Sync(pod_, *containers_, runs_, ips_);
  Status written = co_await WriteStatus();
  if (!written.ok()) RetryIn(seconds(1));
  for (ContainerRun& old : runs_.TakeOld()) {
    co_await DropContainer(old);
    (void)RemoveTree(old.bundle);
    (void)RemoveTree(old.home);
    for (const std::string& rotated : RotatedLogs(old.log_path))
      unlink(rotated.c_str());
    unlink(old.log_path.c_str());
  }
}

// Looks from time to time whether the pod keeps more on the disk than it may; it is evicted then.
Task<bool> PodWorker::StorageOverLimit() {
  if (!volumes_ready_ || !HasStorageLimit(*pod_)) co_return false;
  SteadyTime now = node_.env.Steady();
  std::string message;
  if (now >= next_measure_) {
    next_measure_ = now + kMeasurePeriod;
    std::map<std::string, std::vector<std::string>> written;
    for (const auto& [name, runs] : runs_.all()) {
      for (const ContainerRun& run : runs) {
        written[name].push_back(run.home + "/upper");
        written[name].push_back(run.log_path);
      }
    }
    auto measure = [volumes = volumes(), pod = pod_, written] {
      StorageUsage usage;
      for (const auto& volume : pod->spec().volumes()) {
        const auto& source = volume.volume_source();
        if (source.has_empty_dir() && source.empty_dir().medium().empty())
          usage.volumes[volume.name()] = DiskUsage(volumes.PathOf(volume));
      }
      for (const auto& [name, paths] : written) {
        for (const std::string& path : paths)
          usage.containers[name] += DiskUsage(path);
      }
      return StorageExceeded(*pod, usage);
    };
    message = co_await RunBlocking(node_.env, std::move(measure));
  }
  RetryIn(next_measure_ - now);
  if (message.empty()) co_return false;
  end_reason_ = "Evicted";
  end_message_ = message;
  Event("Warning", "Evicted", message);
  co_return true;
}

Task<> PodWorker::NoteExits() {
  std::vector<std::string> names;
  for (const ContainerRun* run : runs_.Running())
    names.push_back(run->name);
  for (const std::string& name : names) {
    ContainerRun* run = runs_.MutableLatest(name);
    if (run == nullptr || run->state == ContainerRun::State::kExited) continue;
    bool ended = runs_.NoteExit(node_.runtime, *run);
    if (!ended && !node_.runtime.RunningPid(run->bundle)) {
      // Its process is gone: the monitor writes the record a moment later, unless it is gone, too.
      for (int attempt = 0; attempt < 40 && !ended; ++attempt) {
        co_await SleepFor(node_.env, std::chrono::milliseconds(25), stop_.token());
        run = runs_.MutableLatest(name);
        ended = runs_.NoteExit(node_.runtime, *run);
      }
      if (!ended) {
        runs_.MarkFailed(*run, "ContainerStatusUnknown",
                         "The container could not be located when the pod was terminated",
                         node_.env.Now());
        run->exit_code = 137;
        ended = true;
      }
    }
    if (!ended) continue;
    prober_.StopContainer(name, false);
    if (const ContainerEntry* entry = containers_->Find(name)) {
      std::string message = TerminationMessage(*entry->spec, *run);
      if (!message.empty()) runs_.SetMessage(*run, std::move(message));
    }
    co_await DropContainer(*run);
  }
}

// Lets go of what the runtime and the kernel hold of an ended run; its record stays for the status
// and the log.
Task<> PodWorker::DropContainer(ContainerRun run) {
  Turns::Turn turn = co_await node_.take_down.Take(node_.env, stop_.token());
  Status deleted = co_await node_.runtime.Delete(run.id);
  if (!deleted.ok())
    log::Warning("node", "container was not deleted",
                 {{"container", run.id}, {"error", deleted.ToString()}});
  auto clean = [&images = node_.images, home = run.home]() -> Status {
    GANTRY_TRY(images.UnmountRoot(home));
    GANTRY_TRY(RemoveTree(home + "/upper"));
    return RemoveTree(home + "/work");
  };
  Status cleaned = co_await RunBlocking(node_.env, std::move(clean));
  if (!cleaned.ok())
    log::Warning("node", "container's files were not removed",
                 {{"container", run.id}, {"error", cleaned.ToString()}});
}

// Removes all of a run that never came to be.
Task<> PodWorker::Discard(ContainerRun run) {
  Status ended = co_await node_.runtime.Discard(run.id, run.bundle);
  auto clean = [&images = node_.images, home = run.home, bundle = run.bundle]() -> Status {
    GANTRY_TRY(images.UnmountRoot(home));
    GANTRY_TRY(RemoveTree(home));
    return RemoveTree(bundle);
  };
  Status cleaned = co_await RunBlocking(node_.env, std::move(clean));
  for (const Status& failed : {ended, cleaned}) {
    if (!failed.ok())
      log::Warning("node", "a container that was not started was not removed",
                   {{"container", run.id}, {"error", failed.ToString()}});
  }
}

Task<Status> PodWorker::WriteStatus() {
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (gone_) co_return Status::Ok();
    StatusInputs inputs;
    inputs.pod = &*pod_;
    inputs.containers = containers_.get();
    inputs.observed = Observe();
    inputs.waiting = waiting_;
    inputs.pod_ips = ips_;
    inputs.host_ips = node_.node_ips;
    inputs.ending = !end_reason_.empty() || pod_->metadata().has_deletion_timestamp();
    inputs.all_ended = ended_;
    inputs.rejected = !admitted_ && !end_reason_.empty();
    inputs.end_reason = end_reason_;
    inputs.end_message = end_message_;
    inputs.now = node_.env.Now();
    api::core::v1::PodStatus status = BuildPodStatus(inputs);
    GANTRY_CO_ASSIGN(PodWritten written,
                     co_await PutPodStatus(node_.client, pod_, std::move(status)));
    See(std::move(written.newest));
    if (written.done) co_return Status::Ok();
  }
  co_return Status(Code::kConflict, "the pod's status changes too often");
}

void PodWorker::RotateLogs() {
  for (const ContainerRun* run : runs_.Running()) {
    if (RotateLogIfLarge(run->log_path, node_.log_limits))
      (void)node_.runtime.ReopenLog(run->bundle);
  }
}

}  // namespace gantry::node
