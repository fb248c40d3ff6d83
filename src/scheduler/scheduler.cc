#include "scheduler/scheduler.h"

#include <boost/asio/post.hpp>
#include <optional>

#include "api/core/v1/binding.pb.h"
#include "api/duration.h"
#include "api/pods.h"
#include "api/same.h"
#include "base/env/spawn.h"
#include "base/log.h"
#include "client/events.h"
#include "client/typed.h"
#include "scheduler/evaluation.h"
#include "scheduler/plugins/plugins.h"
#include "scheduler/queue/scheduling_queue.h"

namespace gantry::scheduler {
namespace {

using api::core::v1::Binding;
using api::core::v1::Node;
using api::core::v1::Pod;

constexpr char kComponent[] = "default-scheduler";
// Bindings that are being written at the same time; more wait for a place.
constexpr int kMaxBindings = 256;
constexpr int kConflictTries = 5;

// Events hold no more.
constexpr size_t kMaxMessage = 1024;

std::string Shortened(std::string message) {
  constexpr std::string_view kEllipsis = " ...";
  if (message.size() <= kMaxMessage) return message;
  message.resize(kMaxMessage - kEllipsis.size());
  return message.append(kEllipsis);
}

// What about a node changed that rules look at (ClusterChange bits); heartbeats are none of it.
uint32_t ChangesBetween(const Node& before, const Node& after) {
  uint32_t changes = 0;
  if (before.spec().unschedulable() != after.spec().unschedulable() ||
      !api::SameList(before.spec().taints(), after.spec().taints())) {
    changes |= kNodeTaints;
  }
  if (api::ToAmounts(before.status().allocatable()) !=
      api::ToAmounts(after.status().allocatable())) {
    changes |= kNodeAllocatable;
  }
  if (!api::SameMap(before.metadata().labels(), after.metadata().labels())) changes |= kNodeLabels;
  return changes;
}

// The pod with PodScheduled False; nullopt when it says so already.
std::optional<Pod> WithCondition(const Pod& pod, const std::string& reason,
                                 const std::string& message, WallTime now) {
  const auto* had = api::FindCondition(pod.status(), "PodScheduled");
  const bool was_false = had && had->status() == "False";
  if (was_false && had->reason() == reason && had->message() == message) return std::nullopt;
  Pod copy = pod;
  api::core::v1::PodCondition* condition = nullptr;
  for (auto& candidate : *copy.mutable_status()->mutable_conditions()) {
    if (candidate.type() == "PodScheduled") condition = &candidate;
  }
  if (!condition) condition = copy.mutable_status()->add_conditions();
  condition->set_type("PodScheduled");
  condition->set_status("False");
  condition->set_reason(reason);
  condition->set_message(message);
  if (!was_false) api::SetTime(now, condition->mutable_last_transition_time());
  return copy;
}

}  // namespace

class Scheduler::Loop {
 public:
  Loop(Env& env, client::Client& client, client::InformerSet& informers)
      : env_(env),
        client_(client),
        strand_(env.MakeStrand()),
        profile_(DefaultProfile(nodes_)),
        evaluation_(profile_, nodes_),
        events_(env, client, kComponent),
        node_informer_(informers.For<Node>()),
        pod_informer_(informers.For<Pod>()) {
    node_informer_.AddHandler([this](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      Post([this, before, after] { OnNode(before, after); });
    });
    pod_informer_.AddHandler([this](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      Post([this, before, after] { OnPod(before, after); });
    });
  }

  void Start() { Spawn(strand_, gate_, "scheduler", Run()); }

  Task<> Stop() {
    stop_.Cancel();
    wakeup_.Notify();
    co_await gate_.Close(env_);
    co_await events_.Stop();
  }

 private:
  // Handlers run on informers' strands; the state here belongs to the scheduler's.
  template <class Work>
  void Post(Work work) {
    if (!gate_.Enter()) return;
    boost::asio::post(strand_, [this, work = std::move(work)] {
      work();
      wakeup_.Notify();
      gate_.Leave();
    });
  }

