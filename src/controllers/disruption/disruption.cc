#include "controllers/disruption/disruption.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/apps/v1/stateful_set.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/replication_controller.pb.h"
#include "api/duration.h"
#include "api/int_or_percent.h"
#include "api/owners.h"
#include "api/pods.h"
#include "api/policy/v1/disruption_budget.pb.h"
#include "api/same.h"
#include "api/selector.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::Deployment;
using api::apps::v1::ReplicaSet;
using api::apps::v1::StatefulSet;
using api::core::v1::Pod;
using api::core::v1::ReplicationController;
using api::policy::v1::PodDisruptionBudget;
using api::policy::v1::PodDisruptionBudgetStatus;
using client::Plan;
using PodRef = api::Ref<Pod>;

// An eviction that was allowed and has not deleted its pod within this time counts no more.
constexpr Duration kDeletionTime = std::chrono::minutes(2);

void SetCondition(const PodDisruptionBudget& budget, bool allowed, const char* reason,
                  std::string message, WallTime now, PodDisruptionBudgetStatus* status) {
  const char* value = allowed ? "True" : "False";
  auto* conditions = status->mutable_conditions();
  auto it = std::find_if(conditions->begin(), conditions->end(), [](const auto& condition) {
    return condition.type() == "DisruptionAllowed";
  });
  auto& condition = it == conditions->end() ? *conditions->Add() : *it;
  condition.set_type("DisruptionAllowed");
  if (condition.status() != value) api::SetTime(now, condition.mutable_last_transition_time());
  condition.set_status(value);
  condition.set_reason(reason);
  condition.set_message(std::move(message));
  condition.set_observed_generation(budget.metadata().generation());
}

// As Go prints a label selector.
std::string GoText(const api::meta::v1::LabelSelector& selector) {
  std::string text = "&LabelSelector{MatchLabels:map[string]string{";
  const std::map<std::string, std::string> sorted(selector.match_labels().begin(),
                                                  selector.match_labels().end());
  for (const auto& [key, value] : sorted)
    text += key + ": " + value + ",";
  text += "},MatchExpressions:[]LabelSelectorRequirement{";
  for (const auto& expression : selector.match_expressions()) {
    text += "LabelSelectorRequirement{Key:" + expression.key() +
            ",Operator:" + expression.operator_() + ",Values:[";
    for (int i = 0; i < expression.values_size(); ++i)
      text += (i == 0 ? "" : " ") + expression.values(i);
    text += "],},";
  }
  return text + "},}";
}

