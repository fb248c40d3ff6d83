#include "controllers/daemonset/daemonset.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "api/apps/v1/controller_revision.pb.h"
#include "api/apps/v1/daemon_set.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/int_or_percent.h"
#include "api/owners.h"
#include "api/pods.h"
#include "api/same.h"
#include "api/selector.h"
#include "controllers/daemonset/placement.h"
#include "controllers/history/history.h"
#include "controllers/ownership/ownership.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::ControllerRevision;
using api::apps::v1::DaemonSet;
using api::apps::v1::DaemonSetStatus;
using api::core::v1::Node;
using api::core::v1::Pod;
using client::EventNote;
using client::Plan;
using PodRef = api::Ref<Pod>;
using SetRef = api::Ref<DaemonSet>;

// As many pods in one go as Kubernetes makes or removes.
constexpr int kBurst = 250;
// A failed pod is not replaced before this time has passed since it was made: a node that refuses
// it is not asked without a pause.
constexpr Duration kFailurePause = std::chrono::seconds(10);

std::string HashOf(const Pod& pod) {
  auto it = pod.metadata().labels().find(kRevisionHashLabel);
  return it == pod.metadata().labels().end() ? "" : it->second;
}

// What there is of a set on one node.
struct OnNode {
  bool exists = false;  // false: the node is gone
  Placement placement;
  std::vector<PodRef> pods;  // oldest first; those that end are among them
};

struct View {
  SetRef set;
  WallTime now;
  std::string hash;  // of the template's revision
  std::map<std::string, OnNode> nodes;

  bool IsCurrent(const Pod& pod) const { return HashOf(pod) == hash; }
  bool IsAvailable(const Pod& pod, Plan* plan) const {
    if (!api::IsReady(pod) || api::IsBeingDeleted(pod.metadata())) return false;
    const int min_ready = set->spec().min_ready_seconds();
    if (api::IsAvailable(pod, min_ready, now)) return true;
    const Duration left = api::ReadySince(pod) + std::chrono::seconds(min_ready) - now;
    if (!plan->requeue_after || left < *plan->requeue_after) plan->requeue_after = left;
    return false;
  }
  int Desired() const {
    return static_cast<int>(std::count_if(
        nodes.begin(), nodes.end(), [](const auto& entry) { return entry.second.placement.run; }));
  }
};

// What one look decides.
struct Decision {
  std::vector<std::string> make;  // nodes that get a pod
  std::vector<PodRef> remove;
};

// The newest pod of the template on the node, and the newest of another one; neither one that ends.
std::pair<PodRef, PodRef> NewAndOld(const View& view, const OnNode& on) {
  PodRef fresh, old;
  for (const PodRef& pod : on.pods) {
    if (!api::IsActive(*pod)) continue;
    (view.IsCurrent(*pod) ? fresh : old) = pod;
  }
  return {fresh, old};
}

// With a surge a node holds the new pod beside the old one until the new one is available.
int SurgeOf(const View& view, int desired) {
  const auto& strategy = view.set->spec().update_strategy();
  if (strategy.type() != "RollingUpdate") return 0;
  return api::Scaled(strategy.rolling_update().max_surge(), desired, api::Rounding::kUp);
}

// Every node has what it should have, whatever the revision.
void Place(const View& view, bool surges, Decision* decision, Plan* plan) {
  for (const auto& [name, on] : view.nodes) {
    std::vector<PodRef> running;
    bool ending = false;
    for (const PodRef& pod : on.pods) {
      if (api::IsBeingDeleted(pod->metadata())) {
        ending = true;
        continue;
      }
      if (!on.placement.keep) {
        decision->remove.push_back(pod);
        continue;
      }
      if (!api::IsTerminal(*pod)) {
        running.push_back(pod);
        continue;
      }
      const bool failed = pod->status().phase() == "Failed";
      const Duration age = view.now - api::ToWallTime(pod->metadata().creation_timestamp());
      if (failed && age < kFailurePause) {
        ending = true;
        if (!plan->requeue_after || kFailurePause - age < *plan->requeue_after)
          plan->requeue_after = kFailurePause - age;
        continue;
      }
      plan->events.push_back({view.set.object(), failed ? "Warning" : "Normal",
                              failed ? "FailedDaemonPod" : "SucceededDaemonPod",
                              std::string("Found ") + (failed ? "failed" : "succeeded") +
                                  " daemon pod " + pod->metadata().namespace_() + "/" +
                                  pod->metadata().name() + " on node " + name + ", will try to " +
                                  (failed ? "kill it" : "delete it")});
      decision->remove.push_back(pod);
      ending = true;
    }
    if (running.empty()) {
      if (on.placement.run && !ending) decision->make.push_back(name);
      continue;
    }
    // One is enough: the oldest stays. A surge has its second one by the revision's rules.
    const auto [fresh, old] = NewAndOld(view, on);
    const size_t allowed = surges && fresh && old ? 2 : 1;
    for (size_t i = allowed; i < running.size(); ++i)
      decision->remove.push_back(running[i]);
  }
}

