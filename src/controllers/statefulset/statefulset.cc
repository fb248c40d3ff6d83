#include "controllers/statefulset/statefulset.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "api/apps/v1/controller_revision.pb.h"
#include "api/apps/v1/stateful_set.pb.h"
#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/owners.h"
#include "api/pods.h"
#include "api/same.h"
#include "api/selector.h"
#include "controllers/history/history.h"
#include "controllers/ownership/ownership.h"
#include "controllers/statefulset/identity.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::ControllerRevision;
using api::apps::v1::StatefulSet;
using api::apps::v1::StatefulSetStatus;
using api::core::v1::PersistentVolumeClaim;
using api::core::v1::Pod;
using api::core::v1::PodTemplateSpec;
using api::meta::v1::OwnerReference;
using client::EventNote;
using client::Plan;
using PodRef = api::Ref<Pod>;
using SetRef = api::Ref<StatefulSet>;

// One look at a set: what there is of it, and what is wanted.
struct View {
  SetRef set;
  WallTime now;
  std::map<int, PodRef> pods;  // by number, those beyond the wanted range included
  int start = 0;               // the wanted range of numbers
  int end = 0;
  std::string current_revision, update_revision;  // names
  PodTemplateSpec current_template;               // of the current revision

  bool InRange(int ordinal) const { return ordinal >= start && ordinal < end; }
  bool OneByOne() const { return set->spec().pod_management_policy() != "Parallel"; }
  bool Rolls() const { return set->spec().update_strategy().type() == "RollingUpdate"; }
  int Partition() const {
    return Rolls() ? set->spec().update_strategy().rolling_update().partition() : 0;
  }
};

std::string RevisionOf(const Pod& pod) {
  auto it = pod.metadata().labels().find(kRevisionHashLabel);
  return it == pod.metadata().labels().end() ? "" : it->second;
}

bool IsTerminating(const Pod& pod) { return api::IsBeingDeleted(pod.metadata()); }

bool IsRunningAndReady(const Pod& pod) {
  return pod.status().phase() == "Running" && api::IsReady(pod);
}

// "create Pod web-0 in StatefulSet web successful": `what` is "Pod web-0".
std::string Said(const char* verb, const std::string& what, const StatefulSet& set,
                 const std::string& outcome) {
  return std::string(verb) + " " + what + " in StatefulSet " + set.metadata().name() + " " +
         outcome;
}

// True when the list had to change for `owner` to be in it, or not.
bool SetOwner(bool wanted, const api::KindInfo& kind, const api::meta::v1::ObjectMeta& owner,
              std::vector<OwnerReference>* owners) {
  const size_t before = owners->size();
  const bool is_in = std::any_of(owners->begin(), owners->end(), [&](const OwnerReference& one) {
    return one.uid() == owner.uid();
  });
  if (wanted && !is_in) {
    owners->push_back(api::MakeControllerRef(kind, owner));
    owners->back().clear_controller();
    owners->back().clear_block_owner_deletion();
  } else if (!wanted && is_in) {
    std::erase_if(*owners, [&](const OwnerReference& one) { return one.uid() == owner.uid(); });
  }
  return owners->size() != before;
}

// The plan's last action tells of itself by events.
void Tell(const SetRef& set, const char* verb, const char* reason, const std::string& what,
          const char* success, Plan* plan) {
  client::Action& action = plan->actions.back();
  action.on_success = [set, verb, reason, what, success](const api::ObjectPtr&) {
    return EventNote{set.object(), "Normal", std::string("Successful") + reason,
                     Said(verb, what, *set, success)};
  };
  action.on_failure = [set, verb, reason, what](const Status& failure) {
    Plan more;
    more.events.push_back({set.object(), "Warning", std::string("Failed") + reason,
                           Said(verb, what, *set, "failed error: " + failure.message())});
    return more;
  };
}