class DisruptionController : public client::Reconciler {
 public:
  std::string_view name() const override { return "disruption"; }
  std::string event_source() const override { return "controllermanager"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    budgets_ = &informers.For<PodDisruptionBudget>();
    pods_ = &informers.For<Pod>();
    sets_ = &informers.For<ReplicaSet>();
    deployments_ = &informers.For<Deployment>();
    stateful_ = &informers.For<StatefulSet>();
    replicators_ = &informers.For<ReplicationController>();
    budgets_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (after) enqueue({after->ns(), after->name()});
    });
    pods_->AddHandler([this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (before && after && Counts(before->As<Pod>()) == Counts(after->As<Pod>()) &&
          api::SameMap(before->meta().labels(), after->meta().labels())) {
        return;
      }
      const std::string& ns = (after ? after : before)->ns();
      for (const api::ObjectPtr& object : budgets_->List(ns)) {
        Result<api::Selector> selector = SelectorOf(object->As<PodDisruptionBudget>());
        if (!selector.ok()) continue;
        if ((before && selector->Matches(before->meta().labels())) ||
            (after && selector->Matches(after->meta().labels()))) {
          enqueue({object->ns(), object->name()});
        }
      }
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    api::Ref<PodDisruptionBudget> budget =
        client::GetFrom<PodDisruptionBudget>(*budgets_, key.ns, key.name);
    if (!budget || api::IsBeingDeleted(budget->metadata())) return plan;
    GANTRY_ASSIGN(const api::Selector selector, SelectorOf(*budget));
    std::vector<PodRef> pods;
    for (const api::ObjectPtr& object : pods_->List(key.ns)) {
      if (budget->spec().has_selector() && selector.Matches(object->meta().labels()))
        pods.emplace_back(object);
    }
    if (pods.empty())
      plan.events.push_back({budget.object(), "Normal", "NoPods", "No matching pods found"});

    PodDisruptionBudgetStatus status = budget->status();
    Result<Expectation> expected = Expect(budget, pods, &plan);
    if (!expected.ok()) {
      plan.events.push_back(
          {budget.object(), "Warning", "CalculateExpectedPodCountFailed",
           "Failed to calculate the number of expected pods: " + expected.status().message()});
      status.set_disruptions_allowed(0);
      SetCondition(*budget, false, "SyncFailed", expected.status().message(), now, &status);
    } else {
      DropDisrupted(*budget, now, &status, &plan);
      const int healthy =
          static_cast<int>(std::count_if(pods.begin(), pods.end(), [&](const PodRef& pod) {
            return Counts(*pod) && !status.disrupted_pods().contains(pod->metadata().name());
          }));
      int allowed = healthy - expected->desired;
      if (expected->pods <= 0 || allowed <= 0) allowed = 0;
      status.set_current_healthy(healthy);
      status.set_desired_healthy(expected->desired);
      status.set_expected_pods(expected->pods);
      status.set_disruptions_allowed(allowed);
      status.set_observed_generation(budget->metadata().generation());
      SetCondition(*budget, allowed > 0, allowed > 0 ? "SufficientPods" : "InsufficientPods", "",
                   now, &status);
    }
    if (!api::Same(status, budget->status())) {
      PodDisruptionBudget copy = *budget;
      *copy.mutable_status() = std::move(status);
      plan.UpdateStatus(std::move(copy));
    }
    return plan;
  }

 private:
  struct Expectation {
    int pods = 0;     // wanted by their controllers
    int desired = 0;  // of them at least so many healthy
  };

  static Result<api::Selector> SelectorOf(const PodDisruptionBudget& budget) {
    return api::Selector::From(budget.spec().selector());
  }

  static bool Counts(const Pod& pod) {
    return !api::IsBeingDeleted(pod.metadata()) && api::IsReady(pod);
  }

  Result<Expectation> Expect(const api::Ref<PodDisruptionBudget>& budget,
                             const std::vector<PodRef>& pods, Plan* plan) const {
    const auto& spec = budget->spec();
    Expectation expected;
    if (spec.has_max_unavailable()) {
      GANTRY_ASSIGN(expected.pods, Scale(budget, pods, plan));
      expected.desired =
          std::max(0, expected.pods -
                          api::Scaled(spec.max_unavailable(), expected.pods, api::Rounding::kUp));
    } else if (spec.has_min_available() && spec.min_available().type() == 0) {
      expected.pods = static_cast<int>(pods.size());
      expected.desired = spec.min_available().int_val();
    } else if (spec.has_min_available()) {
      GANTRY_ASSIGN(expected.pods, Scale(budget, pods, plan));
      expected.desired = api::Scaled(spec.min_available(), expected.pods, api::Rounding::kUp);
    }
    return expected;
  }

  // What the controllers of the pods want in sum.
  Result<int> Scale(const api::Ref<PodDisruptionBudget>& budget, const std::vector<PodRef>& pods,
                    Plan* plan) const {
    std::map<std::string, int> scales;  // by the controller's uid
    bool unmanaged = false;
    for (const PodRef& pod : pods) {
      const auto* owner = api::ControllerOf(pod->metadata());
      if (owner == nullptr) {
        unmanaged = true;
      } else if (!AddScale(pod->metadata().namespace_(), *owner, &scales)) {
        return BadRequest("found no controllers for pod \"" + pod->metadata().name() + "\"");
      }
    }
    if (unmanaged) {
      plan->events.push_back(
          {budget.object(), "Warning", "UnmanagedPods",
           "Pods selected by this PodDisruptionBudget (selector: " +
               GoText(budget->spec().selector()) +
               ") were found to be unmanaged. As a result, the status of the PDB cannot be "
               "calculated correctly, which may result in undefined behavior. To account for these "
               "pods please set \".spec.minAvailable\" field of the PDB to an integer value."});
    }
    int sum = 0;
    for (const auto& [uid, scale] : scales)
      sum += scale;
    return sum;
  }

  bool AddScale(const std::string& ns, const api::meta::v1::OwnerReference& owner,
                std::map<std::string, int>* scales) const {
    if (owner.kind() == "ReplicaSet") {
      api::Ref<ReplicaSet> set = Owner<ReplicaSet>(*sets_, ns, owner);
      if (!set) return false;
      const auto* above = api::ControllerOf(set->metadata());
      if (above == nullptr || above->kind() != "Deployment") {
        (*scales)[owner.uid()] = set->spec().replicas();
        return true;
      }
      api::Ref<Deployment> deployment = Owner<Deployment>(*deployments_, ns, *above);
      if (deployment) (*scales)[above->uid()] = deployment->spec().replicas();
      return static_cast<bool>(deployment);
    }
    if (owner.kind() == "StatefulSet")
      return AddOwn(Owner<StatefulSet>(*stateful_, ns, owner), scales);
    if (owner.kind() == "ReplicationController")
      return AddOwn(Owner<ReplicationController>(*replicators_, ns, owner), scales);
    return false;
  }

  template <class T>
  static api::Ref<T> Owner(const client::Informer& informer, const std::string& ns,
                           const api::meta::v1::OwnerReference& owner) {
    api::Ref<T> found = client::GetFrom<T>(informer, ns, owner.name());
    return found && found->metadata().uid() == owner.uid() ? found : api::Ref<T>();
  }
  template <class T>
  static bool AddOwn(const api::Ref<T>& owner, std::map<std::string, int>* scales) {
    if (owner) (*scales)[owner->metadata().uid()] = owner->spec().replicas();
    return static_cast<bool>(owner);
  }

  // Evictions that were allowed count until their pod is on its way out, or has not gone in time.
  void DropDisrupted(const PodDisruptionBudget& budget, WallTime now,
                     PodDisruptionBudgetStatus* status, Plan* plan) const {
    auto& disrupted = *status->mutable_disrupted_pods();
    const std::map<std::string, api::meta::v1::Time> before(disrupted.begin(), disrupted.end());
    for (const auto& [name, since] : before) {
      PodRef pod = client::GetFrom<Pod>(*pods_, budget.metadata().namespace_(), name);
      const WallTime end = api::ToWallTime(since) + kDeletionTime;
      if (!pod || api::IsBeingDeleted(pod->metadata())) {
        disrupted.erase(name);
      } else if (end <= now) {
        disrupted.erase(name);
        plan->events.push_back({pod.object(), "Warning", "NotDeleted",
                                "Pod was expected by PDB " + budget.metadata().namespace_() + "/" +
                                    budget.metadata().name() + " to be deleted but it wasn't"});
      } else if (!plan->requeue_after || end - now < *plan->requeue_after) {
        plan->requeue_after = end - now;
      }
    }
  }

  client::Informer* budgets_ = nullptr;
  client::Informer* pods_ = nullptr;
  client::Informer* sets_ = nullptr;
  client::Informer* deployments_ = nullptr;
  client::Informer* stateful_ = nullptr;
  client::Informer* replicators_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeDisruptionController() {
  return std::make_unique<DisruptionController>();
}

}  // namespace gantry::controllers
