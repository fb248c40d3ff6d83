#include "controllers/replicaset/replicaset.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "api/apps/v1/replica_set.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/owners.h"
#include "api/pods.h"
#include "api/same.h"
#include "api/selector.h"
#include "controllers/ownership/ownership.h"
#include "controllers/replicaset/victims.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::ReplicaSet;
using api::apps::v1::ReplicaSetStatus;
using api::core::v1::Pod;
using client::EventNote;
using client::Plan;

// No more pods than this in one go, so that one huge set does not starve the others.
constexpr int kBurst = 500;
// As many pods (or as many as there are replicas) may end right after they were made before their
// replacements have to wait: without that a template that its node refuses, which the scheduler
// cannot know of, would make failed pods as fast as the machine can.
constexpr int kRefusals = 10;
constexpr Duration kRefusalTime = std::chrono::seconds(10);

Pod PodFromTemplate(const ReplicaSet& set) {
  Pod pod;
  const auto& from = set.spec().template_();
  *pod.mutable_metadata()->mutable_labels() = from.metadata().labels();
  *pod.mutable_metadata()->mutable_annotations() = from.metadata().annotations();
  *pod.mutable_metadata()->mutable_finalizers() = from.metadata().finalizers();
  pod.mutable_metadata()->set_namespace_(set.metadata().namespace_());
  pod.mutable_metadata()->set_generate_name(set.metadata().name() + "-");
  *pod.mutable_metadata()->add_owner_references() =
      api::MakeControllerRef(api::KindOf<ReplicaSet>(), set.metadata());
  *pod.mutable_spec() = from.spec();
  return pod;
}

void SetFailure(ReplicaSetStatus* status, const Status* failure, const char* reason, WallTime now) {
  auto* conditions = status->mutable_conditions();
  for (int i = conditions->size() - 1; i >= 0; --i) {
    if (conditions->Get(i).type() != "ReplicaFailure") continue;
    if (failure && conditions->Get(i).reason() == reason) return;
    conditions->DeleteSubrange(i, 1);
  }
  if (!failure) return;
  auto* condition = conditions->Add();
  condition->set_type("ReplicaFailure");
  condition->set_status("True");
  condition->set_reason(reason);
  condition->set_message(failure->message());
  api::SetTime(now, condition->mutable_last_transition_time());
}

class ReplicaSetController : public client::Reconciler {
 public:
  std::string_view name() const override { return "replicaset"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    sets_ = &informers.For<ReplicaSet>();
    pods_ = &informers.For<Pod>();
    IndexByController(*sets_);
    IndexByController(*pods_);
    WatchAll(*sets_, enqueue);
    WatchOwned(*pods_, api::KindOf<ReplicaSet>(), *sets_, Selects<ReplicaSet>, enqueue);
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    api::Ref<ReplicaSet> set = client::GetFrom<ReplicaSet>(*sets_, key.ns, key.name);
    if (!set) return plan;
    GANTRY_ASSIGN(api::Selector selector, api::Selector::From(set->spec().selector()));
    Claim claim = ClaimOwned(
        *pods_, *sets_, *set.object(), selector,
        [](const api::Object& pod) { return api::IsActive(pod.As<Pod>()); }, &plan);
    if (claim.changed) return plan;

    std::vector<api::Ref<Pod>> active;
    int terminating = 0, refused = 0;
    for (const api::Ref<Pod>& pod : client::Typed<Pod>(claim.owned)) {
      if (api::IsActive(*pod)) {
        active.push_back(pod);
      } else if (!api::IsTerminal(*pod)) {
        ++terminating;
      } else if (now - api::ToWallTime(pod->metadata().creation_timestamp()) < kRefusalTime) {
        ++refused;
      }
    }
    ReplicaSetStatus status = Count(*set, active, terminating, now, &plan);
    if (!api::IsBeingDeleted(set->metadata())) Scale(set, active, refused, status, now, &plan);
    WriteStatus(set, std::move(status), &plan);
    return plan;
  }

 private:
  static void RequeueBy(Duration wait, Plan* plan) {
    if (!plan->requeue_after || wait < *plan->requeue_after) plan->requeue_after = wait;
  }