class StatefulSetController : public client::Reconciler {
 public:
  std::string_view name() const override { return "statefulset"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    sets_ = &informers.For<StatefulSet>();
    pods_ = &informers.For<Pod>();
    revisions_ = &informers.For<ControllerRevision>();
    claims_ = &informers.For<PersistentVolumeClaim>();
    IndexByController(*pods_);
    IndexByController(*revisions_);
    WatchAll(*sets_, enqueue);
    WatchOwned(*pods_, api::KindOf<StatefulSet>(), *sets_, Selects<StatefulSet>, enqueue);
    WatchOwned(*revisions_, api::KindOf<StatefulSet>(), *sets_, Selects<StatefulSet>, enqueue);
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    View view;
    view.now = now;
    view.set = client::GetFrom<StatefulSet>(*sets_, key.ns, key.name);
    if (!view.set) return plan;
    const StatefulSet& set = *view.set;
    GANTRY_ASSIGN(api::Selector selector, api::Selector::From(set.spec().selector()));
    if (selector.empty()) return plan;
    Claim pods = ClaimOwned(
        *pods_, *sets_, *view.set.object(), selector,
        [&](const api::Object& pod) {
          return OrdinalOf(set.metadata().name(), pod.name()).has_value();
        },
        &plan);
    Claim revisions = ClaimOwned(
        *revisions_, *sets_, *view.set.object(), selector, [](const api::Object&) { return true; },
        &plan);
    if (pods.changed || revisions.changed) return plan;
    for (PodRef& pod : client::Typed<Pod>(pods.owned)) {
      if (auto ordinal = OrdinalOf(set.metadata().name(), pod->metadata().name()))
        view.pods[*ordinal] = std::move(pod);
    }
    view.start = set.spec().ordinals().start();
    view.end = view.start + set.spec().replicas();

    const std::vector<RevisionRef> history = client::Typed<ControllerRevision>(revisions.owned);
    int collisions = set.status().collision_count();
    GANTRY_ASSIGN(const bool known, FindRevisions(history, &view, &collisions, &plan));
    if (known && !api::IsBeingDeleted(set.metadata())) Step(view, &plan);
    WriteStatus(view, collisions, &plan);
    if (known) TruncateHistory(history, LiveRevisions(view), HistoryLimit(set), &plan);
    return plan;
  }

 private:
  static int HistoryLimit(const StatefulSet& set) { return set.spec().revision_history_limit(); }

  // Fills in the revisions. False while the one of the template has yet to be made: the plan makes
  // it.
  Result<bool> FindRevisions(const std::vector<RevisionRef>& history, View* view, int* collisions,
                             Plan* plan) const {
    const StatefulSet& set = *view->set;
    TemplateRevision update = FindTemplateRevision(api::KindOf<StatefulSet>(), set.metadata(),
                                                   set.spec().template_(), history, *collisions);
    const std::string& name = update.revision.metadata().name();
    view->update_revision = name;
    view->current_revision = name;
    view->current_template = set.spec().template_();
    for (const RevisionRef& revision : history) {
      if (revision->metadata().name() != set.status().current_revision()) continue;
      view->current_revision = revision->metadata().name();
      GANTRY_ASSIGN(view->current_template, TemplateOf(*revision));
    }
    if (!update.exists) {
      if (revisions_->Get(set.metadata().namespace_(), name)) {
        // Somebody else's has the name: the status counts it, and the next look takes another.
        ++*collisions;
        return false;
      }
      plan->Create(std::move(update.revision));
      return false;
    }
    if (!update.newest) plan->Update(std::move(update.revision));
    return true;
  }

  // What is to be done next, in the order of Kubernetes: missing pods from the lowest number up,
  // surplus ones from the highest down, then outdated ones from the highest down.
  void Step(const View& view, Plan* plan) const {
    for (int ordinal = view.start; ordinal < view.end; ++ordinal) {
      if (!Keep(view, ordinal, plan) && view.OneByOne()) return;
    }
    if (!Shrink(view, plan)) return;
    if (view.Rolls()) Update(view, plan);
  }

