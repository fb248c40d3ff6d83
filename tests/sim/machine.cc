#include "sim/machine.h"

#include <csignal>
#include <utility>

#include "base/env/notifier.h"

namespace gantry::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

Behaviour Behaviour::Of(const std::string& image) {
  auto says = [&image](std::string_view word) { return image.find(word) != std::string::npos; };
  Behaviour behaviour;
  behaviour.crashes = says(":crash") || says(":flaky");
  behaviour.ends = says(":done") || says(":flaky");
  behaviour.ready = !says(":unready");
  behaviour.exists = !says(":missing");
  return behaviour;
}

Machine::Machine(World& world, std::string name, int index)
    : world_(world), name_(std::move(name)), index_(index) {}

node::MachineFacts Machine::facts() const {
  node::MachineFacts facts;
  facts.cpus = 4;
  facts.memory_bytes = int64_t{8} << 30;
  facts.disk_bytes = int64_t{100} << 30;
  facts.disk_free_bytes = int64_t{80} << 30;
  facts.machine_id = facts.system_uuid = name_;
  facts.boot_id = name_ + "-" + std::to_string(boots_);
  facts.kernel_version = "6.1.0";
  facts.os_image = "simulated";
  facts.architecture = "amd64";
  return facts;
}

std::string Machine::NewPodAddress(const std::string& range) {
  last_address_ = last_address_ % 250 + 1;
  return range.substr(0, range.rfind('.') + 1) + std::to_string(last_address_ + 1);
}

Duration Machine::Takes(Duration least, Duration most) {
  return world_.dice().Between(least, most) * slowness;
}

void Machine::LosePower() {
  ++boots_;
  on_ = false;
  containers.clear();
  sandboxes.clear();
  renewal.reset();
}

int64_t Machine::CpuInUse() const {
  int64_t sum = 0;
  for (const auto& [id, container] : containers) {
    if (container.running()) sum += container.cpu_milli;
  }
  return sum;
}

void Machine::Later(const std::string& id, Duration delay, std::function<void(Container&)> what) {
  auto act = [this, id, boot = boots_, what = std::move(what)] {
    auto it = containers.find(id);
    if (boot == boots_ && it != containers.end() && it->second.running()) what(it->second);
  };
  world_.After(delay, std::move(act));
}

void Machine::Begin(const std::string& id) {
  Container& container = containers[id];
  container.started_at = world_.env().Now() + clock_.offset;
  const Behaviour behaviour = Behaviour::Of(container.image);
  if (behaviour.crashes || behaviour.ends) {
    const bool fails = behaviour.crashes && (!behaviour.ends || world_.dice().Percent(50));
    Later(id, world_.dice().Between(milliseconds(500), seconds(8)),
          [this, id, fails](Container&) { End(id, fails ? 1 : 0); });
  } else if (behaviour.ready) {
    Later(id, Takes(milliseconds(100), seconds(3)), [this, id](Container& container) {
      container.ready = true;
      if (on_change) on_change(id);
    });
  }
}

void Machine::Signal(const std::string& id, bool kill) {
  if (kill) {
    End(id, 137);
    return;
  }
  // Some do not listen.
  if (world_.dice().Percent(10)) return;
  Later(id, Takes(milliseconds(10), seconds(2)), [this, id](Container&) { End(id, 0); });
}

void Machine::End(const std::string& id, int code) {
  Container& container = containers[id];
  container.ready = false;
  node::ExitRecord& exit = container.exit.emplace();
  exit.exit_code = code;
  exit.finished_at = world_.env().Now() + clock_.offset;
  world_.Tell(name_ + ": a container of " + container.pod + " ends with " + std::to_string(code));
  if (on_change) on_change(id);
}

Task<bool> MachineRuntime::Work(Duration least, Duration most) {
  if (!process_.alive()) co_return false;
  co_await SleepFor(process_, machine_.Takes(least, most), process_.death());
  co_return process_.alive();
}

Container* MachineRuntime::Find(const std::string& bundle) {
  for (auto& [id, container] : machine_.containers) {
    if (container.bundle == bundle) return &container;
  }
  return nullptr;
}

void MachineRuntime::OnExit(std::function<void(const std::string& id)> callback) {
  machine_.on_change = [weak = process_.weak_from_this(),
                        callback = std::move(callback)](const std::string& id) {
    if (auto live = weak.lock(); live && live->alive())
      live->Receive([callback, id] { callback(id); });
  };
}