  static ReplicaSetStatus Count(const ReplicaSet& set, const std::vector<api::Ref<Pod>>& active,
                                int terminating, WallTime now, Plan* plan) {
    ReplicaSetStatus status = set.status();
    const int min_ready = set.spec().min_ready_seconds();
    const auto& labels = set.spec().template_().metadata().labels();
    const api::Selector template_labels = api::Selector::FromMap(labels);
    int labelled = 0, ready = 0, available = 0;
    for (const api::Ref<Pod>& pod : active) {
      if (template_labels.Matches(pod->metadata().labels())) ++labelled;
      if (!api::IsReady(*pod)) continue;
      ++ready;
      if (api::IsAvailable(*pod, min_ready, now)) {
        ++available;
      } else {
        Duration left = api::ReadySince(*pod) + std::chrono::seconds(min_ready) - now;
        RequeueBy(left, plan);
      }
    }
    status.set_replicas(static_cast<int>(active.size()));
    status.set_fully_labeled_replicas(labelled);
    status.set_ready_replicas(ready);
    status.set_available_replicas(available);
    status.set_terminating_replicas(terminating);
    return status;
  }

  // Active pods by node, of all sets of the set's own controller: those of a rollout's two sides
  // stand on the same nodes.
  std::map<std::string, int> Crowd(const ReplicaSet& set) const {
    std::vector<std::string> related = {set.metadata().uid()};
    if (const auto* owner = api::ControllerOf(set.metadata())) {
      for (const api::ObjectPtr& sibling : sets_->ByIndex("controller-uid", owner->uid())) {
        if (sibling->uid() != set.metadata().uid()) related.push_back(sibling->uid());
      }
    }
    std::map<std::string, int> crowd;
    for (const std::string& uid : related) {
      for (const api::ObjectPtr& pod : pods_->ByIndex("controller-uid", uid)) {
        if (api::IsActive(pod->As<Pod>())) ++crowd[pod->As<Pod>().spec().node_name()];
      }
    }
    return crowd;
  }

  // `refused`: pods that ended soon after they were made, as those do that a node does not take.
  void Scale(const api::Ref<ReplicaSet>& set, const std::vector<api::Ref<Pod>>& active, int refused,
             ReplicaSetStatus& status, WallTime now, Plan* plan) const {
    const int missing = set->spec().replicas() - static_cast<int>(active.size());
    const bool create = missing > 0;
    const char* failure_reason = create ? "FailedCreate" : "FailedDelete";
    // What a failed write adds: the event, and the condition that the deployment controller reads.
    auto failed = [set, status, now, create, failure_reason](const Status& failure) {
      Plan more;
      more.events.push_back(
          {set.object(), "Warning", failure_reason,
           (create ? "Error creating: " : "Error deleting: ") + failure.message()});
      ReplicaSet copy = *set;
      *copy.mutable_status() = status;
      SetFailure(copy.mutable_status(), &failure, failure_reason, now);
      copy.mutable_status()->set_observed_generation(set->metadata().generation());
      more.UpdateStatus(std::move(copy));
      return more;
    };
    if (create) {
      const auto pod = std::make_shared<const Pod>(PodFromTemplate(*set));
      const int allowed = std::max(kRefusals, set->spec().replicas()) - refused;
      if (allowed < missing) RequeueBy(std::chrono::seconds(1), plan);
      for (int i = 0; i < std::min({missing, kBurst, allowed}); ++i) {
        client::Action action;
        action.kind = &api::KindOf<Pod>();
        action.ns = pod->metadata().namespace_();
        action.object = pod;
        action.on_success = [set](const api::ObjectPtr& made) {
          return EventNote{set.object(), "Normal", "SuccessfulCreate",
                           "Created pod: " + made->name()};
        };
        action.on_failure = failed;
        plan->actions.push_back(std::move(action));
      }
    } else {
      const size_t surplus = std::min<size_t>(static_cast<size_t>(-missing), kBurst);
      for (const api::Ref<Pod>& pod : ChooseVictims(active, surplus, Crowd(*set), now)) {
        plan->Delete(*pod);
        plan->actions.back().on_success = [set,
                                           name = pod->metadata().name()](const api::ObjectPtr&) {
          return EventNote{set.object(), "Normal", "SuccessfulDelete", "Deleted pod: " + name};
        };
        plan->actions.back().on_failure = failed;
      }
    }
    if (missing == 0) SetFailure(&status, nullptr, "", now);
  }

  static void WriteStatus(const api::Ref<ReplicaSet>& set, ReplicaSetStatus status, Plan* plan) {
    status.set_observed_generation(set->metadata().generation());
    if (api::Same(status, set->status())) return;
    ReplicaSet copy = *set;
    *copy.mutable_status() = std::move(status);
    plan->UpdateStatus(std::move(copy));
  }

  client::Informer* sets_ = nullptr;
  client::Informer* pods_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeReplicaSetController() {
  return std::make_unique<ReplicaSetController>();
}

}  // namespace gantry::controllers
