#include "sim/agent.h"

#include <algorithm>
#include <csignal>
#include <set>
#include <utility>

#include "api/core/v1/node.pb.h"
#include "base/env/spawn.h"
#include "client/informer.h"
#include "client/typed.h"
#include "node/fence.h"
#include "node/node_object.h"
#include "node/registration.h"
#include "sim/audited_client.h"
#include "sim/pod_worker.h"
#include "sim/remote_client.h"

namespace gantry::sim {

using api::core::v1::Node;
using api::core::v1::Pod;
using std::chrono::seconds;

namespace {

constexpr Duration kHousePeriod = seconds(10);
constexpr Duration kStatusPeriod = std::chrono::minutes(5);
constexpr Duration kServerRetry = seconds(1);
constexpr int kTries = 5;

// When the machine's lease was last renewed, where a loss of power ends it.
class MachineRenewal final : public node::RenewalRecord {
 public:
  MachineRenewal(Machine& machine, Process& process) : machine_(machine), process_(process) {}
  std::optional<node::Renewal> Read() override { return machine_.renewal; }
  void Write(const node::Renewal& renewal) override {
    if (process_.alive()) machine_.renewal = renewal;
  }

 private:
  Machine& machine_;
  Process& process_;
};

bool IsGivenUp(const Node& node) {
  const auto& conditions = node.status().conditions();
  return std::any_of(conditions.begin(), conditions.end(), [](const auto& condition) {
    return condition.type() == "Ready" && condition.status() == "Unknown";
  });
}

}  // namespace

class Agent::Life : public node::FencedNode {
 public:
  Life(Agent& agent)
      : agent_(agent),
        process(std::make_shared<Process>(agent.world_, agent.name(), agent.machine_.clock())),
        remote_(agent.network_, *process, agent.host_, agent.servers_,
                apiserver::UserInfo("system:node:" + agent.name(),
                                    {"system:nodes", "system:authenticated"})),
        client_(remote_, *process, agent.truth_, "the agent of " + agent.name()),
        informers_(*process, client_),
        context_(*process, agent.machine_, client_),
        events_(*process, client_, "kubelet", agent.name()),
        lease_(*process, client_, agent.name(), agent.lease_,
               std::make_unique<MachineRenewal>(agent.machine_, *process)),
        fence_(*process, client_, context_.runtime, events_, lease_, *this) {
    lease_.OnGranted([this] { fence_.LeaseGranted(); });
  }

  void Start(std::shared_ptr<Life> self) {
    Spawn(process->executor(), gate_, "agent", Run(std::move(self)));
  }

  Task<> Stop() {
    co_await informers_.Stop();
    co_await gate_.Close(*process);
    co_await events_.Stop();
    co_await process->gate().Close(*process);
  }