// Old pods go as far as the bounds allow: first those that serve nobody, then as many of the
// others as may be missing.
void RollWithoutSurge(const View& view, int desired, Decision* decision, Plan* plan) {
  const int bound =
      std::max(1, api::Scaled(view.set->spec().update_strategy().rolling_update().max_unavailable(),
                              desired, api::Rounding::kUp));
  int missing = 0;
  std::vector<PodRef> useless, serving;
  for (const auto& [name, on] : view.nodes) {
    if (!on.placement.run) continue;
    const auto [fresh, old] = NewAndOld(view, on);
    if (old && view.IsAvailable(*old, plan)) {
      serving.push_back(old);
    } else if (old) {
      useless.push_back(old);
      ++missing;
    } else if (!fresh || !view.IsAvailable(*fresh, plan)) {
      ++missing;
    }
  }
  decision->remove.insert(decision->remove.end(), useless.begin(), useless.end());
  for (const PodRef& pod : serving) {
    if (missing++ >= bound) break;
    decision->remove.push_back(pod);
  }
}

void RollWithSurge(const View& view, int surge, Decision* decision, Plan* plan) {
  std::vector<std::string> candidates;
  for (const auto& [name, on] : view.nodes) {
    if (!on.placement.run) continue;
    const auto [fresh, old] = NewAndOld(view, on);
    if (!old) continue;
    const bool ending = std::any_of(on.pods.begin(), on.pods.end(), [](const PodRef& pod) {
      return api::IsBeingDeleted(pod->metadata());
    });
    if (fresh && view.IsAvailable(*fresh, plan)) {
      decision->remove.push_back(old);
    } else if (fresh) {
      --surge;
    } else if (!view.IsAvailable(*old, plan)) {
      decision->make.push_back(name);  // nothing is lost by it
    } else if (!ending) {
      candidates.push_back(name);
    }
  }
  for (const std::string& name : candidates) {
    if (surge-- <= 0) break;
    decision->make.push_back(name);
  }
}

