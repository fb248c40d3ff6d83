#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/owners.h"
#include "api/pods.h"
#include "api/same.h"
#include "api/tolerations.h"
#include "controllers/node/node_lifecycle.h"
#include "controllers/node/pods_by_node.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Node;
using api::core::v1::Pod;
using api::core::v1::Taint;
using client::Plan;

// When the pod came to its node.
WallTime BoundSince(const Pod& pod) {
  const auto* scheduled = api::FindCondition(pod.status(), "PodScheduled");
  return api::ToWallTime(scheduled && scheduled->status() == "True"
                             ? scheduled->last_transition_time()
                             : pod.metadata().creation_timestamp());
}

bool HasNoExecute(const Node& node) {
  return std::any_of(node.spec().taints().begin(), node.spec().taints().end(),
                     [](const Taint& taint) { return taint.effect() == "NoExecute"; });
}

class TaintEvictionController : public client::Reconciler {
 public:
  std::string_view name() const override { return "taint-eviction"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    nodes_ = &informers.For<Node>();
    pods_ = &informers.For<Pod>();
    IndexPodsByNode(*pods_);
    nodes_->AddHandler([this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      const bool had = before && HasNoExecute(before->As<Node>());
      if (!after || (!had && !HasNoExecute(after->As<Node>()))) return;
      if (before &&
          api::SameList(before->As<Node>().spec().taints(), after->As<Node>().spec().taints()))
        return;
      for (const api::Ref<Pod>& pod : PodsOnNode(*pods_, after->name()))
        enqueue({pod->metadata().namespace_(), pod->metadata().name()});
    });
    pods_->AddHandler([this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (!after) {
        Forget({before->ns(), before->name()});
        return;
      }
      api::ObjectPtr node = nodes_->Get("", after->As<Pod>().spec().node_name());
      if (node && HasNoExecute(node->As<Node>())) enqueue({after->ns(), after->name()});
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    api::Ref<Pod> pod = client::GetFrom<Pod>(*pods_, key.ns, key.name);
    api::Ref<Node> node;
    if (pod && api::IsActive(*pod))
      node = client::GetFrom<Node>(*nodes_, "", pod->spec().node_name());
    if (!node || !HasNoExecute(*node)) {
      const bool waited = Forget(key);
      // Deleted or done otherwise: nothing is called off.
      if (waited && node) {
        plan.events.push_back({pod.object(), "Normal", "TaintManagerEviction",
                               "Cancelling deletion of Pod " + key.ns + "/" + key.name});
      }
      return plan;
    }
    const WallTime first_seen = FirstSeen(key, pod->metadata().uid(), now);
    // The pod may stay until the earliest of its taints' tolerations ends.
    std::optional<WallTime> until;
    for (const Taint& taint : node->spec().taints()) {
      if (taint.effect() != "NoExecute") continue;
      const auto* toleration = api::FindToleration(pod->spec().tolerations(), taint);
      if (toleration && !toleration->has_toleration_seconds()) continue;
      // A pod that tolerates a taint for a while has that while, however old the taint is.
      const WallTime since = taint.has_time_added()
                                 ? std::max(api::ToWallTime(taint.time_added()), BoundSince(*pod))
                                 : first_seen;
      const int64_t seconds =
          toleration ? std::max<int64_t>(0, toleration->toleration_seconds()) : 0;
      const WallTime end = since + std::chrono::seconds(seconds);
      until = until ? std::min(*until, end) : end;
    }
    if (!until) return plan;
    if (*until > now) {
      NoteWaiting(key);
      plan.requeue_after = *until - now;
      return plan;
    }
    Pod copy = *pod;
    auto* conditions = copy.mutable_status()->mutable_conditions();
    for (int i = conditions->size() - 1; i >= 0; --i) {
      if (conditions->Get(i).type() == "DisruptionTarget") conditions->DeleteSubrange(i, 1);
    }
    auto* condition = conditions->Add();
    condition->set_type("DisruptionTarget");
    condition->set_status("True");
    condition->set_reason("DeletionByTaintManager");
    condition->set_message("Taint manager: deleting due to NoExecute taint");
    api::SetTime(now, condition->mutable_last_transition_time());
    plan.UpdateStatus(std::move(copy));
    plan.Delete(*pod);
    plan.events.push_back({pod.object(), "Normal", "TaintManagerEviction",
                           "Marking for deletion Pod " + key.ns + "/" + key.name});
    return plan;
  }

 private:
  struct Tainted {
    std::string uid;
    WallTime since;
    bool waiting = false;  // its deletion has a time
  };

  WallTime FirstSeen(const Key& key, const std::string& uid, WallTime now) {
    absl::MutexLock lock(&mutex_);
    Tainted& pod = tainted_[key];
    if (pod.uid != uid) pod = Tainted{uid, now, false};
    return pod.since;
  }
  void NoteWaiting(const Key& key) {
    absl::MutexLock lock(&mutex_);
    tainted_[key].waiting = true;
  }
  // True when its deletion had a time.
  bool Forget(const Key& key) {
    absl::MutexLock lock(&mutex_);
    auto it = tainted_.find(key);
    if (it == tainted_.end()) return false;
    const bool waited = it->second.waiting;
    tainted_.erase(it);
    return waited;
  }

  absl::Mutex mutex_;
  // Pods on tainted nodes. Taints set by hand do not say when they were added.
  std::map<Key, Tainted> tainted_ ABSL_GUARDED_BY(mutex_);
  client::Informer* nodes_ = nullptr;
  client::Informer* pods_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeTaintEvictionController() {
  return std::make_unique<TaintEvictionController>();
}

}  // namespace gantry::controllers
