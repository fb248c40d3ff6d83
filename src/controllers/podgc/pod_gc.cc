#include "controllers/podgc/pod_gc.h"

#include <algorithm>
#include <map>

#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/owners.h"
#include "api/pods.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Node;
using api::core::v1::Pod;
using client::Plan;

// A node that vanishes may come back under its name within this time.
constexpr Duration kQuarantine = std::chrono::seconds(40);
constexpr Duration kPeriod = std::chrono::seconds(20);

void ForceDelete(const Pod& pod, Plan* plan) {
  client::DeleteOptions options;
  options.grace_period_seconds = 0;
  plan->Delete(pod, std::move(options));
}

// What nobody runs any more has failed; `condition` (its message) tells of a disruption.
void FailAndDelete(const Pod& pod, const std::string& condition, WallTime now, Plan* plan) {
  if (!api::IsTerminal(pod)) {
    Pod failed = pod;
    failed.mutable_status()->set_phase("Failed");
    if (!condition.empty()) {
      auto* conditions = failed.mutable_status()->mutable_conditions();
      for (int i = conditions->size() - 1; i >= 0; --i) {
        if (conditions->Get(i).type() == "DisruptionTarget") conditions->DeleteSubrange(i, 1);
      }
      auto* target = conditions->Add();
      target->set_type("DisruptionTarget");
      target->set_status("True");
      target->set_reason("DeletionByPodGC");
      target->set_message(condition);
      api::SetTime(now, target->mutable_last_transition_time());
    }
    plan->UpdateStatus(std::move(failed));
  }
  ForceDelete(pod, plan);
}

// Its owner says that it is down for good.
bool IsOutOfService(const Node& node) {
  const auto& taints = node.spec().taints();
  const auto& conditions = node.status().conditions();
  return std::any_of(taints.begin(), taints.end(),
                     [](const auto& taint) {
                       return taint.key() == "node.kubernetes.io/out-of-service";
                     }) &&
         std::none_of(conditions.begin(), conditions.end(), [](const auto& condition) {
           return condition.type() == "Ready" && condition.status() == "True";
         });
}

// One key for all: what it looks for are pods that no event announces.
class PodGarbageCollector : public client::Reconciler {
 public:
  explicit PodGarbageCollector(int terminated_limit) : terminated_limit_(terminated_limit) {}

  std::string_view name() const override { return "pod-garbage-collector"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    pods_ = &informers.For<Pod>();
    nodes_ = &informers.For<Node>();
    nodes_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (!after) enqueue({"", "nodes"});
    });
    pods_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (after && api::IsBeingDeleted(after->meta()) &&
          after->As<Pod>().spec().node_name().empty()) {
        enqueue({after->ns(), after->name()});
      }
    });
    enqueue({"", "nodes"});
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    if (!key.ns.empty()) {
      api::Ref<Pod> pod = client::GetFrom<Pod>(*pods_, key.ns, key.name);
      if (pod && api::IsBeingDeleted(pod->metadata()) && pod->spec().node_name().empty())
        FailAndDelete(*pod, "", now, &plan);
      return plan;
    }
    plan.requeue_after = kPeriod;
    if (!nodes_->synced() || !pods_->synced()) return plan;
    std::vector<api::Ref<Pod>> terminated;
    std::map<std::string, WallTime> missing;
    for (const api::Ref<Pod>& pod : client::Typed<Pod>(pods_->List())) {
      if (api::IsTerminal(*pod) && !api::IsBeingDeleted(pod->metadata())) terminated.push_back(pod);
      const std::string& node = pod->spec().node_name();
      if (node.empty()) continue;
      if (const api::Ref<Node> home = client::GetFrom<Node>(*nodes_, "", node)) {
        if (api::IsBeingDeleted(pod->metadata()) && IsOutOfService(*home))
          FailAndDelete(*pod, "", now, &plan);
        continue;
      }
      auto since = missing_since_.find(node);
      const WallTime first = since == missing_since_.end() ? now : since->second;
      missing.emplace(node, first);
      if (now - first < kQuarantine) continue;
      FailAndDelete(*pod, "PodGC: node no longer exists", now, &plan);
    }
    missing_since_ = std::move(missing);
    DeleteOldest(std::move(terminated), &plan);
    return plan;
  }

 private:
  void DeleteOldest(std::vector<api::Ref<Pod>> terminated, Plan* plan) const {
    if (static_cast<int>(terminated.size()) <= terminated_limit_) return;
    std::sort(terminated.begin(), terminated.end(), [](const auto& a, const auto& b) {
      const bool a_evicted = a->status().reason() == "Evicted";
      const bool b_evicted = b->status().reason() == "Evicted";
      if (a_evicted != b_evicted) return a_evicted;
      return api::ToWallTime(a->metadata().creation_timestamp()) <
             api::ToWallTime(b->metadata().creation_timestamp());
    });
    terminated.resize(terminated.size() - static_cast<size_t>(terminated_limit_));
    for (const api::Ref<Pod>& pod : terminated) {
      ForceDelete(*pod, plan);
      plan->actions.back().independent = true;
    }
  }

  const int terminated_limit_;
  client::Informer* pods_ = nullptr;
  client::Informer* nodes_ = nullptr;
  // How long each node that pods refer to has been missing; forgetting it only prolongs the
  // quarantine.
  std::map<std::string, WallTime> missing_since_;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakePodGarbageCollector(int terminated_limit) {
  return std::make_unique<PodGarbageCollector>(terminated_limit);
}

}  // namespace gantry::controllers
