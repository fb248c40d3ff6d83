#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/object.h"
#include "base/env/cancel.h"
#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "node/pod/actions.h"
#include "node/pod/backoff.h"
#include "node/pod/container_spec.h"
#include "node/pod/containers.h"
#include "node/pod/context.h"
#include "node/pod/status.h"
#include "node/probes/handler.h"
#include "node/probes/prober.h"
#include "node/volumes/volumes.h"

namespace gantry::node {

// One pod on this node, from its first sight until nothing of it is left: compares what should be
// with what is, does the next steps, reports the status; again whenever something changes. Life
// cycle: Start once; ends by itself when the pod's object is gone and everything is cleaned up
// (finished() is then true), or by Stop, which leaves containers running. Threading: everything on
// the agent's strand.
class PodWorker : public std::enable_shared_from_this<PodWorker> {
 public:
  // `finished` is called when nothing is left.
  PodWorker(NodeContext& node, std::string uid, Executor strand, std::function<void()> finished);
  ~PodWorker();

  void Start(Gate& gate);
  void Stop();

  // The pod's object has changed; null: it is gone.
  void Update(api::Ref<api::core::v1::Pod> pod);
  // Something about it may have changed: look again.
  void Poke();

  const std::string& uid() const { return uid_; }
  const api::Ref<api::core::v1::Pod>& pod() const { return pod_; }
  bool HasContainer(const std::string& id) { return runs_.FindId(id) != nullptr; }
  // For streams: a run by container name, the one before the latest when `previous`.
  const ContainerRun* FindRun(const std::string& container, bool previous) const;
  const std::vector<std::string>& ips() const { return ips_; }
  // Whether the pod counts against what the node can hold: from its admission to its end. One that
  // was deleted by force does not, though it may take a while to end: the scheduler has given its
  // place away.
  bool takes_resources() const { return admitted_ && !ended_ && !gone_; }
  const ContainerRuns& runs() const { return runs_; }
  void RotateLogs();

 private:
  // What failed for a reason that time may heal is tried again after this.
  static constexpr Duration kRetry = std::chrono::seconds(10);

  Task<> Run();
  Task<> SyncOnce();
  Task<> Prepare();
  Task<bool> EnsureSandbox();
  Task<bool> EnsureVolumes();
  Task<> StartContainers(std::vector<std::string> names);
  Task<> StartContainer(std::string name);
  Task<Result<ImagePtr>> EnsureImage(std::string container);
  Task<Status> Launch(std::string container, ImagePtr image);
  Task<Result<ContainerSpec>> Describe(std::string container, ImagePtr image, std::string home,
                                       std::string bundle);
  Task<Status> PostStart(std::string container, std::string id);
  Task<> KillContainer(std::string id, std::string message, bool deleting);
  Task<> KillAll(std::vector<std::string> ids, bool deleting);
  struct Hook;
  Task<> PreStop(std::string container, std::string id, std::function<SteadyTime()> deadline);
  Task<> RunPreStop(std::shared_ptr<Hook> hook, api::core::v1::LifecycleHandler handler,
                    HandlerTarget target);
  Task<> Terminate();
  Task<> CleanUp();
  Task<> Forget();
  Task<bool> StorageOverLimit();
  Task<> NoteExits();
  Task<> DropContainer(ContainerRun run);
  Task<> Discard(ContainerRun run);
  Task<Status> WriteStatus();
  void See(api::Ref<api::core::v1::Pod> pod);  // null: it is gone
  Task<ReferencedObjects> Fetch(ObjectNames names, Status* error);
  Task<PayloadInputs> VolumeInputs(const ReferencedObjects* objects, Status* error);

  ObservedPod Observe() const;
  Duration GracePeriod() const;
  void Event(std::string type, std::string reason, std::string message, std::string container = {});
  void RetryIn(Duration delay);
  PodVolumes volumes() const { return PodVolumes(node_.paths, uid_); }
  std::string LogDirectory(const std::string& container) const;
  Result<std::string> TargetNamespace(const std::string& name) const;
  const api::core::v1::Volume* FindVolume(const std::string& name) const;
  Result<std::vector<ResolvedMount>> ResolveMounts(const ContainerEntry& entry,
                                                   const EnvironmentList& environment);

  NodeContext& node_;
  std::string uid_;
  Executor strand_;
  std::function<void()> finished_;
  api::Ref<api::core::v1::Pod> pod_;
  std::unique_ptr<ContainerList> containers_;  // of pod_
  bool gone_ = false;                          // the API object is
  ContainerRuns runs_;
  Prober prober_;
  int sandbox_ = 0;
  std::vector<std::string> ips_;
  bool loaded_ = false, admitted_ = false, ended_ = false, volumes_ready_ = false;
  std::string end_reason_, end_message_;  // why the node ended it
  std::map<std::string, WaitingReason, std::less<>> waiting_;
  BackOff restarts_, pulls_;
  std::map<std::string, WallTime> pull_failed_;
  struct Token {
    std::string token;
    WallTime renew_at;
  };
  std::map<std::pair<std::string, int64_t>, Token> tokens_;
  std::string last_volume_error_;
  CancelSource stop_;
  CancelSource pull_;           // what gives way to a deletion: a pull, a postStart hook
  std::shared_ptr<void> warm_;  // from the sandbox until a container exists
  Notifier wake_, exited_;
  std::optional<SteadyTime> next_look_;
  SteadyTime next_measure_{};
  std::optional<SteadyTime> ending_since_;  // when all containers were told to end
};

}  // namespace gantry::node
