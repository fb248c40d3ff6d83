#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/owners.h"
#include "api/pods.h"
#include "controllers/disruption/disruption.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Pod;
using client::Plan;

constexpr char kDisruptionTarget[] = "DisruptionTarget";
// Who announced a disruption had this long to delete the pod.
constexpr Duration kDeletionTime = std::chrono::minutes(2);

// A pod that is said to be on its way out, and is not. What kubelet announces may take its time.
bool MayBeStale(const Pod& pod) {
  if (api::IsBeingDeleted(pod.metadata()) || api::IsTerminal(pod)) return false;
  const auto* condition = api::FindCondition(pod.status(), kDisruptionTarget);
  return condition && condition->status() == "True" &&
         condition->reason() != "TerminationByKubelet";
}

class StaleDisruptionController : public client::Reconciler {
 public:
  std::string_view name() const override { return "stale-disruption"; }
  std::string event_source() const override { return "controllermanager"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    pods_ = &informers.For<Pod>();
    pods_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (after && MayBeStale(after->As<Pod>())) enqueue({after->ns(), after->name()});
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    const api::Ref<Pod> pod = client::GetFrom<Pod>(*pods_, key.ns, key.name);
    if (!pod || !MayBeStale(*pod)) return plan;
    const auto* condition = api::FindCondition(pod->status(), kDisruptionTarget);
    const WallTime end = api::ToWallTime(condition->last_transition_time()) + kDeletionTime;
    if (now < end) {
      plan.requeue_after = end - now;
      return plan;
    }
    Pod copy = *pod;
    for (auto& candidate : *copy.mutable_status()->mutable_conditions()) {
      if (candidate.type() != kDisruptionTarget) continue;
      candidate.set_status("False");
      candidate.clear_reason();
      candidate.clear_message();
      api::SetTime(now, candidate.mutable_last_transition_time());
    }
    plan.UpdateStatus(std::move(copy));
    return plan;
  }

 private:
  client::Informer* pods_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeStaleDisruptionController() {
  return std::make_unique<StaleDisruptionController>();
}

}  // namespace gantry::controllers
