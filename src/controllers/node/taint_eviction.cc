#include <algorithm>
#include <optional>

#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/owners.h"
#include "api/pods.h"
#include "api/tolerations.h"
#include "controllers/node/node_lifecycle.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Node;
using api::core::v1::Pod;
using api::core::v1::Taint;
using client::Plan;

constexpr char kPodsByNode[] = "node-name";

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
    pods_->AddIndex(kPodsByNode, [](const api::Object& object) {
      const std::string& node = object.As<Pod>().spec().node_name();
      return node.empty() ? std::vector<std::string>() : std::vector<std::string>{node};
    });
    nodes_->AddHandler([this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (!after || !HasNoExecute(after->As<Node>())) return;
      for (const api::ObjectPtr& pod : pods_->ByIndex(kPodsByNode, after->name()))
        enqueue({pod->ns(), pod->name()});
    });
    pods_->AddHandler([this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (!after) return;
      api::ObjectPtr node = nodes_->Get("", after->As<Pod>().spec().node_name());
      if (node && HasNoExecute(node->As<Node>())) enqueue({after->ns(), after->name()});
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    api::Ref<Pod> pod = client::GetFrom<Pod>(*pods_, key.ns, key.name);
    if (!pod || !api::IsActive(*pod)) return plan;
    api::Ref<Node> node = client::GetFrom<Node>(*nodes_, "", pod->spec().node_name());
    if (!node) return plan;
    // The pod may stay until the earliest of its taints' tolerations ends.
    std::optional<WallTime> until;
    for (const Taint& taint : node->spec().taints()) {
      if (taint.effect() != "NoExecute") continue;
      const auto* toleration = api::FindToleration(pod->spec().tolerations(), taint);
      if (toleration && !toleration->has_toleration_seconds()) continue;
      const WallTime since = taint.has_time_added() ? api::ToWallTime(taint.time_added()) : now;
      const int64_t seconds =
          toleration ? std::max<int64_t>(0, toleration->toleration_seconds()) : 0;
      const WallTime end = since + std::chrono::seconds(seconds);
      until = until ? std::min(*until, end) : end;
    }
    if (!until) return plan;
    if (*until > now) {
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
  client::Informer* nodes_ = nullptr;
  client::Informer* pods_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeTaintEvictionController() {
  return std::make_unique<TaintEvictionController>();
}

}  // namespace gantry::controllers