class DaemonSetController : public client::Reconciler {
 public:
  std::string_view name() const override { return "daemonset"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    sets_ = &informers.For<DaemonSet>();
    pods_ = &informers.For<Pod>();
    nodes_ = &informers.For<Node>();
    revisions_ = &informers.For<ControllerRevision>();
    IndexByController(*pods_);
    IndexByController(*revisions_);
    WatchAll(*sets_, enqueue);
    WatchOwned(*pods_, api::KindOf<DaemonSet>(), *sets_, Selects<DaemonSet>, enqueue);
    WatchOwned(*revisions_, api::KindOf<DaemonSet>(), *sets_, Selects<DaemonSet>, enqueue);
    nodes_->AddHandler([this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      for (const api::ObjectPtr& set : sets_->List()) {
        // Heartbeats change nothing for most sets.
        auto placement = [&](const api::ObjectPtr& node) {
          return node ? PlacementOn(set->As<DaemonSet>(), node->As<Node>()) : Placement();
        };
        const Placement was = placement(before), is = placement(after);
        if (was.run != is.run || was.keep != is.keep) enqueue({set->ns(), set->name()});
      }
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    View view;
    view.now = now;
    view.set = client::GetFrom<DaemonSet>(*sets_, key.ns, key.name);
    if (!view.set) return plan;
    const DaemonSet& set = *view.set;
    GANTRY_ASSIGN(api::Selector selector, api::Selector::From(set.spec().selector()));
    if (selector.empty()) {
      plan.events.push_back(
          {view.set.object(), "Warning", "SelectingAll",
           "This daemon set is selecting all pods. A non-empty selector is required."});
      return plan;
    }
    auto any = [](const api::Object&) { return true; };
    Claim pods = ClaimOwned(*pods_, *sets_, *view.set.object(), selector, any, &plan);
    Claim revisions = ClaimOwned(*revisions_, *sets_, *view.set.object(), selector, any, &plan);
    if (pods.changed || revisions.changed) return plan;
    FillNodes(client::Typed<Pod>(pods.owned), &view);

    const std::vector<RevisionRef> history = client::Typed<ControllerRevision>(revisions.owned);
    int collisions = set.status().collision_count();
    const bool known = FindRevision(history, &view, &collisions, &plan);
    if (known && !api::IsBeingDeleted(set.metadata())) {
      const int desired = view.Desired();
      const int surge = SurgeOf(view, desired);
      Decision decision;
      Place(view, surge > 0, &decision, &plan);
      // Missing and surplus pods come first; the revision is the next look's matter.
      if (decision.make.empty() && decision.remove.empty() &&
          set.spec().update_strategy().type() == "RollingUpdate") {
        if (surge > 0) {
          RollWithSurge(view, surge, &decision, &plan);
        } else {
          RollWithoutSurge(view, desired, &decision, &plan);
        }
      }
      Carry(view, decision, &plan);
      std::vector<std::string> live = {set.metadata().name() + "-" + view.hash};
      for (const auto& [node, on] : view.nodes) {
        for (const PodRef& pod : on.pods)
          live.push_back(set.metadata().name() + "-" + HashOf(*pod));
      }
      TruncateHistory(history, live, set.spec().revision_history_limit(), &plan);
    }
    WriteStatus(view, collisions, &plan);
    return plan;
  }

 private:
  void FillNodes(std::vector<PodRef> pods, View* view) const {
    for (const api::ObjectPtr& object : nodes_->List()) {
      OnNode& on = view->nodes[object->name()];
      on.exists = true;
      on.placement = PlacementOn(*view->set, object->As<Node>());
    }
    std::sort(pods.begin(), pods.end(), [](const PodRef& a, const PodRef& b) {
      const WallTime a_time = api::ToWallTime(a->metadata().creation_timestamp());
      const WallTime b_time = api::ToWallTime(b->metadata().creation_timestamp());
      return a_time != b_time ? a_time < b_time : a->metadata().name() < b->metadata().name();
    });
    for (PodRef& pod : pods) {
      std::string node = NodeOfDaemonPod(*pod);
      if (!node.empty()) view->nodes[std::move(node)].pods.push_back(std::move(pod));
    }
  }

  // False while the revision of the template has yet to be made: the plan makes it.
  bool FindRevision(const std::vector<RevisionRef>& history, View* view, int* collisions,
                    Plan* plan) const {
    const DaemonSet& set = *view->set;
    TemplateRevision current = FindTemplateRevision(api::KindOf<DaemonSet>(), set.metadata(),
                                                    set.spec().template_(), history, *collisions);
    const auto& labels = current.revision.metadata().labels();
    if (auto it = labels.find(kRevisionHashLabel); it != labels.end()) view->hash = it->second;
    if (!current.exists) {
      if (revisions_->Get(set.metadata().namespace_(), current.revision.metadata().name())) {
        ++*collisions;  // somebody else's has the name: the next look takes another
      } else {
        plan->Create(std::move(current.revision));
      }
      return false;
    }
    if (!current.newest) plan->Update(std::move(current.revision));
    return true;
  }

  static void Carry(const View& view, const Decision& decision, Plan* plan) {
    const SetRef& set = view.set;
    auto failed = [set](const char* reason, const char* what) {
      return [set, reason, what](const Status& failure) {
        Plan more;
        more.events.push_back({set.object(), "Warning", reason, what + failure.message()});
        return more;
      };
    };
    int left = kBurst;
    for (const PodRef& pod : decision.remove) {
      if (left-- <= 0) break;
      plan->Delete(*pod);
      plan->actions.back().on_success = [set,
                                         name = pod->metadata().name()](const api::ObjectPtr&) {
        return EventNote{set.object(), "Normal", "SuccessfulDelete", "Deleted pod: " + name};
      };
      plan->actions.back().on_failure = failed("FailedDelete", "Error deleting: ");
    }
    left = kBurst;
    for (const std::string& node : decision.make) {
      if (left-- <= 0) break;
      plan->Create(MakeDaemonPod(*set, view.hash, node));
      plan->actions.back().on_success = [set](const api::ObjectPtr& made) {
        return EventNote{set.object(), "Normal", "SuccessfulCreate",
                         "Created pod: " + made->name()};
      };
      plan->actions.back().on_failure = failed("FailedCreate", "Error creating: ");
    }
    const auto wanted = static_cast<size_t>(kBurst);
    if (decision.remove.size() > wanted || decision.make.size() > wanted)
      plan->requeue_after = std::chrono::milliseconds(0);
  }

  static void WriteStatus(const View& view, int collisions, Plan* plan) {
    const DaemonSet& set = *view.set;
    int current = 0, misplaced = 0, ready = 0, available = 0, updated = 0;
    for (const auto& [name, on] : view.nodes) {
      if (!on.placement.run) {
        if (!on.pods.empty() && on.exists) ++misplaced;
        continue;
      }
      if (!on.pods.empty()) ++current;
      const auto [fresh, old] = NewAndOld(view, on);
      if (fresh) ++updated;
      const bool is_ready = (fresh && api::IsReady(*fresh)) || (old && api::IsReady(*old));
      if (is_ready) ++ready;
      if ((fresh && view.IsAvailable(*fresh, plan)) || (old && view.IsAvailable(*old, plan)))
        ++available;
    }
    DaemonSetStatus status = set.status();
    const int desired = view.Desired();
    status.set_desired_number_scheduled(desired);
    status.set_current_number_scheduled(current);
    status.set_number_misscheduled(misplaced);
    status.set_number_ready(ready);
    status.set_number_available(available);
    status.set_number_unavailable(desired - available);
    status.set_updated_number_scheduled(updated);
    status.set_observed_generation(set.metadata().generation());
    if (collisions > 0) status.set_collision_count(collisions);
    if (api::Same(status, set.status())) return;
    DaemonSet copy = set;
    *copy.mutable_status() = std::move(status);
    plan->UpdateStatus(std::move(copy));
  }

  client::Informer* sets_ = nullptr;
  client::Informer* pods_ = nullptr;
  client::Informer* nodes_ = nullptr;
  client::Informer* revisions_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeDaemonSetController() {
  return std::make_unique<DaemonSetController>();
}

}  // namespace gantry::controllers
