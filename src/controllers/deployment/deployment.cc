#include "controllers/deployment/deployment.h"

#include <algorithm>

#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/owners.h"
#include "api/pods.h"
#include "api/same.h"
#include "api/selector.h"
#include "controllers/deployment/conditions.h"
#include "controllers/deployment/revisions.h"
#include "controllers/deployment/rollout.h"
#include "controllers/ownership/ownership.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::Deployment;
using api::apps::v1::DeploymentStatus;
using api::apps::v1::ReplicaSet;
using api::core::v1::Pod;
using client::EventNote;
using client::Plan;
using DeploymentRef = api::Ref<Deployment>;

EventNote ScalingEvent(const DeploymentRef& deployment, const std::string& set, int from, int to) {
  return {deployment.object(), "Normal", "ScalingReplicaSet",
          std::string("Scaled ") + (to > from ? "up" : "down") + " replica set " + set + " from " +
              std::to_string(from) + " to " + std::to_string(to)};
}

void AddResize(const DeploymentRef& deployment, const Resize& step, Plan* plan) {
  ReplicaSet copy = *step.set;
  const int from = copy.spec().replicas();
  AnnotateReplicas(deployment->spec().replicas(),
                   deployment->spec().replicas() + MaxSurge(*deployment), &copy);
  copy.mutable_spec()->set_replicas(step.replicas);
  plan->Update(std::move(copy));
  if (from == step.replicas) return;
  EventNote note = ScalingEvent(deployment, step.set->metadata().name(), from, step.replicas);
  plan->actions.back().on_success = [note](const api::ObjectPtr&) { return note; };
}

void WriteStatus(const DeploymentRef& deployment, DeploymentStatus status, Plan* plan) {
  if (api::Same(status, deployment->status())) return;
  Deployment copy = *deployment;
  *copy.mutable_status() = std::move(status);
  plan->UpdateStatus(std::move(copy));
}

