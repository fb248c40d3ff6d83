#include "sim/pod_worker.h"

#include <csignal>
#include <utility>

#include "api/core/v1/container.pb.h"
#include "api/core/v1/pod_status.pb.h"
#include "api/pod_resources.h"
#include "base/env/spawn.h"
#include "client/typed.h"
#include "node/pod/pod_writes.h"

namespace gantry::sim {

using api::core::v1::Pod;
using node::ContainerRun;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// Between looks that nothing asked for.
constexpr Duration kIdleLook = std::chrono::minutes(1);
constexpr int kStatusTries = 5;

int64_t CpuOf(const api::core::v1::Container& container) {
  const api::ResourceAmounts amounts = api::ToAmounts(container.resources().requests());
  auto it = amounts.find("cpu");
  return it == amounts.end() ? 0 : it->second;
}

}  // namespace

SimulatedPod::SimulatedPod(AgentContext& node, std::string uid, std::function<void()> finished)
    : node_(node),
      uid_(std::move(uid)),
      finished_(std::move(finished)),
      runs_(std::make_unique<MachineRecords>(node.machine, node.process), uid_) {}

void SimulatedPod::Start(Gate& gate) {
  Load();
  auto run = [](std::shared_ptr<SimulatedPod> self) -> Task<> { co_await self->Run(); };
  Spawn(node_.process.executor(), gate, "pod", run(shared_from_this()));
}

void SimulatedPod::Update(api::Ref<Pod> pod) {
  if (!pod) {
    gone_ = true;
  } else if (!pod_ || pod.revision() > pod_.revision()) {
    pod_ = std::move(pod);
    containers_ = std::make_unique<node::ContainerList>(*pod_);
  }
  Poke();
}

void SimulatedPod::RetryIn(Duration delay) {
  const SteadyTime when = node_.process.Steady() + delay;
  if (!next_look_ || when < *next_look_) next_look_ = when;
}

Duration SimulatedPod::Grace() const {
  const auto& meta = pod_->metadata();
  int64_t wanted = 30;
  if (meta.has_deletion_grace_period_seconds()) {
    wanted = meta.deletion_grace_period_seconds();
  } else if (pod_->spec().has_termination_grace_period_seconds()) {
    wanted = pod_->spec().termination_grace_period_seconds();
  }
  if (gone_) wanted = std::min<int64_t>(wanted, 2);
  return seconds(std::max<int64_t>(1, wanted));
}

node::ObservedPod SimulatedPod::Observe() const {
  node::ObservedPod observed;
  observed.runs = &runs_;
  auto stored = node_.machine.disk.find(uid_);
  if (stored != node_.machine.disk.end()) observed.sandbox = stored->second.sandbox;
  observed.sandbox_ready = node_.machine.sandboxes.contains(uid_);
  for (const ContainerRun* run : runs_.Running()) {
    auto it = node_.machine.containers.find(run->id);
    if (it != node_.machine.containers.end())
      observed.probes[run->name].readiness = it->second.ready;
  }
  return observed;
}

Task<> SimulatedPod::Run() {
  const CancelToken death = node_.process.death();
  while (alive()) {
    next_look_ = node_.process.Steady() + kIdleLook;
    co_await Sync();
    if (!alive() || (gone_ && ended_)) break;
    co_await wake_.Wait(node_.process, death, next_look_);
  }
  if (!alive()) co_return;
  node_.process.world().Tell(node_.machine.name() + " forgets pod " + uid_);
  node_.machine.disk.erase(uid_);
  finished_();
}

void SimulatedPod::Load() {
  runs_.Load(node_.runtime);
  auto stored = node_.machine.disk.find(uid_);
  // What this node took once, it does not judge again.
  admitted_ = stored != node_.machine.disk.end() && stored->second.sandbox > 0;
}

Task<> SimulatedPod::Sync() {
  if (!pod_ || (ended_ && gone_)) co_return;
  if (ended_) {
    co_await Terminate();
    co_return;
  }
  co_await NoteExits();
  if (!alive()) co_return;
  const std::string& phase = pod_->status().phase();
  const bool over = phase == "Succeeded" || phase == "Failed";
  if (gone_ || over || !end_reason_.empty() || pod_->metadata().has_deletion_timestamp()) {
    co_await Terminate();
    co_return;
  }
  if (!admitted_) {
    if (std::optional<node::Rejection> rejection = node_.admit(*pod_)) {
      end_reason_ = rejection->reason;
      end_message_ = "Pod was rejected: " + rejection->message;
      co_await Terminate();
      co_return;
    }
    admitted_ = true;
  }
  node::PodActions actions = ComputeActions(*pod_, *containers_, Observe());
  if (actions.finished) {
    co_await Terminate();
    co_return;
  }
  std::vector<std::string> victims;
  for (const node::ContainerToKill& victim : actions.kill)
    victims.push_back(victim.id);
  if (!victims.empty()) {
    co_await Kill(std::move(victims));
    if (!alive()) co_return;
    actions = ComputeActions(*pod_, *containers_, Observe());
  }
  if (actions.create_sandbox) {
    co_await EnsureSandbox();
    if (!alive()) co_return;
    actions = ComputeActions(*pod_, *containers_, Observe());
  }
  for (const std::string& name : actions.start) {
    if (!alive() || gone_ || pod_->metadata().has_deletion_timestamp() || node_.fenced(pod_)) break;
    co_await StartContainer(name);
  }
  if (!alive()) co_return;
  Status written = co_await WriteStatus();
  if (!written.ok()) RetryIn(seconds(1));
}