 private:
  Task<> Run(std::shared_ptr<Life> self);
  Task<Status> Register();
  Task<Status> WriteNodeStatus(bool only_changes);
  node::NodeInputs Inputs() const;
  void NodeChanged(const api::ObjectPtr& after);
  std::vector<PodHere> PodsHere() override;
  void OnReleased(const std::string& uid) override;
  void PodChanged(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void TakeUp(const std::string& uid, api::Ref<Pod> pod);
  void TakeUpOrphans();
  std::optional<node::Rejection> Admit(const Pod& pod);

  Agent& agent_;

 public:
  const std::shared_ptr<Process> process;

 private:
  RemoteClient remote_;
  AuditedClient client_;
  client::InformerSet informers_;
  AgentContext context_;
  client::EventRecorder events_;
  node::NodeLease lease_;
  node::Fence fence_;
  client::Informer* pods_ = nullptr;
  client::Informer* nodes_ = nullptr;
  api::Ref<Node> node_;
  WallTime status_written_;
  std::map<std::string, std::shared_ptr<SimulatedPod>> workers_;
  Notifier wake_;
  Gate gate_;
};

node::NodeInputs Agent::Life::Inputs() const {
  node::NodeInputs inputs;
  inputs.name = agent_.name();
  inputs.ips = {agent_.machine_.address()};
  inputs.machine = agent_.machine_.facts();
  inputs.runtime_version = "sim://1.0";
  if (context_.pod_range.empty()) inputs.network_not_ready = "the node has no pod range yet";
  inputs.now = process->Now();
  return inputs;
}

Task<Status> Agent::Life::Register() {
  node::NodeInputs inputs = Inputs();
  node::RegistrationOptions options;
  options.agent_id = "agent-of-" + agent_.name();
  GANTRY_CO_ASSIGN(node_, co_await node::RegisterNode(*process, client_, std::move(inputs),
                                                      std::move(options), process->death()));
  GANTRY_CO_TRY(co_await WriteNodeStatus(true));
  std::string uid = node_->metadata().uid();
  co_return co_await lease_.Renew(std::move(uid));
}

Task<Status> Agent::Life::WriteNodeStatus(bool only_changes) {
  for (int attempt = 0; attempt < kTries; ++attempt) {
    Node node = *node_;
    node::SetNodeStatus(Inputs(), &node);
    if (only_changes && !node::NodeStatusChanged(*node_, node)) co_return Status::Ok();
    Result<api::Ref<Node>> written = co_await client::UpdateStatus<Node>(client_, std::move(node));
    if (written.ok()) {
      node_ = *written;
      status_written_ = process->Now();
      co_return Status::Ok();
    }
    if (written.code() != Code::kConflict) co_return written.status();
    std::string name = agent_.name(), none;
    Result<api::Ref<Node>> newest = co_await client::Get<Node>(client_, none, name);
    GANTRY_CO_TRY(newest);
    node_ = *newest;
  }
  co_return Status(Code::kConflict, "the node's status changes too often");
}

Task<> Agent::Life::Run(std::shared_ptr<Life> self) {
  const CancelToken death = process->death();
  if (agent_.fences_) {
    Spawn(process->executor(), gate_, "fence", fence_.Keep(death));
    Spawn(process->executor(), gate_, "fence release", fence_.KeepReleasing(death));
  }
  while (process->alive()) {
    Status registered = co_await Register();
    if (registered.ok()) break;
    co_await SleepFor(*process, kServerRetry, death);
  }
  if (!process->alive()) co_return;
  Spawn(process->executor(), gate_, "lease",
        lease_.Keep([this] { return node_->metadata().uid(); }, death));

  context_.admit = [this](const Pod& pod) { return Admit(pod); };
  context_.fenced = [this](const api::Ref<Pod>& pod) {
    return agent_.fences_ && fence_.Forbids(pod);
  };
  context_.runtime.OnExit([this](const std::string& id) {
    for (auto& [uid, worker] : workers_) {
      if (worker->HasContainer(id)) worker->Poke();
    }
  });
  client::ListOptions mine, own_node;
  mine.field_selector = "spec.nodeName=" + agent_.name();
  own_node.field_selector = "metadata.name=" + agent_.name();
  pods_ = &informers_.For(api::KindOf<Pod>(), mine);
  nodes_ = &informers_.For(api::KindOf<Node>(), own_node);
  nodes_->AddHandler([this](const api::ObjectPtr&, const api::ObjectPtr& after) {
    if (process->alive()) NodeChanged(after);
  });
  informers_.Start();
  Status synced = co_await nodes_->WaitForSync(death);
  if (!synced.ok()) co_return;
  pods_->AddHandler([this](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    PodChanged(before, after);
  });
  synced = co_await pods_->WaitForSync(death);
  if (!synced.ok()) co_return;
  TakeUpOrphans();

  SteadyTime next = process->Steady() + kHousePeriod;
  while (process->alive()) {
    const Wake woken = co_await wake_.Wait(*process, death, next);
    if (!process->alive()) break;
    if (woken == Wake::kTimeout) next = process->Steady() + kHousePeriod;
    const bool refresh = process->Now() - status_written_ >= kStatusPeriod;
    const bool deleted = nodes_->List().empty();
    Status written = co_await WriteNodeStatus(!refresh && !deleted);
    if (written.code() == Code::kNotFound) written = co_await Register();
  }
}

void Agent::Life::NodeChanged(const api::ObjectPtr& after) {
  if (!after) {
    wake_.Notify();  // somebody deleted the node
    return;
  }
  if (after->revision() > node_.revision()) node_ = api::Ref<Node>(after);
  const std::string& range = node_->spec().pod_cidr();
  if (range != context_.pod_range || IsGivenUp(*node_)) wake_.Notify();
  context_.pod_range = range;
}

std::vector<node::FencedNode::PodHere> Agent::Life::PodsHere() {
  std::vector<PodHere> here;
  auto add = [this, &here](api::Ref<Pod> pod, const std::vector<node::ContainerRun>& runs) {
    PodHere& entry = here.emplace_back();
    entry.pod = std::move(pod);
    for (const node::ContainerRun& run : runs) {
      if (context_.runtime.RunningPid(run.bundle))
        entry.running.push_back({run.id, run.bundle, SIGTERM});
    }
  };
  for (const auto& [uid, worker] : workers_) {
    if (!worker->pod()) continue;
    auto stored = agent_.machine_.disk.find(uid);
    const bool known = stored != agent_.machine_.disk.end();
    add(worker->pod(), known ? stored->second.runs : std::vector<node::ContainerRun>());
  }
  for (const auto& [uid, stored] : agent_.machine_.disk) {
    if (!workers_.contains(uid)) add(api::Ref<Pod>::Of(stored.pod), stored.runs);
  }
  return here;
}

void Agent::Life::OnReleased(const std::string& uid) {
  if (auto it = workers_.find(uid); it != workers_.end()) it->second->Poke();
}

void Agent::Life::PodChanged(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  if (!process->alive()) return;
  if (before && (!after || after->uid() != before->uid())) {
    if (auto it = workers_.find(before->uid()); it != workers_.end())
      it->second->Update(api::Ref<Pod>());
  }
  if (after) TakeUp(after->uid(), api::Ref<Pod>(after));
}

void Agent::Life::TakeUp(const std::string& uid, api::Ref<Pod> pod) {
  std::shared_ptr<SimulatedPod>& worker = workers_[uid];
  if (worker) {
    worker->Update(std::move(pod));
    return;
  }
  worker = std::make_shared<SimulatedPod>(context_, uid, [this, uid] { workers_.erase(uid); });
  worker->Update(std::move(pod));
  worker->Start(gate_);
}

void Agent::Life::TakeUpOrphans() {
  std::set<std::string> known;
  for (const api::ObjectPtr& pod : pods_->List())
    known.insert(pod->uid());
  std::vector<std::string> stored;
  for (const auto& [uid, pod] : agent_.machine_.disk)
    stored.push_back(uid);
  for (const std::string& uid : stored) {
    if (known.contains(uid) || workers_.contains(uid)) continue;
    TakeUp(uid, api::Ref<Pod>::Of(agent_.machine_.disk[uid].pod));
    workers_[uid]->Update(api::Ref<Pod>());
  }
}

std::optional<node::Rejection> Agent::Life::Admit(const Pod& pod) {
  std::vector<const Pod*> others;
  for (const auto& [uid, worker] : workers_) {
    if (uid != pod.metadata().uid() && worker->takes_resources()) others.push_back(&*worker->pod());
  }
  return node::AdmitPod(pod, others, *node_);
}

Agent::Agent(World& world, Network& network, Truth& truth, std::vector<Server*> servers,
             std::string name, int index, node::LeaseTimes lease, bool fences)
    : world_(world),
      network_(network),
      truth_(truth),
      servers_(std::move(servers)),
      lease_(lease),
      fences_(fences),
      machine_(world, std::move(name), index) {
  host_ = network_.AddHost(machine_.name(), [] { return std::shared_ptr<Process>(); });
}

Agent::~Agent() = default;

std::shared_ptr<Process> Agent::process() const { return life_ ? life_->process : nullptr; }

bool Agent::HasHadTimeToFence(SteadyTime now) const {
  if (!machine_.on()) return true;
  if (!life_) return false;
  const std::optional<node::Renewal>& renewal = machine_.renewal;
  const SteadyTime awake = life_->process->awake_since();
  if (!renewal) return now >= awake + lease_.duration;
  return now >= std::max(awake, renewal->asked) + renewal->duration;
}

void Agent::Start() {
  if (life_) return;
  machine_.TurnOn();
  world_.Tell(name() + "'s agent starts");
  life_ = std::make_shared<Life>(*this);
  life_->Start(life_);
}

void Agent::Crash(std::string_view why) {
  if (!life_) return;
  world_.Tell(name() + "'s agent crashes: " + std::string(why));
  std::shared_ptr<Life> life = std::move(life_);
  life->process->Kill();
  Spawn(world_.env().executor(), burials_, "bury", Bury(std::move(life)));
}

Task<> Agent::Bury(std::shared_ptr<Life> life) { co_await life->Stop(); }

void Agent::Shutdown() {
  Crash("the simulation ends");
  world_.env().RunToEnd(burials_.Close(world_.env()));
}

}  // namespace gantry::sim