class DeploymentController : public client::Reconciler {
 public:
  std::string_view name() const override { return "deployment"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    deployments_ = &informers.For<Deployment>();
    sets_ = &informers.For<ReplicaSet>();
    pods_ = &informers.For<Pod>();
    IndexByController(*sets_);
    IndexByController(*pods_);
    WatchAll(*deployments_, enqueue);
    WatchOwned(*sets_, api::KindOf<Deployment>(), *deployments_, Selects<Deployment>, enqueue);
    // Recreate waits until the last old pod is gone.
    pods_->AddHandler([this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (after || !before) return;
      const auto* owner = api::ControllerOf(before->meta());
      if (!owner || owner->kind() != "ReplicaSet") return;
      api::ObjectPtr set = sets_->Get(before->ns(), owner->name());
      const auto* deployment = set ? api::ControllerOf(set->meta()) : nullptr;
      if (deployment) enqueue({before->ns(), deployment->name()});
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    DeploymentRef deployment = client::GetFrom<Deployment>(*deployments_, key.ns, key.name);
    if (!deployment) return plan;
    GANTRY_ASSIGN(api::Selector selector, api::Selector::From(deployment->spec().selector()));
    if (selector.empty()) {
      plan.events.push_back(
          {deployment.object(), "Warning", "SelectingAll",
           "This deployment is selecting all pods. A non-empty selector is required."});
      DeploymentStatus status = deployment->status();
      status.set_observed_generation(deployment->metadata().generation());
      WriteStatus(deployment, std::move(status), &plan);
      return plan;
    }
    Claim claim = ClaimOwned(
        *sets_, *deployments_, *deployment.object(), selector,
        [](const api::Object&) { return true; }, &plan);
    if (claim.changed) return plan;
    Revisions revisions = SortRevisions(*deployment, client::Typed<ReplicaSet>(claim.owned));

    if (api::IsBeingDeleted(deployment->metadata())) {
      WriteStatus(deployment,
                  ComputeStatus(*deployment, revisions, false, now, &plan.requeue_after), &plan);
      return plan;
    }
    if (NotePause(deployment, now, &plan)) return plan;
    const bool paused = deployment->spec().paused();
    if (revisions.current && !SyncCurrent(deployment, revisions, &plan)) return plan;
    if (paused || IsScalingEvent(*deployment, revisions)) {
      for (const Resize& step : ScalingStep(*deployment, revisions))
        AddResize(deployment, step, &plan);
      if (paused) CleanUp(deployment, revisions, &plan);
      WriteStatus(deployment,
                  ComputeStatus(*deployment, revisions, false, now, &plan.requeue_after), &plan);
      return plan;
    }
    if (deployment->spec().strategy().type() == "Recreate") {
      Recreate(deployment, revisions, now, &plan);
    } else {
      Roll(deployment, revisions, now, &plan);
    }
    // A set that is just being made comes back as an event, and with it the status is judged.
    if (revisions.current || plan.actions.empty()) {
      WriteStatus(deployment, ComputeStatus(*deployment, revisions, true, now, &plan.requeue_after),
                  &plan);
    }
    return plan;
  }

 private:
  // The Progressing condition says when a rollout was paused and resumed, so that the deadline does
  // not run meanwhile.
  static bool NotePause(const DeploymentRef& deployment, WallTime now, Plan* plan) {
    if (!HasProgressDeadline(*deployment)) return false;
    const DeploymentCondition* progressing = FindCondition(deployment->status(), "Progressing");
    if (progressing && progressing->reason() == "ProgressDeadlineExceeded") return false;
    const bool noted = progressing && progressing->reason() == "DeploymentPaused";
    if (deployment->spec().paused() == noted) return false;
    DeploymentStatus status = deployment->status();
    SetCondition(&status, "Progressing", "Unknown",
                 noted ? "DeploymentResumed" : "DeploymentPaused",
                 noted ? "Deployment is resumed" : "Deployment is paused", now);
    WriteStatus(deployment, std::move(status), plan);
    return true;
  }

  // Revision numbers and annotations of the current set and of the deployment. False when the plan
  // changes them: the rest waits for the next round.
  static bool SyncCurrent(const DeploymentRef& deployment, const Revisions& revisions, Plan* plan) {
    const int64_t revision = revisions.max_old_revision + 1;
    ReplicaSet set = *revisions.current;
    bool set_changed = AnnotateRevision(*deployment, revision, true, &set);
    if (set.spec().min_ready_seconds() != deployment->spec().min_ready_seconds()) {
      set.mutable_spec()->set_min_ready_seconds(deployment->spec().min_ready_seconds());
      set_changed = true;
    }
    const int64_t current_revision = RevisionOf(set.metadata());
    if (set_changed) plan->Update(std::move(set));
    SyncDeploymentRevision(deployment, current_revision, plan);
    return plan->actions.empty();
  }

  static void SyncDeploymentRevision(const DeploymentRef& deployment, int64_t revision,
                                     Plan* plan) {
    if (RevisionOf(deployment->metadata()) == revision) return;
    Deployment copy = *deployment;
    (*copy.mutable_metadata()->mutable_annotations())[kRevisionAnnotation] =
        std::to_string(revision);
    plan->Update(std::move(copy));
  }

  // Makes the set of the current template, with the replicas it may have at once.
  void MakeCurrent(const DeploymentRef& deployment, const Revisions& revisions, WallTime now,
                   Plan* plan) const {
    const int64_t revision = revisions.max_old_revision + 1;
    ReplicaSet set = NewReplicaSet(*deployment, revision);
    const int replicas = CurrentSetReplicas(*deployment, revisions.old, 0);
    set.mutable_spec()->set_replicas(replicas);
    AnnotateReplicas(deployment->spec().replicas(),
                     deployment->spec().replicas() + MaxSurge(*deployment), &set);
    const std::string name = set.metadata().name();
    plan->Create(std::move(set));
    client::Action& create = plan->actions.back();
    if (replicas > 0) {
      EventNote note = ScalingEvent(deployment, name, 0, replicas);
      create.on_success = [note](const api::ObjectPtr&) { return note; };
    }
    create.on_failure = [deployment, name, now, sets = sets_](const Status& failure) {
      return CreationFailed(deployment, name, failure, *sets, now);
    };
    if (!HasProgressDeadline(*deployment)) return;
    // The deadline counts from here, also where the last rollout had come to its end.
    DeploymentStatus status = deployment->status();
    SetCondition(&status, "Progressing", "True", "NewReplicaSetCreated",
                 "Created new replica set \"" + name + "\"", now);
    WriteStatus(deployment, std::move(status), plan);
  }

  static Plan CreationFailed(const DeploymentRef& deployment, const std::string& name,
                             const Status& failure, const client::Informer& sets, WallTime now) {
    Plan plan;
    DeploymentStatus status = deployment->status();
    if (failure.code() == Code::kAlreadyExists) {
      SetRef taken = client::GetFrom<ReplicaSet>(sets, deployment->metadata().namespace_(), name);
      // Not seen yet, or made by us and only the answer was lost: the next round finds it.
      if (!taken || (api::IsControlledBy(taken->metadata(), deployment->metadata().uid()) &&
                     SameTemplate(taken->spec().template_(), deployment->spec().template_()))) {
        return plan;
      }
      // Another template has the same hash: the next round tries the next name.
      status.set_collision_count(status.collision_count() + 1);
    } else {
      for (const StatusCause& cause : failure.details().causes) {
        if (cause.reason == "NamespaceTerminating") return plan;
      }
      const std::string message =
          "Failed to create new replica set \"" + name + "\": " + failure.message();
      plan.events.push_back({deployment.object(), "Warning", "ReplicaSetCreateError", message});
      if (!HasProgressDeadline(*deployment)) return plan;
      SetCondition(&status, "Progressing", "False", "ReplicaSetCreateError", message, now);
    }
    WriteStatus(deployment, std::move(status), &plan);
    return plan;
  }

  void Roll(const DeploymentRef& deployment, const Revisions& revisions, WallTime now,
            Plan* plan) const {
    if (!revisions.current) {
      MakeCurrent(deployment, revisions, now, plan);
      return;
    }
    for (const Resize& step : RollingStep(*deployment, revisions))
      AddResize(deployment, step, plan);
    if (plan->actions.empty()) RefreshAnnotations(deployment, revisions, plan);
    if (IsComplete(*deployment, deployment->status())) CleanUp(deployment, revisions, plan);
  }

  void Recreate(const DeploymentRef& deployment, const Revisions& revisions, WallTime now,
                Plan* plan) const {
    for (const SetRef& set : revisions.old) {
      if (set->spec().replicas() > 0) AddResize(deployment, {set, 0}, plan);
    }
    if (!plan->actions.empty() || OldPodsRun(revisions)) return;
    if (!revisions.current) {
      MakeCurrent(deployment, revisions, now, plan);
    } else if (revisions.current->spec().replicas() != deployment->spec().replicas()) {
      AddResize(deployment, {revisions.current, deployment->spec().replicas()}, plan);
    }
    if (IsComplete(*deployment, deployment->status())) CleanUp(deployment, revisions, plan);
  }

  bool OldPodsRun(const Revisions& revisions) const {
    if (ActualReplicas(revisions.old) > 0) return true;
    for (const SetRef& set : revisions.old) {
      for (const api::ObjectPtr& pod : pods_->ByIndex("controller-uid", set->metadata().uid())) {
        if (!api::IsTerminal(pod->As<Pod>())) return true;
      }
    }
    return false;
  }

  // A set that already has the right size still carries the sizes that scaling compares with.
  static void RefreshAnnotations(const DeploymentRef& deployment, const Revisions& revisions,
                                 Plan* plan) {
    ReplicaSet copy = *revisions.current;
    const int desired = deployment->spec().replicas();
    if (AnnotateReplicas(desired, desired + MaxSurge(*deployment), &copy))
      plan->Update(std::move(copy));
  }

  // Deletes old sets beyond revisionHistoryLimit, oldest first.
  static void CleanUp(const DeploymentRef& deployment, const Revisions& revisions, Plan* plan) {
    if (!deployment->spec().has_revision_history_limit()) return;
    std::vector<SetRef> old;
    for (const SetRef& set : revisions.old) {
      if (!api::IsBeingDeleted(set->metadata())) old.push_back(set);
    }
    const int surplus = static_cast<int>(old.size()) - deployment->spec().revision_history_limit();
    if (surplus <= 0) return;
    std::stable_sort(old.begin(), old.end(), [](const SetRef& a, const SetRef& b) {
      return RevisionOf(a->metadata()) < RevisionOf(b->metadata());
    });
    for (int i = 0; i < surplus; ++i) {
      const ReplicaSet& set = *old[static_cast<size_t>(i)];
      const bool idle = set.status().replicas() == 0 && set.spec().replicas() == 0 &&
                        set.metadata().generation() <= set.status().observed_generation();
      if (idle) plan->Delete(set);
    }
  }

  client::Informer* deployments_ = nullptr;
  client::Informer* sets_ = nullptr;
  client::Informer* pods_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeDeploymentController() {
  return std::make_unique<DeploymentController>();
}

}  // namespace gantry::controllers
