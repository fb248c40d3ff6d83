#include "node/agent.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "api/core/v1/container.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod_status.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/duration.h"
#include "base/env/blocking.h"
#include "base/env/notifier.h"
#include "base/env/run_on.h"
#include "base/env/spawn.h"
#include "base/log.h"
#include "client/events.h"
#include "client/informer.h"
#include "client/typed.h"
#include "node/fence.h"
#include "node/images/images.h"
#include "node/machine.h"
#include "node/node_object.h"
#include "node/os/fs.h"
#include "node/os/run_on.h"
#include "node/pod/admission.h"
#include "node/pod/context.h"
#include "node/pod/worker.h"
#include "node/registration.h"
#include "node/runtime/crun_runtime.h"
#include "node/runtime/signals.h"
#include "node/streams/node_streams.h"

namespace gantry::node {

using api::core::v1::Node;
using api::core::v1::Pod;
using api::core::v1::Service;
using std::chrono::seconds;

namespace {

// Looks at the node's own condition and at the sizes of logs.
constexpr Duration kHousePeriod = seconds(10);
constexpr Duration kStatusPeriod = std::chrono::minutes(5);
constexpr Duration kImageSweepPeriod = std::chrono::minutes(5);
// What was fetched just now may be meant for a pod that comes next.
constexpr Duration kImageYouth = std::chrono::minutes(2);
// Images go when the disk is fuller than the first, until it is no fuller than the second.
constexpr double kSweepAbove = 0.85, kSweepTo = 0.80;
constexpr Duration kServerRetry = seconds(5);
// Of a random id that tells agents apart.
constexpr size_t kAgentIdSize = 16;

}  // namespace

class Agent::Impl : public PodLookup,
                    public PodList,
                    public FencedNode,
                    public std::enable_shared_from_this<Agent::Impl> {
 public:
  Impl(Env& env, client::Client& client, AgentOptions options, net::PodNetwork* network,
       net::EndpointDrain* drain)
      : env_(env),
        client_(client),
        options_(std::move(options)),
        paths_(options_.data_dir),
        strand_(env.MakeStrand()),
        informers_(env, client),
        lease_(env, client, options_.node_name, options_.lease,
               std::make_unique<RenewalFile>(paths_.run_dir() + "/renewed")),
        events_(env, client, "kubelet", options_.node_name),
        network_(network),
        drain_(drain) {}

  Task<Status> Start();
  Task<> Stop();
  const std::string& node_name() const { return options_.node_name; }
  std::shared_ptr<client::NodeApi> node_api() { return node_api_; }
  void SetLeaseTimes(LeaseTimes times);

  Task<Result<PodView>> Look(std::string ns, std::string pod, std::string uid,
                             std::string container, bool previous) override;
  Task<std::vector<api::Ref<Pod>>> Pods() override;
  Task<std::vector<PodUsage>> Groups() override;

  std::vector<PodHere> PodsHere() override;
  void OnReleased(const std::string& uid) override;

 private:
  Task<Status> Prepare();
  Task<Status> Register();
  // Until a server has answered.
  Task<Status> RegisterAtLast();
  Task<Status> WriteNodeStatus(bool only_changes);
  Task<> KeepHouse();
  Result<std::string> AgentId() const;
  void NodeChanged(const api::ObjectPtr& after);
  Task<> TakePodCidrs();
  Task<> SweepImages();
  NodeInputs Inputs();
  void PodChanged(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void TakeUp(const std::string& uid, api::Ref<Pod> pod);
  void TakeUpOrphans();
  std::optional<Rejection> Admit(const Pod& pod);
  Result<PodView> View(const std::string& ns, const std::string& name, const std::string& uid,
                       const std::string& container, bool previous);

  Env& env_;
  client::Client& client_;
  AgentOptions options_;
  Paths paths_;
  Executor strand_;
  client::InformerSet informers_;
  NodeLease lease_;
  client::EventRecorder events_;
  net::PodNetwork* network_;
  net::EndpointDrain* drain_;
  Cgroups cgroups_;
  std::unique_ptr<Sandboxes> sandboxes_;
  std::unique_ptr<CgroupWarmer> warmer_;
  std::unique_ptr<CrunRuntime> own_runtime_;
  std::unique_ptr<LocalImages> own_images_;
  Runtime* runtime_ = nullptr;
  std::string runtime_version_;  // empty until it is known
  Images* images_ = nullptr;
  std::unique_ptr<Fence> fence_;  // null: none is wanted
  std::unique_ptr<WatchedObjects> objects_;
  std::unique_ptr<NodeContext> context_;
  std::unique_ptr<NodePages> pages_;
  std::shared_ptr<client::NodeApi> node_api_;
  client::Informer* pods_ = nullptr;
  client::Informer* services_ = nullptr;
  client::Informer* nodes_ = nullptr;
  api::Ref<Node> node_;
  WallTime status_written_;
  SteadyTime images_swept_;
  std::string pod_cidrs_;
  std::map<std::string, std::shared_ptr<PodWorker>> workers_;
  std::string agent_id_;
  CancelSource stop_;
  Notifier wake_, cidrs_changed_;
  Gate gate_;
};

Task<Status> Agent::Impl::Prepare() {
  if (geteuid() != 0) co_return Status(Code::kForbidden, "the node agent needs root");
  GANTRY_CO_TRY(MakeDirs(paths_.data_dir(), 0711));
  GANTRY_CO_TRY(MakeDirs(paths_.run_dir(), 0700));
  GANTRY_CO_TRY(MakeDirs(paths_.Logs(), 0755));
  if (Result<Cgroups> cgroups = Cgroups::Detect(); cgroups.ok()) {
    cgroups_ = *cgroups;
  } else {
    co_return cgroups.status();
  }
  // All pods together weigh as much as the processors that they may fill. As one group among the
  // machine's other processes they would be pushed aside by any of those.
  CgroupLimits all_pods;
  all_pods.cpu_shares = ReadMachine(paths_.data_dir()).cpus * 1024;
  GANTRY_CO_TRY(cgroups_.Create(paths_.CgroupRoot(), all_pods));
  GANTRY_CO_TRY(cgroups_.Create(paths_.CgroupRoot() + "/kubepods", all_pods));
  sandboxes_ = std::make_unique<Sandboxes>(paths_, cgroups_);
  warmer_ = std::make_unique<CgroupWarmer>(env_, strand_, cgroups_);
  runtime_ = options_.runtime;
  if (runtime_ == nullptr) {
    Result<std::unique_ptr<CrunRuntime>> opened =
        CrunRuntime::Open(env_, paths_, cgroups_, options_.oci_runtime);
    if (!opened.ok()) co_return opened.status();
    own_runtime_ = std::move(opened).value();
    runtime_ = own_runtime_.get();
  }
  images_ = options_.images;
  if (images_ == nullptr) {
    own_images_ = std::make_unique<LocalImages>(env_, paths_);
    images_ = own_images_.get();
  }
  co_return Status::Ok();
}

Task<Status> Agent::Impl::Start() {
  if (options_.node_name.empty()) options_.node_name = DefaultNodeName();
  if (options_.node_ips.empty()) options_.node_ips = {DefaultNodeAddress()};
  GANTRY_CO_TRY(co_await Prepare());
  GANTRY_CO_ASSIGN(agent_id_, AgentId());
  auto poke = [weak = weak_from_this()](const std::string& uid) {
    if (auto self = weak.lock()) {
      if (auto it = self->workers_.find(uid); it != self->workers_.end()) it->second->Poke();
    }
  };
  objects_ = std::make_unique<WatchedObjects>(env_, client_, strand_, poke);
  context_ = std::make_unique<NodeContext>(env_, client_, events_, paths_, *images_, *runtime_,
                                           cgroups_, *sandboxes_, *objects_);
  context_->warmer = warmer_.get();
  context_->network = network_;
  context_->drain = drain_;
  context_->cluster_drain = options_.cluster_drain;
  context_->node_name = options_.node_name;
  context_->node_ips = options_.node_ips;
  context_->cluster_dns = options_.cluster_dns;
  context_->cluster_domain = options_.cluster_domain;
  context_->log_limits = options_.log_limits;
  context_->admit = [this](const Pod& pod) { return Admit(pod); };
  context_->fenced = [this](const api::Ref<Pod>& pod) { return fence_ && fence_->Forbids(pod); };
  context_->services = [this] { return client::Typed<Service>(services_->List()); };
  NodePages::Options pages;
  pages.node_name = options_.node_name;
  pages.data_dir = paths_.data_dir();
  pages_ = std::make_unique<NodePages>(env_, *this, cgroups_, std::move(pages));
  node_api_ = MakeNodeApi(env_, *this, *runtime_, drain_, *pages_);

  runtime_->OnExit([weak = weak_from_this()](const std::string& id) {
    auto self = weak.lock();
    if (!self) return;
    boost::asio::post(self->strand_, [self, id] {
      for (auto& [uid, worker] : self->workers_) {
        if (worker->HasContainer(id)) worker->Poke();
      }
    });
  });
  // Pods from before may have to be fenced while no server answers.
  auto keep_fence = [](std::shared_ptr<Impl> self) -> Task<> {
    co_await self->fence_->Keep(self->stop_.token());
  };
  auto release = [](std::shared_ptr<Impl> self) -> Task<> {
    co_await self->fence_->KeepReleasing(self->stop_.token());
  };
  if (options_.fencing) {
    fence_ = std::make_unique<Fence>(env_, client_, *runtime_, events_, lease_, *this);
    lease_.OnGranted([this] { fence_->LeaseGranted(); });
    Spawn(strand_, gate_, "node fence", keep_fence(shared_from_this()));
    Spawn(strand_, gate_, "node fence release", release(shared_from_this()));
  }
  auto learn_version = [](std::shared_ptr<Impl> self) -> Task<> {
    self->runtime_version_ = co_await self->runtime_->Version();
    self->wake_.Notify();
  };
  Spawn(strand_, gate_, "node runtime version", learn_version(shared_from_this()));
  GANTRY_CO_TRY(co_await gantry::RunOn(strand_, RegisterAtLast()));

  client::ListOptions mine;
  mine.field_selector = "spec.nodeName=" + options_.node_name;
  pods_ = &informers_.For(api::KindOf<Pod>(), mine);
  services_ = &informers_.For<Service>();
  client::ListOptions self_node;
  self_node.field_selector = "metadata.name=" + options_.node_name;
  nodes_ = &informers_.For(api::KindOf<Node>(), self_node);
  nodes_->AddHandler([weak = weak_from_this()](const api::ObjectPtr&, const api::ObjectPtr& after) {
    if (auto self = weak.lock())
      boost::asio::post(self->strand_, [self, after] { self->NodeChanged(after); });
  });
  // Pods wait until services are known: their variables depend on them.
  informers_.Start();
  GANTRY_CO_TRY(co_await services_->WaitForSync(stop_.token()));
  GANTRY_CO_TRY(co_await nodes_->WaitForSync(stop_.token()));
  auto take_cidrs = [](std::shared_ptr<Impl> self) -> Task<> { co_await self->TakePodCidrs(); };
  auto keep_house = [](std::shared_ptr<Impl> self) -> Task<> { co_await self->KeepHouse(); };
  auto keep_lease = [](std::shared_ptr<Impl> self) -> Task<> {
    std::function<std::string()> uid = [&self] { return self->node_->metadata().uid(); };
    co_await self->lease_.Keep(std::move(uid), self->stop_.token());
  };
  auto follow_pods = [](std::shared_ptr<Impl> self) -> Task<> {
    Status synced = co_await self->pods_->WaitForSync(self->stop_.token());
    if (synced.ok()) self->TakeUpOrphans();
  };
  Spawn(strand_, gate_, "node pod cidrs", take_cidrs(shared_from_this()));
  Spawn(strand_, gate_, "node housekeeping", keep_house(shared_from_this()));
  Spawn(strand_, gate_, "node lease", keep_lease(shared_from_this()));
  Spawn(strand_, gate_, "node orphans", follow_pods(shared_from_this()));
  co_return Status::Ok();
}

Task<> Agent::Impl::Stop() {
  stop_.Cancel();
  wake_.Notify();
  cidrs_changed_.Notify();
  auto stop_workers = [self = shared_from_this()] {
    for (auto& [uid, worker] : self->workers_)
      worker->Stop();
    return true;
  };
  co_await RunOn(strand_, std::move(stop_workers));
  co_await informers_.Stop();
  if (objects_) co_await objects_->Stop();
  co_await gate_.Close(env_);
  if (warmer_) co_await warmer_->Stop();
  co_await events_.Stop();
  // What was posted before the last worker ended may still be there.
  auto forget_workers = [self = shared_from_this()] {
    self->workers_.clear();
    return true;
  };
  co_await RunOn(strand_, std::move(forget_workers));
}

NodeInputs Agent::Impl::Inputs() {
  NodeInputs inputs;
  inputs.name = options_.node_name;
  inputs.ips = options_.node_ips;
  inputs.machine = ReadMachine(paths_.data_dir());
  inputs.runtime_version = runtime_version_;
  inputs.images = images_->List();
  inputs.network_not_ready = network_ == nullptr ? std::string() : network_->NotReadyReason();
  inputs.now = env_.Now();
  return inputs;
}

Task<Status> Agent::Impl::Register() {
  NodeInputs inputs = Inputs();
  context_->allocatable.cpu_milli = inputs.machine.cpus * 1000;
  context_->allocatable.memory_bytes = inputs.machine.memory_bytes;
  context_->allocatable.ephemeral_bytes = inputs.machine.disk_bytes;
  context_->memory_capacity = inputs.machine.memory_bytes;
  RegistrationOptions registration;
  registration.labels = options_.labels;
  registration.taints = options_.taints;
  registration.agent_id = agent_id_;
  GANTRY_CO_ASSIGN(node_, co_await RegisterNode(env_, client_, std::move(inputs),
                                                std::move(registration), stop_.token()));
  Status written = co_await WriteNodeStatus(true);
  GANTRY_CO_TRY(written);
  std::string uid = node_->metadata().uid();
  co_return co_await lease_.Renew(std::move(uid));
}

Task<Status> Agent::Impl::RegisterAtLast() {
  while (true) {
    Status registered = co_await Register();
    const bool absent = registered.code() == Code::kUnavailable ||
                        registered.code() == Code::kServiceUnavailable ||
                        registered.code() == Code::kTimeout;
    if (!absent || stop_.token().cancelled()) co_return registered;
    log::Warning("node", "no server registers the node; trying again",
                 {{"error", registered.message()}});
    co_await SleepFor(env_, kServerRetry, stop_.token());
  }
}

Task<Status> Agent::Impl::WriteNodeStatus(bool only_changes) {
  for (int attempt = 0; attempt < 5; ++attempt) {
    Node node = *node_;
    NodeInputs inputs = Inputs();
    SetNodeStatus(inputs, &node);
    if (only_changes && !NodeStatusChanged(*node_, node)) co_return Status::Ok();
    Result<api::Ref<Node>> written = co_await client::UpdateStatus<Node>(client_, std::move(node));
    if (written.ok()) {
      node_ = *written;
      status_written_ = env_.Now();
      co_return Status::Ok();
    }
    if (written.code() != Code::kConflict) co_return written.status();
    std::string name = options_.node_name, none;
    Result<api::Ref<Node>> newest = co_await client::Get<Node>(client_, none, name);
    GANTRY_CO_TRY(newest);
    node_ = *newest;
  }
  co_return Status(Code::kConflict, "the node's status changes too often");
}

void Agent::Impl::SetLeaseTimes(LeaseTimes times) {
  boost::asio::post(strand_, [self = shared_from_this(), times] {
    if (times == self->lease_.times()) return;
    log::Info("node", "the cluster's lease times",
              {{"renew_ms", times.renew / std::chrono::milliseconds(1)},
               {"duration_s", times.duration / seconds(1)}});
    self->lease_.SetTimes(times);
  });
}

Task<> Agent::Impl::KeepHouse() {
  CancelToken cancel = stop_.token();
  SteadyTime next = env_.Steady() + kHousePeriod;
  while (!cancel.cancelled()) {
    Wake woken = co_await wake_.Wait(env_, cancel, next);
    if (cancel.cancelled()) break;
    bool due = woken == Wake::kTimeout;
    if (due) {
      next = env_.Steady() + kHousePeriod;
      for (auto& [uid, worker] : workers_)
        worker->RotateLogs();
    }
    bool refresh = env_.Now() - status_written_ >= kStatusPeriod;
    bool deleted = nodes_->List().empty();
    Status written = co_await WriteNodeStatus(!refresh && !deleted);
    if (written.code() == Code::kNotFound)
      written = co_await Register();  // somebody deleted the node
    if (!written.ok())
      log::Warning("node", "node status was not written", {{"error", written.ToString()}});
    if (due && env_.Steady() - images_swept_ >= kImageSweepPeriod) {
      images_swept_ = env_.Steady();
      co_await SweepImages();
    }
  }
}

std::vector<FencedNode::PodHere> Agent::Impl::PodsHere() {
  std::vector<PodHere> here;
  auto add = [&here](api::Ref<Pod> pod, const ContainerRuns& runs) {
    PodHere& entry = here.emplace_back();
    entry.pod = std::move(pod);
    for (const ContainerRun* run : runs.Running())
      entry.running.push_back({run->id, run->bundle, StopSignalOf(run->bundle)});
  };
  for (const auto& [uid, worker] : workers_) {
    if (worker->pod()) add(worker->pod(), worker->runs());
  }
  for (const std::string& uid : ListDir(paths_.Pods())) {
    if (workers_.contains(uid)) continue;
    Pod pod;
    Result<std::string> stored = ReadFile(paths_.Pod(uid) + "/pod.pb");
    if (!stored.ok() || !pod.ParseFromString(*stored)) continue;
    ContainerRuns runs(std::make_unique<RunRecordFiles>(paths_), uid);
    runs.Load(*runtime_);
    add(api::Ref<Pod>::Of(std::move(pod)), runs);
  }
  return here;
}

void Agent::Impl::OnReleased(const std::string& uid) {
  if (auto it = workers_.find(uid); it != workers_.end()) it->second->Poke();
}

// The id of this data directory's agent: made once.
Result<std::string> Agent::Impl::AgentId() const {
  const std::string file = paths_.data_dir() + "/agent-id";
  Result<std::string> kept = ReadFile(file);
  if (kept.ok() && kept->size() == kAgentIdSize) return kept;
  std::string made = RandomNameSuffix(env_, kAgentIdSize);
  GANTRY_TRY(WriteFileAtomic(file, made, 0600));
  return made;
}

void Agent::Impl::NodeChanged(const api::ObjectPtr& after) {
  if (!after) {
    wake_.Notify();  // somebody deleted the node
    return;
  }
  if (after->revision() > node_.revision()) node_ = api::Ref<Node>(after);
  cidrs_changed_.Notify();
  const auto& conditions = node_->status().conditions();
  const bool given_up =
      std::any_of(conditions.begin(), conditions.end(), [](const auto& condition) {
        return condition.type() == "Ready" && condition.status() == "Unknown";
      });
  if (given_up) wake_.Notify();
  const auto& annotations = node_->metadata().annotations();
  auto it = annotations.find(kAgentAnnotation);
  if (it == annotations.end() || it->second == agent_id_ || !options_.on_replaced) return;
  options_.on_replaced(
      Status(Code::kConflict,
             "another machine has taken the place of node \"" + options_.node_name +
                 "\"; to use this one again, remove what it runs (gantry cleanup) and give "
                 "it another name with --node-name"));
}

Task<> Agent::Impl::TakePodCidrs() {
  CancelToken cancel = stop_.token();
  bool pods_followed = false;
  while (!cancel.cancelled()) {
    api::Ref<Node> node = client::GetFrom<Node>(*nodes_, {}, options_.node_name);
    std::vector<std::string> cidrs;
    std::string all;
    if (node) {
      cidrs.assign(node->spec().pod_cidrs().begin(), node->spec().pod_cidrs().end());
      if (cidrs.empty() && !node->spec().pod_cidr().empty())
        cidrs.push_back(node->spec().pod_cidr());
    }
    for (const std::string& cidr : cidrs)
      all += cidr + ",";
    if (!cidrs.empty() && all != pod_cidrs_ && options_.set_pod_cidrs) {
      Status set = co_await options_.set_pod_cidrs(std::move(cidrs));
      if (set.ok()) {
        pod_cidrs_ = all;
      } else {
        log::Error("node", "pod network was not set up", {{"error", set.ToString()}});
      }
      wake_.Notify();  // the node may be ready now
    }
    // Only now: a pod that is attached before the network knows its addresses would have to be
    // started twice.
    if (!pods_followed && (network_ == nullptr || network_->NotReadyReason().empty())) {
      pods_followed = true;
      auto handler = [weak = weak_from_this()](const api::ObjectPtr& before,
                                               const api::ObjectPtr& after) {
        if (auto self = weak.lock()) {
          boost::asio::post(self->strand_,
                            [self, before, after] { self->PodChanged(before, after); });
        }
      };
      pods_->AddHandler(std::move(handler));
      for (const api::ObjectPtr& pod : pods_->List())
        PodChanged(nullptr, pod);
    }
    co_await cidrs_changed_.Wait(
        env_, cancel, pods_followed ? std::nullopt : std::optional(env_.Steady() + seconds(1)));
  }
}

void Agent::Impl::PodChanged(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  if (stop_.token().cancelled()) return;
  if (before && (!after || after->uid() != before->uid())) {
    if (auto it = workers_.find(before->uid()); it != workers_.end())
      it->second->Update(api::Ref<Pod>());
  }
  if (after) TakeUp(after->uid(), api::Ref<Pod>(after));
}

void Agent::Impl::TakeUp(const std::string& uid, api::Ref<Pod> pod) {
  std::shared_ptr<PodWorker>& worker = workers_[uid];
  if (!worker) {
    auto finished = [weak = weak_from_this(), uid] {
      if (auto self = weak.lock())
        boost::asio::post(self->strand_, [self, uid] { self->workers_.erase(uid); });
    };
    worker = std::make_shared<PodWorker>(*context_, uid, strand_, std::move(finished));
    const bool has_claims =
        pod && std::any_of(pod->spec().volumes().begin(), pod->spec().volumes().end(),
                           [](const auto& volume) {
                             return volume.volume_source().has_persistent_volume_claim();
                           });
    auto look_up = [](std::shared_ptr<Impl> self, api::Ref<Pod> pod) -> Task<> {
      co_await self->fence_->LookUpClaims(std::move(pod));
    };
    if (has_claims && fence_)
      Spawn(strand_, gate_, "node claims", look_up(shared_from_this(), pod));
    worker->Update(std::move(pod));
    worker->Start(gate_);
    return;
  }
  worker->Update(std::move(pod));
}

// Pods on this machine that the API server knows no more were deleted while nobody was looking.
void Agent::Impl::TakeUpOrphans() {
  std::set<std::string> known;
  for (const api::ObjectPtr& pod : pods_->List())
    known.insert(pod->uid());
  std::vector<std::string> live(known.begin(), known.end());
  for (const std::string& uid : ListDir(paths_.Pods())) {
    if (known.contains(uid) || workers_.contains(uid)) continue;
    Pod pod;
    Result<std::string> stored = ReadFile(paths_.Pod(uid) + "/pod.pb");
    if (!stored.ok() || !pod.ParseFromString(*stored)) {
      Status removed = sandboxes_->Remove(uid, {});
      removed = RemoveTree(paths_.Bundles(uid));
      removed = RemoveTree(paths_.Pod(uid));
      continue;
    }
    log::Info("node", "ending a pod that was deleted meanwhile",
              {{"pod", pod.metadata().namespace_() + "/" + pod.metadata().name()}});
    live.push_back(uid);
    TakeUp(uid, api::Ref<Pod>::Of(std::move(pod)));
    workers_[uid]->Update(api::Ref<Pod>());
  }
  if (network_ != nullptr) {
    auto release = [](std::shared_ptr<Impl> self, std::vector<std::string> live) -> Task<> {
      Status released = co_await self->network_->ReleaseAllBut(std::move(live));
      if (!released.ok())
        log::Warning("node", "stale addresses were not released", {{"error", released.ToString()}});
    };
    Spawn(strand_, gate_, "node release", release(shared_from_this(), std::move(live)));
  }
}

std::optional<Rejection> Agent::Impl::Admit(const Pod& pod) {
  std::vector<const Pod*> others;
  for (const auto& [uid, worker] : workers_) {
    if (uid != pod.metadata().uid() && worker->takes_resources() && worker->pod())
      others.push_back(&*worker->pod());
  }
  return AdmitPod(pod, others, *node_);
}

Task<> Agent::Impl::SweepImages() {
  if (!own_images_) co_return;
  std::set<std::string> used;
  for (const auto& [uid, worker] : workers_) {
    if (!worker->pod()) continue;
    ContainerList containers(*worker->pod());
    for (const ContainerEntry& entry : containers.all())
      used.insert(entry.spec->image());
    for (const auto& [name, runs] : worker->runs().all()) {
      for (const ContainerRun& run : runs)
        used.insert(run.image_id);
    }
  }
  auto sweep = [this, used]() -> Status {
    auto fullness = [this] {
      MachineFacts facts = ReadMachine(paths_.data_dir());
      return facts.disk_bytes == 0 ? 0.0
                                   : 1.0 - static_cast<double>(facts.disk_free_bytes) /
                                               static_cast<double>(facts.disk_bytes);
    };
    GANTRY_TRY(own_images_->store().Sweep());
    if (fullness() < kSweepAbove) return Status::Ok();
    return own_images_->store().RemoveUnused(used, env_.Now() - kImageYouth,
                                             [&] { return fullness() <= kSweepTo; });
  };
  Status swept = co_await RunBlocking(env_, std::move(sweep));
  if (!swept.ok())
    log::Warning("node", "unused images were not removed", {{"error", swept.ToString()}});
}

Result<PodView> Agent::Impl::View(const std::string& ns, const std::string& name,
                                  const std::string& uid, const std::string& container,
                                  bool previous) {
  for (const auto& [worker_uid, worker] : workers_) {
    const api::Ref<Pod>& pod = worker->pod();
    if (!pod || pod->metadata().namespace_() != ns || pod->metadata().name() != name ||
        (!uid.empty() && worker_uid != uid))
      continue;
    PodView view;
    view.ns = ns;
    view.name = name;
    view.uid = worker_uid;
    view.network_namespace = sandboxes_->NamespacePath(worker_uid, "net");
    view.container = container;
    if (view.container.empty() && !pod->spec().containers().empty())
      view.container = pod->spec().containers(0).name();
    ContainerList containers(*pod);
    const ContainerEntry* entry = containers.Find(view.container);
    view.known_container = entry != nullptr;
    if (entry != nullptr) {
      view.terminal = entry->spec->tty();
      view.stdin_open = entry->spec->stdin();
    }
    if (const ContainerRun* run = worker->FindRun(view.container, previous)) view.run = *run;
    view.waiting_reason = "ContainerCreating";
    for (const auto* list :
         {&pod->status().container_statuses(), &pod->status().init_container_statuses()}) {
      for (const auto& status : *list) {
        if (status.name() == view.container && status.state().has_waiting())
          view.waiting_reason = status.state().waiting().reason();
      }
    }
    return view;
  }
  return Status(Code::kNotFound, "pod \"" + name + "\" not found on this node");
}

Task<Result<PodView>> Agent::Impl::Look(std::string ns, std::string pod, std::string uid,
                                        std::string container, bool previous) {
  auto look = [self = shared_from_this(), ns, pod, uid, container, previous] {
    return self->View(ns, pod, uid, container, previous);
  };
  co_return co_await RunOn(strand_, std::move(look));
}

Task<std::vector<api::Ref<Pod>>> Agent::Impl::Pods() {
  auto collect = [self = shared_from_this()] {
    std::vector<api::Ref<Pod>> pods;
    for (const auto& [uid, worker] : self->workers_) {
      if (worker->pod()) pods.push_back(worker->pod());
    }
    return pods;
  };
  co_return co_await RunOn(strand_, std::move(collect));
}

Task<std::vector<PodUsage>> Agent::Impl::Groups() {
  auto collect = [self = shared_from_this()] {
    std::vector<PodUsage> all;
    for (const auto& [uid, worker] : self->workers_) {
      const api::Ref<Pod>& pod = worker->pod();
      if (!pod || !worker->takes_resources()) continue;
      PodUsage usage;
      usage.ns = pod->metadata().namespace_();
      usage.name = pod->metadata().name();
      usage.uid = uid;
      usage.host_network = pod->spec().host_network();
      usage.started_at = api::ToWallTime(pod->status().start_time());
      usage.cgroup = PodCgroup(*pod, self->paths_.CgroupRoot());
      for (const ContainerRun* run : worker->runs().Running()) {
        ContainerUsage container;
        container.name = run->name;
        container.id = run->id;
        container.image = run->image;
        container.cgroup = usage.cgroup + "/" + run->id;
        container.pid = run->pid;
        container.started_at = run->started_at;
        usage.containers.push_back(std::move(container));
      }
      all.push_back(std::move(usage));
    }
    return all;
  };
  co_return co_await RunOn(strand_, std::move(collect));
}

Agent::Agent(Env& env, client::Client& client, AgentOptions options, net::PodNetwork* network,
             net::EndpointDrain* drain) {
  if (options.node_name.empty()) options.node_name = DefaultNodeName();
  impl_ = std::make_shared<Impl>(env, client, std::move(options), network, drain);
}
Agent::~Agent() = default;
Task<Status> Agent::Start() { return impl_->Start(); }
Task<> Agent::Stop() { return impl_->Stop(); }
void Agent::SetLeaseTimes(LeaseTimes times) { impl_->SetLeaseTimes(times); }
const std::string& Agent::node_name() const { return impl_->node_name(); }
std::shared_ptr<client::NodeApi> Agent::node_api() { return impl_->node_api(); }

}  // namespace gantry::node
