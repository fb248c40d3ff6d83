#include "sim/plants.h"

#include <algorithm>
#include <utility>

#include "api/apps/v1/replica_set.pb.h"
#include "api/core/v1/pod.pb.h"

namespace gantry::sim {
namespace {

using api::apps::v1::ReplicaSet;
using client::Action;

// A reconciler whose plans are changed before they are carried out.
class Changed final : public client::Reconciler {
 public:
  Changed(std::unique_ptr<client::Reconciler> real, void (*change)(client::Plan& plan))
      : real_(std::move(real)), change_(change) {}

  std::string_view name() const override { return real_->name(); }
  std::string event_source() const override { return real_->event_source(); }
  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    real_->Setup(informers, std::move(enqueue));
  }
  Result<client::Plan> Reconcile(const Key& key, WallTime now) override {
    Result<client::Plan> plan = real_->Reconcile(key, now);
    if (plan.ok()) change_(*plan);
    return plan;
  }

 private:
  std::unique_ptr<client::Reconciler> real_;
  void (*change_)(client::Plan& plan);
};

Plants ChangeOf(std::string_view name, void (*change)(client::Plan& plan)) {
  Plants plants;
  plants.controllers = [name, change](std::vector<controllers::Controller>& all) {
    for (controllers::Controller& controller : all) {
      if (controller.reconciler->name() == name)
        controller.reconciler = std::make_unique<Changed>(std::move(controller.reconciler), change);
    }
  };
  return plants;
}

}  // namespace

Plants GreedyController() {
  return ChangeOf("deployment", [](client::Plan& plan) {
    for (Action& action : plan.actions) {
      if (action.verb != Action::Verb::kUpdate || action.kind != &api::KindOf<ReplicaSet>())
        continue;
      auto set = std::make_shared<ReplicaSet>(static_cast<const ReplicaSet&>(*action.object));
      if (set->spec().replicas() != 3) continue;
      set->mutable_spec()->set_replicas(4);
      action.object = std::move(set);
    }
  });
}

Plants LazyController() {
  return ChangeOf("replicaset", [](client::Plan& plan) {
    const auto deletes =
        std::count_if(plan.actions.begin(), plan.actions.end(),
                      [](const Action& action) { return action.verb == Action::Verb::kDelete; });
    if (deletes == 1)
      std::erase_if(plan.actions,
                    [](const Action& action) { return action.verb == Action::Verb::kDelete; });
  });
}

Plants SkippingStore() {
  Plants plants;
  plants.store_skips_a_change = true;
  return plants;
}

Plants NoFence() {
  Plants plants;
  plants.agents_do_not_fence = true;
  return plants;
}

Plants LyingDisk() {
  Plants plants;
  plants.disk_lies = true;
  return plants;
}

}  // namespace gantry::sim
