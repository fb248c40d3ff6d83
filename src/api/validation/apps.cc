#include <charconv>

#include "api/apps/v1/controller_revision.pb.h"
#include "api/apps/v1/daemon_set.pb.h"
#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/apps/v1/stateful_set.pb.h"
#include "api/core/v1/replication_controller.pb.h"
#include "api/selector.h"
#include "api/validation/meta.h"
#include "api/validation/pod.h"
#include "api/validation/rules.h"

namespace gantry::api::validation {
namespace {

using apps::v1::ControllerRevision;
using apps::v1::DaemonSet;
using apps::v1::Deployment;
using apps::v1::ReplicaSet;
using apps::v1::StatefulSet;
using core::v1::ReplicationController;

constexpr char kMismatch[] = "`selector` does not match template `labels`";
constexpr char kAboveReplicas[] = "cannot be greater than status.replicas";
constexpr char kAboveReady[] = "cannot be greater than readyReplicas";
constexpr char kDecremented[] = "cannot be decremented";

// The selector is there, it is valid and not empty, and the template has its labels.
template <class Spec>
void CheckSelector(const Path& path, const Spec& spec, std::string_view empty, Errors* errors) {
  Path selector = path.Child("selector");
  if (!spec.has_selector()) {
    errors->Required(selector);
    errors->Invalid(path.Child("template.metadata.labels"), spec.template_().metadata().labels(),
                    kMismatch);
    return;
  }
  CheckLabelSelector(selector, spec.selector(), errors);
  if (IsEmpty(spec.selector())) {
    errors->Invalid(selector, spec.selector(), empty);
    return;
  }
  Result<Selector> parsed = Selector::From(spec.selector());
  if (!parsed.ok()) {
    errors->Invalid(selector, spec.selector(), "invalid label selector");
  } else if (!parsed->Matches(spec.template_().metadata().labels())) {
    errors->Invalid(path.Child("template.metadata.labels"), spec.template_().metadata().labels(),
                    kMismatch);
  }
}

template <class T>
void CheckSelectorUnchanged(const T& object, const T& old, Errors* errors) {
  if (!SemanticEqual(object.spec().selector(), old.spec().selector())) {
    errors->Invalid(Path("spec.selector"), object.spec().selector(), kImmutable);
  }
}

void CheckStrategy(const Path& path, const apps::v1::DeploymentStrategy& strategy, Errors* errors) {
  Path rolling_path = path.Child("rollingUpdate");
  if (strategy.type() == "Recreate") {
    if (strategy.has_rolling_update()) {
      errors->Forbidden(rolling_path, "may not be specified when strategy `type` is 'Recreate'");
    }
    return;
  }
  if (strategy.type() != "RollingUpdate") {
    errors->NotSupported(path, strategy, {"Recreate", "RollingUpdate"});
    return;
  }
  if (!strategy.has_rolling_update()) {
    errors->Required(rolling_path, "this should be defaulted and never be nil");
    return;
  }
  const auto& rolling = strategy.rolling_update();
  CheckIntOrPercent(rolling_path.Child("maxUnavailable"), rolling.max_unavailable(), errors);
  CheckIntOrPercent(rolling_path.Child("maxSurge"), rolling.max_surge(), errors);
  if (NumberOf(rolling.max_unavailable()) == 0 && NumberOf(rolling.max_surge()) == 0) {
    errors->Invalid(rolling_path.Child("maxUnavailable"), rolling.max_unavailable(),
                    "may not be 0 when `maxSurge` is 0");
  }
  CheckAtMostAll(rolling_path.Child("maxUnavailable"), rolling.max_unavailable(), errors);
}

void CheckDeploymentSpec(const apps::v1::DeploymentSpec& spec, Errors* errors) {
  Path path("spec");
  CheckNonnegative(path.Child("replicas"), spec.replicas(), errors);
  CheckSelector(path, spec, "empty selector is invalid for deployment", errors);
  CheckWorkloadTemplate(path.Child("template"), spec.template_(), "ReplicaSet", errors);
  CheckStrategy(path.Child("strategy"), spec.strategy(), errors);
  CheckNonnegative(path.Child("minReadySeconds"), spec.min_ready_seconds(), errors);
  CheckNonnegative(path.Child("revisionHistoryLimit"), spec.revision_history_limit(), errors);
  if (!spec.has_progress_deadline_seconds()) return;
  Path deadline = path.Child("progressDeadlineSeconds");
  CheckNonnegative(deadline, spec.progress_deadline_seconds(), errors);
  if (spec.progress_deadline_seconds() <= spec.min_ready_seconds()) {
    errors->Invalid(deadline, spec.progress_deadline_seconds(),
                    "must be greater than minReadySeconds");
  }
}

void CreateDeployment(const Deployment& deployment, Errors* errors) {
  CheckMeta(deployment.metadata(), true, NameIsDns1123Subdomain, errors);
  CheckDeploymentSpec(deployment.spec(), errors);
}

void UpdateDeployment(const Deployment& deployment, const Deployment& old, Errors* errors) {
  CheckMetaUpdate(deployment.metadata(), old.metadata(), errors);
  CheckDeploymentSpec(deployment.spec(), errors);
  CheckSelectorUnchanged(deployment, old, errors);
}

struct Count {
  std::string_view name;
  int64_t value;
};

void CheckCounts(const Path& path, std::initializer_list<Count> counts, Errors* errors) {
  for (const Count& count : counts)
    CheckNonnegative(path.Child(count.name), count.value, errors);
}
void CheckAtMost(const Path& path, std::initializer_list<Count> counts, int64_t most,
                 std::string_view complaint, Errors* errors) {
  for (const Count& count : counts) {
    if (count.value > most) errors->Invalid(path.Child(count.name), count.value, complaint);
  }
}

template <class Status>
void CheckCollisions(const Path& path, const Status& status, const Status& old, Errors* errors) {
  bool decremented =
      old.has_collision_count() &&
      (!status.has_collision_count() || status.collision_count() < old.collision_count());
  if (decremented)
    errors->Invalid(path.Child("collisionCount"), status.collision_count(), kDecremented);
}

void UpdateDeploymentStatus(const Deployment& deployment, const Deployment& old, Errors* errors) {
  CheckMetaUpdate(deployment.metadata(), old.metadata(), errors);
  const auto& status = deployment.status();
  Path path("status");
  CheckCounts(path,
              {{"observedGeneration", status.observed_generation()},
               {"replicas", status.replicas()},
               {"updatedReplicas", status.updated_replicas()},
               {"readyReplicas", status.ready_replicas()},
               {"availableReplicas", status.available_replicas()},
               {"unavailableReplicas", status.unavailable_replicas()},
               {"collisionCount", status.collision_count()}},
              errors);
  CheckAtMost(path,
              {{"updatedReplicas", status.updated_replicas()},
               {"readyReplicas", status.ready_replicas()},
               {"availableReplicas", status.available_replicas()}},
              status.replicas(), kAboveReplicas, errors);
  CheckAtMost(path, {{"availableReplicas", status.available_replicas()}}, status.ready_replicas(),
              kAboveReady, errors);
  CheckCollisions(path, status, old.status(), errors);
}

void CheckReplicaSetSpec(const apps::v1::ReplicaSetSpec& spec, Errors* errors) {
  Path path("spec");
  CheckNonnegative(path.Child("replicas"), spec.replicas(), errors);
  CheckNonnegative(path.Child("minReadySeconds"), spec.min_ready_seconds(), errors);
  CheckSelector(path, spec, "empty selector is invalid for deployment", errors);
  CheckWorkloadTemplate(path.Child("template"), spec.template_(), "ReplicaSet", errors);
}

void CreateReplicaSet(const ReplicaSet& set, Errors* errors) {
  CheckMeta(set.metadata(), true, NameIsDns1123Subdomain, errors);
  CheckReplicaSetSpec(set.spec(), errors);
}

void UpdateReplicaSet(const ReplicaSet& set, const ReplicaSet& old, Errors* errors) {
  CheckMetaUpdate(set.metadata(), old.metadata(), errors);
  CheckReplicaSetSpec(set.spec(), errors);
  CheckSelectorUnchanged(set, old, errors);
}

// Replica sets and replication controllers report the same.
template <class T>
void UpdateReplicaStatus(const T& object, const T& old, Errors* errors) {
  CheckMetaUpdate(object.metadata(), old.metadata(), errors);
  const auto& status = object.status();
  Path path("status");
  CheckCounts(path,
              {{"replicas", status.replicas()},
               {"fullyLabeledReplicas", status.fully_labeled_replicas()},
               {"readyReplicas", status.ready_replicas()},
               {"availableReplicas", status.available_replicas()},
               {"observedGeneration", status.observed_generation()}},
              errors);
  CheckAtMost(path,
              {{"fullyLabeledReplicas", status.fully_labeled_replicas()},
               {"readyReplicas", status.ready_replicas()},
               {"availableReplicas", status.available_replicas()}},
              status.replicas(), kAboveReplicas, errors);
  CheckAtMost(path, {{"availableReplicas", status.available_replicas()}}, status.ready_replicas(),
              kAboveReady, errors);
}

void CheckDaemonStrategy(const Path& path, const apps::v1::DaemonSetUpdateStrategy& strategy,
                         Errors* errors) {
  if (strategy.type() == "OnDelete") return;
  if (strategy.type() != "RollingUpdate") {
    errors->NotSupported(path, strategy, {"RollingUpdate", "OnDelete"});
    return;
  }
  Path rolling_path = path.Child("rollingUpdate");
  if (!strategy.has_rolling_update()) {
    errors->Required(rolling_path);
    return;
  }
  const auto& rolling = strategy.rolling_update();
  Path unavailable = rolling_path.Child("maxUnavailable");
  Path surge = rolling_path.Child("maxSurge");
  CheckIntOrPercent(unavailable, rolling.max_unavailable(), errors);
  CheckIntOrPercent(surge, rolling.max_surge(), errors);
  CheckAtMostAll(unavailable, rolling.max_unavailable(), errors);
  CheckAtMostAll(surge, rolling.max_surge(), errors);
  bool has_unavailable = NumberOf(rolling.max_unavailable()) != 0;
  bool has_surge = NumberOf(rolling.max_surge()) != 0;
  if (has_unavailable && has_surge) {
    errors->Invalid(surge, rolling.max_surge(), "may not be set when maxUnavailable is non-zero");
  } else if (!has_unavailable && !has_surge) {
    errors->Required(unavailable, "cannot be 0 when maxSurge is 0");
  }
}

void CheckDaemonSetSpec(const apps::v1::DaemonSetSpec& spec, Errors* errors) {
  Path path("spec");
  CheckSelector(path, spec, "empty selector is invalid for daemonset", errors);
  CheckWorkloadTemplate(path.Child("template"), spec.template_(), "DaemonSet", errors);
  CheckNonnegative(path.Child("minReadySeconds"), spec.min_ready_seconds(), errors);
  CheckDaemonStrategy(path.Child("updateStrategy"), spec.update_strategy(), errors);
  CheckNonnegative(path.Child("revisionHistoryLimit"), spec.revision_history_limit(), errors);
}

void CreateDaemonSet(const DaemonSet& set, Errors* errors) {
  CheckMeta(set.metadata(), true, NameIsDns1123Subdomain, errors);
  CheckDaemonSetSpec(set.spec(), errors);
}

void UpdateDaemonSet(const DaemonSet& set, const DaemonSet& old, Errors* errors) {
  CheckMetaUpdate(set.metadata(), old.metadata(), errors);
  CheckDaemonSetSpec(set.spec(), errors);
  CheckSelectorUnchanged(set, old, errors);
}

void UpdateDaemonSetStatus(const DaemonSet& set, const DaemonSet& old, Errors* errors) {
  CheckMetaUpdate(set.metadata(), old.metadata(), errors);
  const auto& status = set.status();
  Path path("status");
  CheckCounts(path,
              {{"currentNumberScheduled", status.current_number_scheduled()},
               {"numberMisscheduled", status.number_misscheduled()},
               {"desiredNumberScheduled", status.desired_number_scheduled()},
               {"numberReady", status.number_ready()},
               {"observedGeneration", status.observed_generation()},
               {"updatedNumberScheduled", status.updated_number_scheduled()},
               {"numberAvailable", status.number_available()},
               {"numberUnavailable", status.number_unavailable()},
               {"collisionCount", status.collision_count()}},
              errors);
  CheckCollisions(path, status, old.status(), errors);
}

void CheckStatefulStrategy(const Path& path, const apps::v1::StatefulSetUpdateStrategy& strategy,
                           Errors* errors) {
  Path rolling_path = path.Child("rollingUpdate");
  if (strategy.type().empty()) {
    errors->Required(path);
  } else if (strategy.type() == "OnDelete") {
    if (strategy.has_rolling_update()) {
      errors->Invalid(rolling_path, strategy.rolling_update(),
                      "only allowed for updateStrategy 'RollingUpdate'");
    }
  } else if (strategy.type() != "RollingUpdate") {
    errors->Invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'");
  } else if (strategy.has_rolling_update()) {
    CheckNonnegative(rolling_path.Child("partition"), strategy.rolling_update().partition(),
                     errors);
    if (!strategy.rolling_update().has_max_unavailable()) return;
    const auto& unavailable = strategy.rolling_update().max_unavailable();
    Path unavailable_path = rolling_path.Child("maxUnavailable");
    CheckIntOrPercent(unavailable_path, unavailable, errors);
    if (NumberOf(unavailable) == 0) errors->Invalid(unavailable_path, unavailable, "cannot be 0");
    CheckAtMostAll(unavailable_path, unavailable, errors);
  }
}

void CheckStatefulSetSpec(const apps::v1::StatefulSetSpec& spec, Errors* errors) {
  Path path("spec");
  if (spec.pod_management_policy().empty()) {
    errors->Required(path.Child("podManagementPolicy"));
  } else if (!IsOneOf(spec.pod_management_policy(), {"OrderedReady", "Parallel"})) {
    errors->Invalid(path.Child("podManagementPolicy"), spec.pod_management_policy(),
                    "must be 'OrderedReady' or 'Parallel'");
  }
  CheckStatefulStrategy(path.Child("updateStrategy"), spec.update_strategy(), errors);
  if (spec.has_persistent_volume_claim_retention_policy()) {
    const auto& policy = spec.persistent_volume_claim_retention_policy();
    Path retention = path.Child("persistentVolumeClaimRetentionPolicy");
    if (!IsOneOf(policy.when_deleted(), {"Delete", "Retain"})) {
      errors->NotSupported(retention.Child("whenDeleted"), policy.when_deleted(),
                           {"Delete", "Retain"});
    }
    if (!IsOneOf(policy.when_scaled(), {"Delete", "Retain"})) {
      errors->NotSupported(retention.Child("whenScaled"), policy.when_scaled(),
                           {"Delete", "Retain"});
    }
  }
  CheckNonnegative(path.Child("replicas"), spec.replicas(), errors);
  CheckNonnegative(path.Child("minReadySeconds"), spec.min_ready_seconds(), errors);
  CheckNonnegative(path.Child("ordinals.start"), spec.ordinals().start(), errors);
  CheckSelector(path, spec, "empty selector is invalid for statefulset", errors);
  // The volumes of the template are complete only with those of the claims, so the pods are checked
  // when they are made.
  Path pod_template = path.Child("template");
  CheckLabels(pod_template.Child("labels"), spec.template_().metadata().labels(), errors);
  CheckAnnotations(pod_template.Child("annotations"), spec.template_().metadata().annotations(),
                   errors);
  if (spec.template_().spec().restart_policy() != "Always") {
    errors->NotSupported(pod_template.Child("spec.restartPolicy"),
                         spec.template_().spec().restart_policy(), {"Always"});
  }
  if (spec.template_().spec().has_active_deadline_seconds()) {
    errors->Forbidden(pod_template.Child("spec.activeDeadlineSeconds"),
                      "activeDeadlineSeconds in StatefulSet is not Supported");
  }
}

void CreateStatefulSet(const StatefulSet& set, Errors* errors) {
  CheckMeta(set.metadata(), true, NameIsDns1123Label, errors);
  CheckStatefulSetSpec(set.spec(), errors);
}

void UpdateStatefulSet(const StatefulSet& set, const StatefulSet& old, Errors* errors) {
  CheckMetaUpdate(set.metadata(), old.metadata(), errors);
  CheckStatefulSetSpec(set.spec(), errors);
  apps::v1::StatefulSetSpec rest = set.spec();
  const apps::v1::StatefulSetSpec& before = old.spec();
  rest.set_replicas(before.replicas());
  *rest.mutable_template_() = before.template_();
  *rest.mutable_update_strategy() = before.update_strategy();
  rest.set_min_ready_seconds(before.min_ready_seconds());
  rest.clear_ordinals();
  if (before.has_ordinals()) *rest.mutable_ordinals() = before.ordinals();
  rest.set_revision_history_limit(before.revision_history_limit());
  rest.clear_persistent_volume_claim_retention_policy();
  if (before.has_persistent_volume_claim_retention_policy()) {
    *rest.mutable_persistent_volume_claim_retention_policy() =
        before.persistent_volume_claim_retention_policy();
  }
  if (!SemanticEqual(rest, before)) {
    errors->Forbidden(
        Path("spec"),
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
        "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
        "'minReadySeconds' are forbidden");
  }
}

void UpdateStatefulSetStatus(const StatefulSet& set, const StatefulSet& old, Errors* errors) {
  const auto& status = set.status();
  Path path("status");
  CheckCounts(path,
              {{"replicas", status.replicas()},
               {"readyReplicas", status.ready_replicas()},
               {"currentReplicas", status.current_replicas()},
               {"updatedReplicas", status.updated_replicas()},
               {"availableReplicas", status.available_replicas()},
               {"observedGeneration", status.observed_generation()},
               {"collisionCount", status.collision_count()}},
              errors);
  CheckAtMost(path,
              {{"readyReplicas", status.ready_replicas()},
               {"currentReplicas", status.current_replicas()},
               {"updatedReplicas", status.updated_replicas()},
               {"availableReplicas", status.available_replicas()}},
              status.replicas(), kAboveReplicas, errors);
  CheckAtMost(path, {{"availableReplicas", status.available_replicas()}}, status.ready_replicas(),
              "cannot be greater than status.readyReplicas", errors);
  CheckMetaUpdate(set.metadata(), old.metadata(), errors);
  CheckCollisions(path, status, old.status(), errors);
}

void CreateRevision(const ControllerRevision& revision, Errors* errors) {
  CheckMeta(revision.metadata(), true, NameIsDns1123Subdomain, errors);
  if (!revision.has_data()) errors->Required(Path("data"), "data is mandatory");
  CheckNonnegative(Path("revision"), revision.revision(), errors);
}

void UpdateRevision(const ControllerRevision& revision, const ControllerRevision& old,
                    Errors* errors) {
  CheckMetaUpdate(revision.metadata(), old.metadata(), errors);
  CreateRevision(revision, errors);
  if (!SemanticEqual(revision.data(), old.data()))
    errors->Invalid(Path("data"), revision.data(), kImmutable);
}

void CheckControllerSpec(const core::v1::ReplicationControllerSpec& spec, Errors* errors) {
  Path path("spec");
  CheckNonnegative(path.Child("minReadySeconds"), spec.min_ready_seconds(), errors);
  if (spec.selector().empty()) errors->Required(path.Child("selector"));
  CheckNonnegative(path.Child("replicas"), spec.replicas(), errors);
  Path pod_template = path.Child("template");
  if (!spec.has_template_()) {
    errors->Required(pod_template);
    return;
  }
  if (!Matches(spec.selector(), spec.template_().metadata().labels())) {
    errors->Invalid(pod_template.Child("metadata.labels"), spec.template_().metadata().labels(),
                    kMismatch);
  }
  CheckWorkloadTemplate(pod_template, spec.template_(), "ReplicationController", errors);
}

void CreateController(const ReplicationController& controller, Errors* errors) {
  CheckMeta(controller.metadata(), true, NameIsDns1123Subdomain, errors);
  CheckControllerSpec(controller.spec(), errors);
}

void UpdateController(const ReplicationController& controller, const ReplicationController& old,
                      Errors* errors) {
  CheckMetaUpdate(controller.metadata(), old.metadata(), errors);
  CheckControllerSpec(controller.spec(), errors);
}

}  // namespace

void CheckIntOrPercent(const Path& path, const intstr::IntOrString& value, Errors* errors) {
  if (value.type() == 0) {
    CheckNonnegative(path, value.int_val(), errors);
    return;
  }
  for (const std::string& complaint : IsPercent(value.str_val()))
    errors->Invalid(path, value, complaint);
}

int64_t NumberOf(const intstr::IntOrString& value) {
  if (value.type() == 0) return value.int_val();
  int64_t number = 0;
  const std::string& text = value.str_val();
  if (IsPercent(text).empty()) std::from_chars(text.data(), text.data() + text.size() - 1, number);
  return number;
}

void CheckAtMostAll(const Path& path, const intstr::IntOrString& value, Errors* errors) {
  if (value.type() == 1 && NumberOf(value) > 100)
    errors->Invalid(path, value, "must not be greater than 100%");
}

std::vector<RuleRow> AppsRules() {
  return {
      Row<ControllerRevision, CreateRevision, UpdateRevision>(),
      Row<DaemonSet, CreateDaemonSet, UpdateDaemonSet, UpdateDaemonSetStatus>(),
      Row<Deployment, CreateDeployment, UpdateDeployment, UpdateDeploymentStatus>(),
      Row<ReplicaSet, CreateReplicaSet, UpdateReplicaSet, UpdateReplicaStatus<ReplicaSet>>(),
      Row<ReplicationController, CreateController, UpdateController,
          UpdateReplicaStatus<ReplicationController>>(),
      Row<StatefulSet, CreateStatefulSet, UpdateStatefulSet, UpdateStatefulSetStatus>(),
  };
}

}  // namespace gantry::api::validation