  bool IsOurs(const Pod& pod) const { return pod.spec().scheduler_name() == profile_.name; }

  void OnNode(const api::ObjectPtr& before, const api::ObjectPtr& after) {
    if (!after) {
      nodes_.RemoveNode(before->name());
      return;
    }
    const uint32_t changes =
        before ? ChangesBetween(before->As<Node>(), after->As<Node>()) : uint32_t{kNodeAdded};
    nodes_.PutNode(api::Ref<Node>(after));
    if (changes != 0) queue_.ClusterChanged(changes, env_.Steady());
  }

  void OnPod(const api::ObjectPtr& before, const api::ObjectPtr& after) {
    const api::Object& object = after ? *after : *before;
    const Pod& pod = object.As<Pod>();
    const std::string& uid = object.uid();
    if (before && after && before->uid() != after->uid()) Forget(before->uid());
    if (!after || api::IsTerminal(pod)) {
      Forget(uid);
    } else if (!pod.spec().node_name().empty()) {
      queue_.Remove(uid);
      // A pod's requests may change in place, so what is there is replaced.
      const bool placed = nodes_.HasPod(uid);
      if (!placed || !before || before->As<Pod>().spec().node_name().empty() ||
          before->meta().generation() != after->meta().generation()) {
        nodes_.PutPod(std::make_shared<const PodInfo>(api::Ref<Pod>(after)),
                      pod.spec().node_name());
        // It may ask for less than it did.
        const bool was_bound = before && !before->As<Pod>().spec().node_name().empty();
        if (was_bound) queue_.ClusterChanged(kPodGone, env_.Steady());
      }
    } else if (nodes_.HasPod(uid)) {
      return;  // decided, its binding is on its way
    } else if (pod.metadata().has_deletion_timestamp() || !IsOurs(pod) ||
               pod.spec().scheduling_gates_size() > 0) {
      queue_.Remove(uid);
    } else {
      queue_.Put(std::make_shared<const PodInfo>(api::Ref<Pod>(after)), env_.Steady());
    }
  }

  void Forget(const std::string& uid) {
    queue_.Remove(uid);
    if (!nodes_.HasPod(uid)) return;
    nodes_.RemovePod(uid);
    queue_.ClusterChanged(kPodGone, env_.Steady());
  }

  Task<> Run() {
    Status nodes = co_await node_informer_.WaitForSync(stop_.token());
    Status pods = co_await pod_informer_.WaitForSync(stop_.token());
    if (!nodes.ok() || !pods.ok()) co_return;
    while (!stop_.token().cancelled()) {
      PodInfoPtr pod = bindings_ < kMaxBindings ? queue_.Pop(env_.Steady()) : nullptr;
      if (!pod) {
        co_await wakeup_.Wait(env_, stop_.token(), queue_.NextWakeup());
        continue;
      }
      Schedule(std::move(pod));
    }
  }

  void Schedule(PodInfoPtr pod) {
    evaluation_.Refresh(*pod);
    const NodeInfo* node = evaluation_.Best(RandomUint64(env_));
    if (node == nullptr) {
      const Explanation explanation = evaluation_.Explain(*pod);
      queue_.Failed(pod->uid(), false, explanation.wakes_on, env_.Steady());
      Spawn(strand_, gate_, "scheduler-unschedulable",
            Report(std::move(pod), "Unschedulable", explanation.Message()));
      return;
    }
    const std::string name = node->name;
    nodes_.PutPod(pod, name);
    ++bindings_;
    Spawn(strand_, gate_, "scheduler-bind", Bind(std::move(pod), name));
  }