Task<> SimulatedPod::EnsureSandbox() {
  if (node_.pod_range.empty()) {
    RetryIn(seconds(1));
    co_return;
  }
  co_await SleepFor(node_.process, node_.machine.Takes(milliseconds(1), milliseconds(20)),
                    node_.process.death());
  if (!alive()) co_return;
  StoredPod& stored = node_.machine.disk[uid_];
  stored.pod = *pod_;
  ++stored.sandbox;
  if (stored.ip.empty()) stored.ip = node_.machine.NewPodAddress(node_.pod_range);
  node_.machine.sandboxes.insert(uid_);
}

Task<bool> SimulatedPod::EnsureImage(std::string container, std::string image) {
  if (node_.machine.images.contains(image)) co_return true;
  const WallTime now = node_.process.Now();
  if (auto failed = pull_failed_.find(image); failed != pull_failed_.end()) {
    const Duration wait = pulls_.Remaining(image, failed->second, now);
    if (wait > Duration::zero()) {
      waiting_[container] = {"ImagePullBackOff", "Back-off pulling image \"" + image + "\""};
      RetryIn(wait);
      co_return false;
    }
  }
  co_await SleepFor(node_.process, node_.machine.Takes(milliseconds(50), seconds(2)),
                    node_.process.death());
  if (!alive()) co_return false;
  if (!node_.machine.registry_down && Behaviour::Of(image).exists) {
    node_.machine.images.insert(image);
    co_return true;
  }
  pulls_.Next(image, node_.process.Now());
  pull_failed_[image] = node_.process.Now();
  waiting_[container] = {"ErrImagePull", "the registry does not have it"};
  RetryIn(seconds(1));
  co_return false;
}

Task<> SimulatedPod::StartContainer(std::string name) {
  const int sandbox = Observe().sandbox;
  const ContainerRun* latest = runs_.Latest(name);
  const WallTime now = node_.process.Now();
  if (latest != nullptr && latest->state == ContainerRun::State::kExited &&
      latest->sandbox == sandbox) {
    const Duration wait = restarts_.Remaining(name, latest->finished_at, now);
    if (wait > Duration::zero()) {
      waiting_[name] = {"CrashLoopBackOff", "back-off restarting failed container=" + name};
      RetryIn(wait);
      co_return;
    }
    restarts_.Next(name, now);
  }
  std::string image = containers_->Find(name)->spec->image();
  if (!co_await EnsureImage(name, image)) co_return;
  const node::ContainerEntry* entry = containers_->Find(name);
  if (entry == nullptr || !alive() || node_.fenced(pod_)) co_return;
  Container container;
  container.image = image;
  container.pod_uid = uid_;
  container.pod = pod_->metadata().namespace_() + "/" + pod_->metadata().name();
  container.cpu_milli = CpuOf(*entry->spec);
  std::string id = RandomUuid(node_.process);
  Result<ContainerRun*> run =
      runs_.Begin(*entry->spec, sandbox, id, image, image, "", node_.process.Now());
  if (!run.ok()) co_return;
  node::CreateRequest request;
  request.id = id;
  request.bundle = (*run)->bundle;
  node_.runtime.Describe(id, std::move(container));
  Result<pid_t> pid = co_await node_.runtime.Create(std::move(request));
  if (!alive()) co_return;
  Status started = pid.status();
  if (started.ok() && node_.fenced(pod_)) started = Unavailable("the node reaches no server");
  if (started.ok()) started = co_await node_.runtime.Start(id);
  if (!alive()) co_return;
  ContainerRun* begun = runs_.FindId(id);
  if (begun == nullptr) co_return;
  if (!started.ok()) {
    runs_.MarkFailed(*begun, "RunContainerError", started.message(), node_.process.Now());
    waiting_[name] = {"RunContainerError", started.message()};
    Status deleted = co_await node_.runtime.Delete(id);
    (void)deleted;
    RetryIn(seconds(1));
    co_return;
  }
  waiting_.erase(name);
  Status marked = runs_.MarkStarted(*begun, *pid, node_.process.Now());
  if (!marked.ok()) co_return;
  // It may have ended already.
  if (!node_.runtime.RunningPid(begun->bundle)) Poke();
}

