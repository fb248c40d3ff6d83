#include "sim/agent.h"

#include <set>
#include <utility>

#include "api/coordination/v1/lease.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/duration.h"
#include "base/env/spawn.h"
#include "client/informer.h"
#include "client/typed.h"
#include "node/node_object.h"
#include "sim/audited_client.h"
#include "sim/pod_worker.h"
#include "sim/remote_client.h"

namespace gantry::sim {

using api::coordination::v1::Lease;
using api::core::v1::Node;
using api::core::v1::Pod;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr Duration kLeasePeriod = seconds(10);
constexpr int kLeaseSeconds = 40;
constexpr Duration kStatusPeriod = std::chrono::minutes(5);
constexpr int kTries = 5;
constexpr char kLeaseNamespace[] = "kube-node-lease";

}  // namespace

class Agent::Life {
 public:
  Life(Agent& agent)
      : agent_(agent),
        process(std::make_shared<Process>(agent.world_, agent.name(), agent.machine_.clock())),
        remote_(agent.network_, *process, agent.host_, agent.servers_,
                apiserver::UserInfo("system:node:" + agent.name(),
                                    {"system:nodes", "system:authenticated"})),
        client_(remote_, *process, agent.truth_, "the agent of " + agent.name()),
        informers_(*process, client_),
        context_(*process, agent.machine_, client_) {}

  void Start(std::shared_ptr<Life> self) {
    Spawn(process->executor(), gate_, "agent", Run(std::move(self)));
  }

  Task<> Stop() {
    co_await informers_.Stop();
    co_await gate_.Close(*process);
    co_await process->gate().Close(*process);
  }

 private:
  Task<> Run(std::shared_ptr<Life> self);
  Task<Status> Register();
  Task<Status> WriteNodeStatus(bool only_changes);
  Task<> RenewLease();
  node::NodeInputs Inputs() const;
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
  inputs.runtime_version = context_.runtime.Version();
  if (context_.pod_range.empty()) inputs.network_not_ready = "the node has no pod range yet";
  inputs.now = process->Now();
  return inputs;
}

Task<Status> Agent::Life::Register() {
  const node::NodeInputs inputs = Inputs();
  for (int attempt = 0; attempt < kTries; ++attempt) {
    std::string name = agent_.name(), none;
    Result<api::Ref<Node>> found = co_await client::Get<Node>(client_, none, name);
    if (found.ok()) {
      Node node = **found;
      node::SetNodeLabels(inputs, &node);
      Result<api::Ref<Node>> updated = co_await client::Update<Node>(client_, std::move(node));
      if (updated.code() == Code::kConflict) continue;
      GANTRY_CO_TRY(updated);
      node_ = *updated;
    } else if (found.code() == Code::kNotFound) {
      Node node;
      node.mutable_metadata()->set_name(agent_.name());
      node.mutable_spec();
      node::SetNodeLabels(inputs, &node);
      node::SetNodeStatus(inputs, &node);
      Result<api::Ref<Node>> created = co_await client::Create<Node>(client_, std::move(node));
      if (created.code() == Code::kAlreadyExists) continue;
      GANTRY_CO_TRY(created);
      node_ = *created;
    } else {
      co_return found.status();
    }
    co_return co_await WriteNodeStatus(true);
  }
  co_return Unavailable("the node changes too often");
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

Task<> Agent::Life::RenewLease() {
  std::string ns = kLeaseNamespace, name = agent_.name();
  Result<api::Ref<Lease>> found = co_await client::Get<Lease>(client_, ns, name);
  if (!found.ok() && found.code() != Code::kNotFound) co_return;
  Lease lease;
  if (found.ok()) lease = **found;
  lease.mutable_metadata()->set_name(name);
  lease.mutable_metadata()->set_namespace_(ns);
  lease.mutable_spec()->set_holder_identity(name);
  lease.mutable_spec()->set_lease_duration_seconds(kLeaseSeconds);
  api::SetTime(process->Now(), lease.mutable_spec()->mutable_renew_time());
  Status done;
  if (found.ok()) {
    Result<api::Ref<Lease>> written = co_await client::Update<Lease>(client_, std::move(lease));
    done = written.status();
  } else {
    Result<api::Ref<Lease>> written = co_await client::Create<Lease>(client_, std::move(lease));
    done = written.status();
  }
  if (!done.ok() && process->alive())
    agent_.world_.Tell(agent_.name() + " did not renew its lease: " + done.ToString());
}

Task<> Agent::Life::Run(std::shared_ptr<Life> self) {
  const CancelToken death = process->death();
  while (process->alive()) {
    Status registered = co_await Register();
    if (registered.ok()) break;
    co_await SleepFor(*process, seconds(1), death);
  }
  if (!process->alive()) co_return;
  co_await RenewLease();

  context_.admit = [this](const Pod& pod) { return Admit(pod); };
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
    if (!after) return;
    context_.pod_range = after->As<Node>().spec().pod_cidr();
    wake_.Notify();
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

  SteadyTime next = process->Steady() + kLeasePeriod;
  while (process->alive()) {
    const Wake woken = co_await wake_.Wait(*process, death, next);
    if (!process->alive()) break;
    if (woken == Wake::kTimeout) {
      next = process->Steady() + kLeasePeriod;
      co_await RenewLease();
    }
    const bool refresh = process->Now() - status_written_ >= kStatusPeriod;
    Status written = co_await WriteNodeStatus(!refresh);
    if (written.code() == Code::kNotFound) written = co_await Register();
  }
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
             std::string name, int index)
    : world_(world),
      network_(network),
      truth_(truth),
      servers_(std::move(servers)),
      machine_(world, std::move(name), index) {
  host_ = network_.AddHost(machine_.name(), [] { return std::shared_ptr<Process>(); });
}

Agent::~Agent() = default;

std::shared_ptr<Process> Agent::process() const { return life_ ? life_->process : nullptr; }

void Agent::Start() {
  if (life_) return;
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
