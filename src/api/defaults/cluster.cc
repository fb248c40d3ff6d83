// RBAC, storage, scheduling, tokens, flow control.
#include "api/authentication/v1/review.pb.h"
#include "api/defaults/rules.h"
#include "api/flowcontrol/v1/flowcontrol.pb.h"
#include "api/rbac/v1/rbac.pb.h"
#include "api/scheduling/v1/priority_class.pb.h"
#include "api/storage/v1/csi.pb.h"
#include "api/storage/v1/storage_class.pb.h"
#include "api/storage/v1/volume_attachment.pb.h"

namespace gantry::api::defaults {
namespace {

constexpr char kRbacGroup[] = "rbac.authorization.k8s.io";

template <class Binding>
void DefaultBinding(Binding* binding) {
  if (binding->role_ref().api_group().empty())
    binding->mutable_role_ref()->set_api_group(kRbacGroup);
  for (auto& subject : *binding->mutable_subjects()) {
    bool person = subject.kind() == "User" || subject.kind() == "Group";
    if (person && subject.api_group().empty()) subject.set_api_group(kRbacGroup);
  }
}

void DefaultStorageClass(storage::v1::StorageClass* storage_class) {
  if (!storage_class->has_reclaim_policy()) storage_class->set_reclaim_policy("Delete");
  if (!storage_class->has_volume_binding_mode())
    storage_class->set_volume_binding_mode("Immediate");
}

void DefaultCsiDriver(storage::v1::CSIDriver* driver) {
  auto* spec = driver->mutable_spec();
  if (!spec->has_attach_required()) spec->set_attach_required(true);
  if (!spec->has_pod_info_on_mount()) spec->set_pod_info_on_mount(false);
  if (!spec->has_storage_capacity()) spec->set_storage_capacity(false);
  if (!spec->has_fs_group_policy()) spec->set_fs_group_policy("ReadWriteOnceWithFSType");
  if (spec->volume_lifecycle_modes().empty()) spec->add_volume_lifecycle_modes("Persistent");
  if (!spec->has_requires_republish()) spec->set_requires_republish(false);
  if (!spec->has_se_linux_mount()) spec->set_se_linux_mount(false);
}

void DefaultAttachment(storage::v1::VolumeAttachment* attachment) {
  if (!attachment->spec().source().has_inline_volume_spec()) return;
  VolumeSpec(attachment->mutable_spec()->mutable_source()->mutable_inline_volume_spec());
}

void DefaultPriorityClass(scheduling::v1::PriorityClass* priority_class) {
  if (!priority_class->has_preemption_policy())
    priority_class->set_preemption_policy("PreemptLowerPriority");
}

void DefaultTokenRequest(authentication::v1::TokenRequest* request) {
  if (!request->spec().has_expiration_seconds())
    request->mutable_spec()->set_expiration_seconds(3600);
}

void DefaultFlowSchema(flowcontrol::v1::FlowSchema* schema) {
  if (schema->spec().matching_precedence() == 0)
    schema->mutable_spec()->set_matching_precedence(1000);
}

void DefaultPriorityLevel(flowcontrol::v1::PriorityLevelConfiguration* level) {
  auto* spec = level->mutable_spec();
  if (spec->has_exempt()) {
    auto* exempt = spec->mutable_exempt();
    if (!exempt->has_nominal_concurrency_shares()) exempt->set_nominal_concurrency_shares(0);
    if (!exempt->has_lendable_percent()) exempt->set_lendable_percent(0);
  }
  if (!spec->has_limited()) return;
  auto* limited = spec->mutable_limited();
  if (!limited->has_nominal_concurrency_shares()) limited->set_nominal_concurrency_shares(30);
  if (!limited->has_lendable_percent()) limited->set_lendable_percent(0);
  if (!limited->limit_response().has_queuing()) return;
  auto* queuing = limited->mutable_limit_response()->mutable_queuing();
  if (queuing->hand_size() == 0) queuing->set_hand_size(8);
  if (queuing->queues() == 0) queuing->set_queues(64);
  if (queuing->queue_length_limit() == 0) queuing->set_queue_length_limit(50);
}

}  // namespace

std::vector<RuleRow> ClusterRules() {
  return {
      Row<authentication::v1::TokenRequest, DefaultTokenRequest>(),
      Row<flowcontrol::v1::FlowSchema, DefaultFlowSchema>(),
      Row<flowcontrol::v1::PriorityLevelConfiguration, DefaultPriorityLevel>(),
      Row<rbac::v1::ClusterRoleBinding, DefaultBinding<rbac::v1::ClusterRoleBinding>>(),
      Row<rbac::v1::RoleBinding, DefaultBinding<rbac::v1::RoleBinding>>(),
      Row<scheduling::v1::PriorityClass, DefaultPriorityClass>(),
      Row<storage::v1::CSIDriver, DefaultCsiDriver>(),
      Row<storage::v1::StorageClass, DefaultStorageClass>(),
      Row<storage::v1::VolumeAttachment, DefaultAttachment>(),
  };
}

}  // namespace gantry::api::defaults
