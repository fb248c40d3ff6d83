#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "node/lease.h"
#include "node/machine.h"
#include "node/pod/containers.h"
#include "node/runtime/runtime.h"
#include "sim/process.h"

namespace gantry::sim {

// What a program does, read from its image's name: "APP:BEHAVIOUR-VERSION".
//   good     becomes ready and runs until it is told to stop
//   crash    ends with code 1 after a while
//   done     ends with code 0 after a while
//   flaky    ends with code 1 or 0 after a while
//   unready  runs, but never becomes ready
//   missing  is in no registry
struct Behaviour {
  bool crashes = false, ends = false, ready = true, exists = true;
  static Behaviour Of(const std::string& image);
};

// A container as kernel and monitor have it.
struct Container {
  std::string id, bundle, image;
  std::string pod_uid, pod;  // "ns/name"
  int64_t cpu_milli = 0;
  bool ready = false;
  pid_t pid = 0;
  std::optional<WallTime> started_at;
  std::optional<node::ExitRecord> exit;
  bool running() const { return !exit; }
};

// What a node keeps of a pod on its disk.
struct StoredPod {
  api::core::v1::Pod pod;
  std::vector<node::ContainerRun> runs;
  int sandbox = 0;  // its number; 0: none was made yet
  std::string ip;
};

// A machine that runs containers: its disk (records, images), and what a reboot loses (containers,
// sandboxes). Agents come and go on it. Threading: one thread.
class Machine {
 public:
  Machine(World& world, std::string name, int index);

  const std::string& name() const { return name_; }
  node::MachineFacts facts() const;
  std::string address() const { return "10.0.0." + std::to_string(index_ + 1); }
  std::string NewPodAddress(const std::string& range);
  MachineClock& clock() { return clock_; }

  // Weather.
  bool runtime_refuses = false;  // containers cannot be created
  bool registry_down = false;    // images cannot be fetched
  int slowness = 1;
  Duration Takes(Duration least, Duration most);

  // Everything that runs is gone; the disk stays. It is off until TurnOn.
  void LosePower();
  void TurnOn() { on_ = true; }
  bool on() const { return on_; }

  // The agent's runtime hears of ends and of readiness.
  std::function<void(const std::string& id)> on_change;

  // Called when a container has been made: for checkers.
  std::function<void(const Container& container)> on_create;

  std::map<std::string, StoredPod> disk;        // by pod uid
  std::optional<node::Renewal> renewal;         // of the node's lease; gone with the power
  std::set<std::string> sandboxes;              // pod uids; gone with the power
  std::set<std::string> images;                 // on disk
  std::map<std::string, Container> containers;  // by id

  // Requests of all pods with running containers, in thousandths of a processor.
  int64_t CpuInUse() const;
  int64_t cpu_capacity() const { return facts().cpus * 1000; }

  void Begin(const std::string& id);              // the program starts
  void Signal(const std::string& id, bool kill);  // TERM or KILL

 private:
  void End(const std::string& id, int code);
  void Later(const std::string& id, Duration delay, std::function<void(Container&)> what);

  World& world_;
  const std::string name_;
  const int index_;
  MachineClock clock_;
  bool on_ = true;
  int boots_ = 0;
  int last_address_ = 1;
};

// The runtime as one run of an agent has it: what a dead agent asks for does not happen.
class MachineRuntime final : public node::Runtime {
 public:
  MachineRuntime(Machine& machine, Process& process) : machine_(machine), process_(process) {}

  Task<std::string> Version() override { co_return "sim://1.0"; }
  void OnExit(std::function<void(const std::string& id)> callback) override;
  Task<Result<pid_t>> Create(node::CreateRequest request) override;
  Task<Status> Start(std::string id) override;
  Task<Status> Kill(std::string id, std::string bundle, int signal) override;
  Task<Status> Delete(std::string id) override;
  Task<Status> Discard(std::string id, std::string bundle) override;
  std::optional<WallTime> StartedAt(const std::string& id) override;
  std::optional<pid_t> RunningPid(const std::string& bundle) override;
  std::optional<node::ExitRecord> ReadExit(const std::string& bundle) override;
  Task<Result<node::ExecOutcome>> ExecSync(node::ExecRequest request, Duration timeout,
                                           CancelToken cancel) override;
  Task<Result<std::unique_ptr<client::ExecSession>>> Exec(node::ExecRequest request) override;
  Task<Result<std::unique_ptr<client::ExecSession>>> Attach(std::string bundle, bool stdin_open,
                                                            bool terminal) override;
  Status ReopenLog(const std::string& bundle) override { return Status::Ok(); }

  // The pod whose container is created next; the simulated bundle.
  void Describe(std::string id, Container container) { described_[id] = std::move(container); }

 private:
  // Some time later; false when the process was killed meanwhile.
  Task<bool> Work(Duration least, Duration most);
  Container* Find(const std::string& bundle);

  Machine& machine_;
  Process& process_;
  std::map<std::string, Container> described_;
};

// Records of runs on the machine's disk.
class MachineRecords final : public node::RunRecords {
 public:
  MachineRecords(Machine& machine, Process& process) : machine_(machine), process_(process) {}
  Status Place(const std::string& uid, node::ContainerRun* run) override;
  Status Write(const std::string& uid, const node::ContainerRun& run) override;
  std::vector<node::ContainerRun> ReadAll(const std::string& uid) override;

 private:
  Machine& machine_;
  Process& process_;
};

}  // namespace gantry::sim
