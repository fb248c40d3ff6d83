#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "client/client.h"
#include "node/pod/actions.h"
#include "node/pod/admission.h"
#include "node/pod/backoff.h"
#include "node/pod/status.h"
#include "sim/machine.h"

namespace gantry::sim {

// What the pods of one run of an agent work with.
struct AgentContext {
  AgentContext(Process& process, Machine& machine, client::Client& client)
      : process(process), machine(machine), client(client), runtime(machine, process) {}
  Process& process;
  Machine& machine;
  client::Client& client;
  MachineRuntime runtime;
  std::string pod_range;  // the node's; empty: not known yet
  std::function<std::optional<node::Rejection>(const api::core::v1::Pod& pod)> admit;
  std::function<bool(const api::Ref<api::core::v1::Pod>& pod)> fenced;
};

// One pod on a simulated machine, after node::PodWorker: compares, does the next step, reports;
// ends when its object is gone and nothing is left, or with the process. Threading: one thread.
class SimulatedPod : public std::enable_shared_from_this<SimulatedPod> {
 public:
  SimulatedPod(AgentContext& node, std::string uid, std::function<void()> finished);

  void Start(Gate& gate);
  // The pod's object has changed; null: it is gone.
  void Update(api::Ref<api::core::v1::Pod> pod);
  void Poke() { wake_.Notify(); }

  const api::Ref<api::core::v1::Pod>& pod() const { return pod_; }
  bool HasContainer(const std::string& id) { return runs_.FindId(id) != nullptr; }
  // Counts against what the node can hold.
  bool takes_resources() const { return admitted_ && !ended_ && !gone_; }

 private:
  Task<> Run();
  Task<> Sync();
  void Load();
  Task<> EnsureSandbox();
  Task<> StartContainer(std::string name);
  Task<bool> EnsureImage(std::string container, std::string image);
  Task<> Kill(std::vector<std::string> ids);
  Task<> NoteExits();
  Task<> Terminate();
  Task<Status> WriteStatus();
  node::ObservedPod Observe() const;
  Duration Grace() const;
  void RetryIn(Duration delay);
  bool alive() const { return node_.process.alive(); }

  AgentContext& node_;
  const std::string uid_;
  std::function<void()> finished_;
  api::Ref<api::core::v1::Pod> pod_;
  std::unique_ptr<node::ContainerList> containers_;  // of pod_
  node::ContainerRuns runs_;
  bool admitted_ = false, ended_ = false, gone_ = false;
  std::string end_reason_, end_message_;
  std::map<std::string, node::WaitingReason, std::less<>> waiting_;
  node::BackOff restarts_, pulls_;
  std::map<std::string, WallTime> pull_failed_;
  Notifier wake_;
  std::optional<SteadyTime> next_look_;
};

}  // namespace gantry::sim