  // Brings the pod with a wanted number into being. False when the next one has to wait for it.
  bool Keep(const View& view, int ordinal, Plan* plan) const {
    auto it = view.pods.find(ordinal);
    if (it == view.pods.end()) {
      MakeClaims(view, ordinal, plan);
      CreatePod(view, ordinal, plan);
      return false;
    }
    const Pod& pod = *it->second;
    if (IsTerminating(pod)) return false;
    if (api::IsTerminal(pod)) {
      const bool failed = pod.status().phase() == "Failed";
      plan->events.push_back({view.set.object(), failed ? "Warning" : "Normal",
                              failed ? "RecreatingFailedPod" : "RecreatingTerminatedPod",
                              "StatefulSet " + view.set->metadata().namespace_() + "/" +
                                  view.set->metadata().name() + " is recreating " +
                                  (failed ? "failed" : "terminated") + " Pod " +
                                  pod.metadata().name()});
      DeletePod(view, pod, plan);
      return false;
    }
    if (pod.status().phase() == "Pending") MakeClaims(view, ordinal, plan);
    SetClaimOwners(view, ordinal, pod, plan);
    Pod restored = pod;
    if (RestoreIdentity(*view.set, ordinal, &restored)) {
      plan->Update(std::move(restored));
      Tell(view.set, "update", "Update", "Pod " + pod.metadata().name(), "successful", plan);
    }
    return IsHealthy(view, pod, plan);
  }

  // Removes pods beyond the wanted range. False while some are left.
  bool Shrink(const View& view, Plan* plan) const {
    // With one at a time, only the unhealthy pod with the lowest number may go before all others
    // are well.
    const PodRef* unhealthy = nullptr;
    for (const auto& [ordinal, pod] : view.pods) {
      if (IsTerminating(*pod) || !IsRunningAndReady(*pod)) {
        unhealthy = &pod;
        break;
      }
    }
    bool done = true;
    for (auto it = view.pods.rbegin(); it != view.pods.rend(); ++it) {
      const auto& [ordinal, pod] = *it;
      if (view.InRange(ordinal)) continue;
      done = false;
      if (IsTerminating(*pod)) {
        if (view.OneByOne()) return false;
        continue;
      }
      if (view.OneByOne() && !IsHealthy(view, *pod, plan) && &pod != unhealthy) return false;
      SetClaimOwners(view, ordinal, *pod, plan);
      DeletePod(view, *pod, plan);
      if (view.OneByOne()) return false;
    }
    return done;
  }

  // Replaces the outdated pod with the highest number, once all above it are well.
  void Update(const View& view, Plan* plan) const {
    for (int ordinal = view.end - 1; ordinal >= view.start + view.Partition(); --ordinal) {
      auto it = view.pods.find(ordinal);
      if (it == view.pods.end() || IsTerminating(*it->second)) return;
      if (RevisionOf(*it->second) != view.update_revision) {
        DeletePod(view, *it->second, plan);
        return;
      }
      if (!IsHealthy(view, *it->second, plan)) return;
    }
  }

  // Ready for as long as the set asks. When only time is missing, the plan looks again by then.
  static bool IsHealthy(const View& view, const Pod& pod, Plan* plan) {
    if (!IsRunningAndReady(pod)) return false;
    const int min_ready = view.set->spec().min_ready_seconds();
    if (api::IsAvailable(pod, min_ready, view.now)) return true;
    const Duration left = api::ReadySince(pod) + std::chrono::seconds(min_ready) - view.now;
    if (!plan->requeue_after || left < *plan->requeue_after) plan->requeue_after = left;
    return false;
  }

  void MakeClaims(const View& view, int ordinal, Plan* plan) const {
    for (PersistentVolumeClaim& claim : ClaimsOf(*view.set, ordinal)) {
      const std::string& ns = claim.metadata().namespace_();
      const std::string claim_name = claim.metadata().name();
      if (claims_->Get(ns, claim_name)) continue;
      plan->Create(std::move(claim));
      plan->actions.back().tolerate_exists = true;
      Tell(view.set, "create", "Create",
           "Claim " + claim_name + " Pod " + view.set->metadata().name() + "-" +
               std::to_string(ordinal),
           "success", plan);
    }
  }