  Task<> Bind(PodInfoPtr pod, std::string node) {
    auto binding = std::make_unique<Binding>();
    auto* meta = binding->mutable_metadata();
    meta->set_name(pod->pod->metadata().name());
    meta->set_namespace_(pod->pod->metadata().namespace_());
    meta->set_uid(pod->uid());
    binding->mutable_target()->set_kind("Node");
    binding->mutable_target()->set_name(node);
    std::string ns = meta->namespace_(), name = meta->name();
    std::unique_ptr<google::protobuf::Message> message = std::move(binding);
    client::WriteOptions options;
    Result<api::ObjectPtr> bound =
        co_await client_.Create(api::KindOf<Pod>(), std::move(ns), std::move(name),
                                std::string("binding"), std::move(message), std::move(options));
    --bindings_;
    wakeup_.Notify();
    if (bound.ok()) {
      queue_.Done(pod->uid());
      events_.Record(pod->pod.object(), "Normal", "Scheduled",
                     "Successfully assigned " + pod->FullName() + " to " + node);
      co_return;
    }
    nodes_.RemovePod(pod->uid());
    const api::Ref<Pod> now = client::GetFrom<Pod>(pod_informer_, pod->pod->metadata().namespace_(),
                                                   pod->pod->metadata().name());
    if (now && now->metadata().uid() == pod->uid() && !now->spec().node_name().empty()) {
      // Somebody else was quicker; the informer's word may have come before this answer.
      queue_.Done(pod->uid());
      if (!api::IsTerminal(*now))
        nodes_.PutPod(std::make_shared<const PodInfo>(now), now->spec().node_name());
      co_return;
    }
    if (bound.code() == Code::kNotFound) {
      queue_.Done(pod->uid());
      co_return;
    }
    log::Warning("scheduler", "binding failed",
                 {{"pod", pod->FullName()}, {"node", node}, {"error", bound.status().message()}});
    queue_.Failed(pod->uid(), true, 0, env_.Steady());
    queue_.ClusterChanged(kPodGone, env_.Steady());
    std::string text = "running Bind plugin \"DefaultBinder\": " + bound.status().message();
    std::string reason = "SchedulerError";
    co_await Report(std::move(pod), std::move(reason), std::move(text));
  }

  // The event and the condition that say why the pod has no node.
  Task<> Report(PodInfoPtr pod, std::string reason, std::string message) {
    events_.Record(pod->pod.object(), "Warning", "FailedScheduling", Shortened(message));
    api::Ref<Pod> current = pod->pod;
    for (int tries = 0; tries < kConflictTries; ++tries) {
      if (!current->spec().node_name().empty()) co_return;
      std::optional<Pod> next = WithCondition(*current, reason, message, env_.Now());
      if (!next) co_return;
      Result<api::Ref<Pod>> written = co_await client::UpdateStatus(client_, *std::move(next));
      if (written.ok() || written.code() == Code::kNotFound) co_return;
      if (written.code() == Code::kConflict) {
        std::string ns = current->metadata().namespace_(), name = current->metadata().name();
        written = co_await client::Get<Pod>(client_, std::move(ns), std::move(name));
      }
      if (!written.ok()) {
        if (written.code() != Code::kNotFound) {
          log::Warning("scheduler", "cannot report an unschedulable pod",
                       {{"pod", pod->FullName()}, {"error", written.status().message()}});
        }
        co_return;
      }
      current = *std::move(written);
      if (current->metadata().uid() != pod->uid()) co_return;
    }
  }

  Env& env_;
  client::Client& client_;
  Executor strand_;
  NodeTable nodes_;
  Profile profile_;
  Evaluation evaluation_;
  SchedulingQueue queue_;
  client::EventRecorder events_;
  client::Informer& node_informer_;
  client::Informer& pod_informer_;
  Notifier wakeup_;
  CancelSource stop_;
  Gate gate_;
  int bindings_ = 0;
};

Scheduler::Scheduler(Env& env, client::Client& client, client::InformerSet& informers)
    : loop_(std::make_unique<Loop>(env, client, informers)) {}
Scheduler::~Scheduler() = default;
void Scheduler::Start() { loop_->Start(); }
Task<> Scheduler::Stop() { return loop_->Stop(); }

}  // namespace gantry::scheduler
