#include "api/apps/v1/daemon_set.pb.h"
#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/apps/v1/stateful_set.pb.h"
#include "api/defaults/rules.h"

namespace gantry::api::defaults {
namespace {

constexpr int32_t kRevisionHistory = 10;

void DefaultDeployment(apps::v1::Deployment* deployment) {
  auto* spec = deployment->mutable_spec();
  if (!spec->has_replicas()) spec->set_replicas(1);
  auto* strategy = spec->mutable_strategy();
  if (strategy->type().empty()) strategy->set_type("RollingUpdate");
  if (strategy->type() == "RollingUpdate") {
    auto* rolling = strategy->mutable_rolling_update();
    if (!rolling->has_max_unavailable()) SetString("25%", rolling->mutable_max_unavailable());
    if (!rolling->has_max_surge()) SetString("25%", rolling->mutable_max_surge());
  }
  if (!spec->has_revision_history_limit()) spec->set_revision_history_limit(kRevisionHistory);
  if (!spec->has_progress_deadline_seconds()) spec->set_progress_deadline_seconds(600);
  Template(spec->mutable_template_());
}

void DefaultDaemonSet(apps::v1::DaemonSet* set) {
  auto* spec = set->mutable_spec();
  auto* strategy = spec->mutable_update_strategy();
  if (strategy->type().empty()) strategy->set_type("RollingUpdate");
  if (strategy->type() == "RollingUpdate") {
    auto* rolling = strategy->mutable_rolling_update();
    if (!rolling->has_max_unavailable()) SetInt(1, rolling->mutable_max_unavailable());
    if (!rolling->has_max_surge()) SetInt(0, rolling->mutable_max_surge());
  }
  if (!spec->has_revision_history_limit()) spec->set_revision_history_limit(kRevisionHistory);
  Template(spec->mutable_template_());
}

void DefaultStatefulSet(apps::v1::StatefulSet* set) {
  auto* spec = set->mutable_spec();
  if (spec->pod_management_policy().empty()) spec->set_pod_management_policy("OrderedReady");
  auto* strategy = spec->mutable_update_strategy();
  if (strategy->type().empty()) {
    strategy->set_type("RollingUpdate");
    strategy->mutable_rolling_update();
  }
  if (strategy->type() == "RollingUpdate" && strategy->has_rolling_update() &&
      !strategy->rolling_update().has_partition()) {
    strategy->mutable_rolling_update()->set_partition(0);
  }
  auto* retention = spec->mutable_persistent_volume_claim_retention_policy();
  if (retention->when_deleted().empty()) retention->set_when_deleted("Retain");
  if (retention->when_scaled().empty()) retention->set_when_scaled("Retain");
  if (!spec->has_replicas()) spec->set_replicas(1);
  if (!spec->has_revision_history_limit()) spec->set_revision_history_limit(kRevisionHistory);
  for (auto& claim : *spec->mutable_volume_claim_templates())
    Claim(&claim);
  Template(spec->mutable_template_());
}

void DefaultReplicaSet(apps::v1::ReplicaSet* set) {
  auto* spec = set->mutable_spec();
  if (!spec->has_replicas()) spec->set_replicas(1);
  Template(spec->mutable_template_());
}

}  // namespace

std::vector<RuleRow> AppsRules() {
  return {
      Row<apps::v1::DaemonSet, DefaultDaemonSet>(),
      Row<apps::v1::Deployment, DefaultDeployment>(),
      Row<apps::v1::ReplicaSet, DefaultReplicaSet>(),
      Row<apps::v1::StatefulSet, DefaultStatefulSet>(),
  };
}

}  // namespace gantry::api::defaults