  // Claims that are to go with the set, or with the pod, belong to it: the garbage collector does
  // the rest.
  void SetClaimOwners(const View& view, int ordinal, const Pod& pod, Plan* plan) const {
    const StatefulSet& set = *view.set;
    const auto& policy = set.spec().persistent_volume_claim_retention_policy();
    const bool of_pod = policy.when_scaled() == "Delete" && !view.InRange(ordinal);
    const bool of_set = policy.when_deleted() == "Delete" && !of_pod;
    for (const auto& claim_template : set.spec().volume_claim_templates()) {
      const std::string claim_name =
          ClaimName(claim_template.metadata().name(), pod.metadata().name());
      const api::ObjectPtr claim = claims_->Get(set.metadata().namespace_(), claim_name);
      if (!claim || api::IsBeingDeleted(claim->meta())) continue;
      std::vector<OwnerReference> owners(claim->meta().owner_references().begin(),
                                         claim->meta().owner_references().end());
      bool changed = SetOwner(of_set, api::KindOf<StatefulSet>(), set.metadata(), &owners);
      changed = SetOwner(of_pod, api::KindOf<Pod>(), pod.metadata(), &owners) || changed;
      if (changed) plan->actions.push_back(PatchOwners(*claim, owners));
    }
  }

  static void CreatePod(const View& view, int ordinal, Plan* plan) {
    const bool current = view.Rolls() && ordinal < view.start + view.Partition();
    Pod pod = current
                  ? MakePod(*view.set, view.current_template, view.current_revision, ordinal)
                  : MakePod(*view.set, view.set->spec().template_(), view.update_revision, ordinal);
    const std::string what = "Pod " + pod.metadata().name();
    plan->Create(std::move(pod));
    Tell(view.set, "create", "Create", what, "successful", plan);
  }

  static void DeletePod(const View& view, const Pod& pod, Plan* plan) {
    plan->Delete(pod);
    Tell(view.set, "delete", "Delete", "Pod " + pod.metadata().name(), "successful", plan);
  }

  static std::vector<std::string> LiveRevisions(const View& view) {
    std::vector<std::string> live = {view.current_revision, view.update_revision};
    for (const auto& [ordinal, pod] : view.pods)
      live.push_back(RevisionOf(*pod));
    return live;
  }

  static void WriteStatus(const View& view, int collisions, Plan* plan) {
    const StatefulSet& set = *view.set;
    StatefulSetStatus status = set.status();
    int ready = 0, available = 0, current = 0, updated = 0;
    for (const auto& [ordinal, pod] : view.pods) {
      if (IsRunningAndReady(*pod)) {
        ++ready;
        if (IsHealthy(view, *pod, plan)) ++available;
      }
      if (IsTerminating(*pod)) continue;
      const std::string revision = RevisionOf(*pod);
      if (revision == view.current_revision) ++current;
      if (revision == view.update_revision) ++updated;
    }
    const int replicas = static_cast<int>(view.pods.size());
    status.set_observed_generation(set.metadata().generation());
    status.set_replicas(replicas);
    status.set_ready_replicas(ready);
    status.set_available_replicas(available);
    status.set_current_replicas(current);
    status.set_updated_replicas(updated);
    status.set_current_revision(view.current_revision);
    status.set_update_revision(view.update_revision);
    status.set_collision_count(collisions);
    const int wanted = set.spec().replicas();
    if (view.Rolls() && updated == wanted && ready == wanted && replicas == wanted) {
      status.set_current_replicas(updated);
      status.set_current_revision(view.update_revision);
    }
    if (api::Same(status, set.status())) return;
    StatefulSet copy = set;
    *copy.mutable_status() = std::move(status);
    plan->UpdateStatus(std::move(copy));
  }

  client::Informer* sets_ = nullptr;
  client::Informer* pods_ = nullptr;
  client::Informer* revisions_ = nullptr;
  client::Informer* claims_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeStatefulSetController() {
  return std::make_unique<StatefulSetController>();
}

}  // namespace gantry::controllers
