#include "scheduler/scheduler.h"

#include <boost/asio/post.hpp>

#include "api/core/v1/binding.pb.h"
#include "api/duration.h"
#include "api/pods.h"
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

// What may make room for a pod that fits nowhere: heartbeats alone do not.
bool MayMakeRoom(const Node& before, const Node& after) {
  return before.spec().SerializeAsString() != after.spec().SerializeAsString() ||
         api::ToAmounts(before.status().allocatable()) !=
             api::ToAmounts(after.status().allocatable()) ||
         !std::equal(before.metadata().labels().begin(), before.metadata().labels().end(),
                     after.metadata().labels().begin(), after.metadata().labels().end(),
                     [](const auto& a, const auto& b) {
                       return a.first == b.first && a.second == b.second;
                     });
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
    const bool room = !before || MayMakeRoom(before->As<Node>(), after->As<Node>());
    nodes_.PutNode(api::Ref<Node>(after));
    if (room) queue_.ClusterChanged(env_.Steady());
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
    queue_.ClusterChanged(env_.Steady());
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
      const std::string message = evaluation_.Explain(*pod).Message();
      queue_.Failed(pod->uid(), false, env_.Steady());
      Spawn(strand_, gate_, "scheduler-unschedulable",
            ReportUnschedulable(std::move(pod), message));
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
    // Not found and already bound are seen through the informer; anything else is tried again.
    nodes_.RemovePod(pod->uid());
    if (bound.code() == Code::kNotFound) {
      queue_.Done(pod->uid());
      co_return;
    }
    log::Warning("scheduler", "binding failed",
                 {{"pod", pod->FullName()}, {"node", node}, {"error", bound.status().message()}});
    events_.Record(pod->pod.object(), "Warning", "FailedScheduling", bound.status().message());
    queue_.Failed(pod->uid(), true, env_.Steady());
    queue_.ClusterChanged(env_.Steady());
  }

  Task<> ReportUnschedulable(PodInfoPtr pod, std::string message) {
    events_.Record(pod->pod.object(), "Warning", "FailedScheduling", message);
    const auto* had = api::FindCondition(pod->pod->status(), "PodScheduled");
    if (had && had->status() == "False" && had->reason() == "Unschedulable" &&
        had->message() == message)
      co_return;
    const bool was_false = had && had->status() == "False";
    Pod copy = *pod->pod;
    api::core::v1::PodCondition* condition = nullptr;
    for (auto& candidate : *copy.mutable_status()->mutable_conditions()) {
      if (candidate.type() == "PodScheduled") condition = &candidate;
    }
    if (!condition) condition = copy.mutable_status()->add_conditions();
    condition->set_type("PodScheduled");
    condition->set_status("False");
    condition->set_reason("Unschedulable");
    condition->set_message(message);
    if (!was_false) api::SetTime(env_.Now(), condition->mutable_last_transition_time());
    Result<api::Ref<Pod>> written = co_await client::UpdateStatus(client_, std::move(copy));
    // A pod that changed meanwhile comes back to the queue and is judged anew.
    const bool expected = written.code() == Code::kNotFound || written.code() == Code::kConflict;
    if (!written.ok() && !expected) {
      log::Warning("scheduler", "cannot report an unschedulable pod",
                   {{"pod", pod->FullName()}, {"error", written.status().message()}});
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