Task<Result<pid_t>> MachineRuntime::Create(node::CreateRequest request) {
  const Status gone = Unavailable("the process is gone");
  if (!co_await Work(milliseconds(5), milliseconds(50))) co_return gone;
  if (machine_.runtime_refuses) co_return Unavailable("runtime: cannot create a container");
  Container container = described_[request.id];
  described_.erase(request.id);
  container.id = request.id;
  container.bundle = request.bundle;
  container.pid = static_cast<pid_t>(machine_.containers.size()) + 100;
  const pid_t pid = container.pid;
  machine_.containers[request.id] = container;
  process_.world().Tell(machine_.name() + ": a container of " + container.pod + " (" +
                        container.pod_uid + ") is made");
  if (machine_.on_create) machine_.on_create(container);
  // It is there now, whether anybody hears of it or not.
  if (!co_await Work(milliseconds(0), milliseconds(5))) co_return gone;
  co_return pid;
}

Task<Status> MachineRuntime::Start(std::string id) {
  if (!co_await Work(milliseconds(1), milliseconds(20))) co_return Unavailable("gone");
  auto it = machine_.containers.find(id);
  if (it == machine_.containers.end() || !it->second.running())
    co_return Status(Code::kNotFound, "there is no container " + id);
  machine_.Begin(id);
  if (!co_await Work(milliseconds(0), milliseconds(5))) co_return Unavailable("gone");
  co_return Status::Ok();
}

Task<Status> MachineRuntime::Kill(std::string id, std::string bundle, int signal) {
  if (!co_await Work(milliseconds(1), milliseconds(10))) co_return Unavailable("gone");
  auto it = machine_.containers.find(id);
  if (it == machine_.containers.end() || !it->second.running())
    co_return Status(Code::kNotFound, "there is no container " + id);
  machine_.Signal(id, signal == SIGKILL);
  co_return Status::Ok();
}

Task<Status> MachineRuntime::Delete(std::string id) {
  if (!co_await Work(milliseconds(1), milliseconds(20))) co_return Unavailable("gone");
  machine_.containers.erase(id);
  co_return Status::Ok();
}

// Here nobody goes on making a container for a process that is gone.
Task<Status> MachineRuntime::Discard(std::string id, std::string) {
  co_return co_await Delete(std::move(id));
}

std::optional<WallTime> MachineRuntime::StartedAt(const std::string& id) {
  auto it = machine_.containers.find(id);
  return it == machine_.containers.end() ? std::nullopt : it->second.started_at;
}

std::optional<pid_t> MachineRuntime::RunningPid(const std::string& bundle) {
  Container* container = Find(bundle);
  if (container == nullptr || !container->running()) return std::nullopt;
  return container->pid;
}

std::optional<node::ExitRecord> MachineRuntime::ReadExit(const std::string& bundle) {
  Container* container = Find(bundle);
  return container == nullptr ? std::nullopt : container->exit;
}

Task<Result<node::ExecOutcome>> MachineRuntime::ExecSync(node::ExecRequest, Duration, CancelToken) {
  co_return Unavailable("there is no program in a simulated container");
}

Task<Result<std::unique_ptr<client::ExecSession>>> MachineRuntime::Exec(node::ExecRequest) {
  co_return Unavailable("there is no program in a simulated container");
}

Task<Result<std::unique_ptr<client::ExecSession>>> MachineRuntime::Attach(std::string, bool, bool) {
  co_return Unavailable("there is no program in a simulated container");
}

Status MachineRecords::Place(const std::string& uid, node::ContainerRun* run) {
  run->home = run->bundle = uid + "/" + run->name + "/" + std::to_string(run->attempt);
  return Status::Ok();
}

Status MachineRecords::Write(const std::string& uid, const node::ContainerRun& run) {
  if (!process_.alive()) return Unavailable("the process is gone");
  for (node::ContainerRun& written : machine_.disk[uid].runs) {
    if (written.name == run.name && written.attempt == run.attempt) {
      written = run;
      return Status::Ok();
    }
  }
  machine_.disk[uid].runs.push_back(run);
  return Status::Ok();
}

std::vector<node::ContainerRun> MachineRecords::ReadAll(const std::string& uid) {
  auto it = machine_.disk.find(uid);
  if (it == machine_.disk.end()) return {};
  std::vector<node::ContainerRun> runs = it->second.runs;
  // What nobody wrote down is found out again.
  for (node::ContainerRun& run : runs)
    run.pid = -1;
  return runs;
}

}  // namespace gantry::sim