Task<> SimulatedPod::NoteExits() {
  std::vector<std::string> ended;
  for (const ContainerRun* running : runs_.Running()) {
    ContainerRun* run = runs_.FindId(running->id);
    if (runs_.NoteExit(node_.runtime, *run)) {
      ended.push_back(run->id);
    } else if (!node_.runtime.RunningPid(run->bundle)) {
      runs_.MarkFailed(*run, "ContainerStatusUnknown", "The container could not be located",
                       node_.process.Now());
      run->exit_code = 137;
    }
  }
  for (const std::string& id : ended) {
    Status deleted = co_await node_.runtime.Delete(id);
    (void)deleted;
  }
}

Task<> SimulatedPod::Kill(std::vector<std::string> ids) {
  const SteadyTime begun = node_.process.Steady();
  bool killed = false;
  for (const std::string& id : ids) {
    ContainerRun* run = runs_.FindId(id);
    const bool started = run != nullptr && run->state == ContainerRun::State::kRunning;
    if (run == nullptr) continue;
    std::string bundle = run->bundle;
    Status sent = co_await node_.runtime.Kill(id, std::move(bundle), started ? SIGTERM : SIGKILL);
    (void)sent;  // whether it works is seen by its end
  }
  while (alive()) {
    co_await NoteExits();
    if (!alive()) co_return;
    bool any = false;
    for (const std::string& id : ids) {
      ContainerRun* run = runs_.FindId(id);
      any = any || (run != nullptr && run->state != ContainerRun::State::kExited);
    }
    if (!any) co_return;
    const SteadyTime deadline = begun + Grace();
    const SteadyTime now = node_.process.Steady();
    if (!killed && now >= deadline) {
      killed = true;
      for (const std::string& id : ids) {
        ContainerRun* run = runs_.FindId(id);
        if (run == nullptr || run->state == ContainerRun::State::kExited) continue;
        std::string bundle = run->bundle;
        Status sent = co_await node_.runtime.Kill(id, std::move(bundle), SIGKILL);
        (void)sent;
      }
      continue;
    }
    const SteadyTime until = killed ? now + seconds(1) : std::min(deadline, now + seconds(1));
    co_await wake_.Wait(node_.process, node_.process.death(), until);
  }
}

Task<> SimulatedPod::Terminate() {
  if (!ended_) {
    std::vector<std::string> ids;
    for (const ContainerRun* run : runs_.Running())
      ids.push_back(run->id);
    if (!ids.empty()) co_await Kill(std::move(ids));
    if (!alive()) co_return;
    node_.machine.sandboxes.erase(uid_);
    ended_ = true;
    waiting_.clear();
  }
  Status written = co_await WriteStatus();
  if (!alive()) co_return;
  if (!written.ok()) RetryIn(seconds(1));
  if (gone_) {
    Poke();
    co_return;
  }
  if (!written.ok() || !pod_->metadata().has_deletion_timestamp()) co_return;
  const Result<bool> was_gone = co_await node::ConfirmDeletion(node_.client, pod_);
  if (!was_gone.ok()) {
    RetryIn(seconds(1));
  } else if (*was_gone) {
    gone_ = true;
    Poke();
  }
}

Task<Status> SimulatedPod::WriteStatus() {
  for (int attempt = 0; attempt < kStatusTries; ++attempt) {
    if (gone_) co_return Status::Ok();
    node::StatusInputs inputs;
    inputs.pod = &*pod_;
    inputs.containers = containers_.get();
    inputs.observed = Observe();
    inputs.waiting = waiting_;
    if (auto stored = node_.machine.disk.find(uid_);
        stored != node_.machine.disk.end() && !stored->second.ip.empty())
      inputs.pod_ips = {stored->second.ip};
    inputs.host_ips = {node_.machine.address()};
    inputs.ending = !end_reason_.empty() || pod_->metadata().has_deletion_timestamp();
    inputs.all_ended = ended_;
    inputs.rejected = !admitted_ && !end_reason_.empty();
    inputs.end_reason = end_reason_;
    inputs.end_message = end_message_;
    inputs.now = node_.process.Now();
    api::core::v1::PodStatus status = BuildPodStatus(inputs);
    GANTRY_CO_ASSIGN(node::PodWritten written,
                     co_await node::PutPodStatus(node_.client, pod_, std::move(status)));
    if (!written.newest || written.newest.revision() > pod_.revision()) Update(written.newest);
    if (written.done) co_return Status::Ok();
  }
  co_return Status(Code::kConflict, "the pod's status changes too often");
}

}  // namespace gantry::sim
