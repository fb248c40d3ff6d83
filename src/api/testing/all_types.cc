#include "api/testing/all_types.h"

#include "api/admission/v1/admission.pb.h"
#include "api/admissionregistration/v1/admissionregistration.pb.h"
#include "api/apidiscovery/v2/apidiscovery.pb.h"
#include "api/apiextensions/v1/apiextensions.pb.h"
#include "api/apiregistration/v1/apiregistration.pb.h"
#include "api/apps/v1/controller_revision.pb.h"
#include "api/apps/v1/daemon_set.pb.h"
#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/apps/v1/stateful_set.pb.h"
#include "api/authentication/v1/review.pb.h"
#include "api/authorization/v1/review.pb.h"
#include "api/autoscaling/v1/horizontal_pod_autoscaler.pb.h"
#include "api/autoscaling/v1/scale.pb.h"
#include "api/autoscaling/v2/horizontal_pod_autoscaler.pb.h"
#include "api/batch/v1/cron_job.pb.h"
#include "api/batch/v1/job.pb.h"
#include "api/certificates/v1/signing_request.pb.h"
#include "api/coordination/v1/lease.pb.h"
#include "api/core/v1/affinity.pb.h"
#include "api/core/v1/binding.pb.h"
#include "api/core/v1/component_status.pb.h"
#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/container.pb.h"
#include "api/core/v1/container_status.pb.h"
#include "api/core/v1/endpoints.pb.h"
#include "api/core/v1/event.pb.h"
#include "api/core/v1/limit_range.pb.h"
#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/node_status.pb.h"
#include "api/core/v1/persistent_volume.pb.h"
#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/pod_options.pb.h"
#include "api/core/v1/pod_status.pb.h"
#include "api/core/v1/pod_template.pb.h"
#include "api/core/v1/probe.pb.h"
#include "api/core/v1/reference.pb.h"
#include "api/core/v1/replication_controller.pb.h"
#include "api/core/v1/resource_quota.pb.h"
#include "api/core/v1/resources.pb.h"
#include "api/core/v1/secret.pb.h"
#include "api/core/v1/security.pb.h"
#include "api/core/v1/selector.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/core/v1/service_account.pb.h"
#include "api/core/v1/source.pb.h"
#include "api/core/v1/volume.pb.h"
#include "api/core/v1/volume_plugins.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/events/v1/event.pb.h"
#include "api/flowcontrol/v1/flowcontrol.pb.h"
#include "api/intstr/int_or_string.pb.h"
#include "api/meta/v1/condition.pb.h"
#include "api/meta/v1/discovery.pb.h"
#include "api/meta/v1/names.pb.h"
#include "api/meta/v1/object.pb.h"
#include "api/meta/v1/object_meta.pb.h"
#include "api/meta/v1/options.pb.h"
#include "api/meta/v1/selector.pb.h"
#include "api/meta/v1/status.pb.h"
#include "api/meta/v1/table.pb.h"
#include "api/meta/v1/time.pb.h"
#include "api/metrics/v1beta1/metrics.pb.h"
#include "api/networking/v1/ingress.pb.h"
#include "api/networking/v1/ip_address.pb.h"
#include "api/networking/v1/network_policy.pb.h"
#include "api/node/v1/runtime_class.pb.h"
#include "api/policy/v1/disruption_budget.pb.h"
#include "api/rbac/v1/rbac.pb.h"
#include "api/resource/quantity.pb.h"
#include "api/runtime/raw.pb.h"
#include "api/scheduling/v1/priority_class.pb.h"
#include "api/storage/v1/csi.pb.h"
#include "api/storage/v1/storage_class.pb.h"
#include "api/storage/v1/volume_attachment.pb.h"
#include "api/version/info.pb.h"

namespace gantry::api::testing {

std::vector<const google::protobuf::Descriptor*> AllTypes() {
  // Naming one type of each file makes the linker keep the file.
  const google::protobuf::FileDescriptor* const files[] = {
      admission::v1::AdmissionRequest::descriptor()->file(),
      admissionregistration::v1::ApplyConfiguration::descriptor()->file(),
      apidiscovery::v2::APIGroupDiscovery::descriptor()->file(),
      apiextensions::v1::ConversionRequest::descriptor()->file(),
      apiregistration::v1::APIService::descriptor()->file(),
      apps::v1::ControllerRevision::descriptor()->file(),
      apps::v1::DaemonSet::descriptor()->file(),
      apps::v1::Deployment::descriptor()->file(),
      apps::v1::ReplicaSet::descriptor()->file(),
      apps::v1::RollingUpdateStatefulSetStrategy::descriptor()->file(),
      authentication::v1::BoundObjectReference::descriptor()->file(),
      authorization::v1::ExtraValue::descriptor()->file(),
      autoscaling::v1::ContainerResourceMetricSource::descriptor()->file(),
      autoscaling::v1::Scale::descriptor()->file(),
      autoscaling::v2::ContainerResourceMetricSource::descriptor()->file(),
      batch::v1::CronJob::descriptor()->file(),
      batch::v1::Job::descriptor()->file(),
      certificates::v1::CertificateSigningRequest::descriptor()->file(),
      coordination::v1::Lease::descriptor()->file(),
      core::v1::Affinity::descriptor()->file(),
      core::v1::Binding::descriptor()->file(),
      core::v1::ComponentStatus::descriptor()->file(),
      core::v1::ConfigMap::descriptor()->file(),
      core::v1::Container::descriptor()->file(),
      core::v1::ContainerState::descriptor()->file(),
      core::v1::Endpoints::descriptor()->file(),
      core::v1::Event::descriptor()->file(),
      core::v1::LimitRange::descriptor()->file(),
      core::v1::Namespace::descriptor()->file(),
      core::v1::Node::descriptor()->file(),
      core::v1::NodeStatus::descriptor()->file(),
      core::v1::PersistentVolume::descriptor()->file(),
      core::v1::PersistentVolumeClaim::descriptor()->file(),
      core::v1::Pod::descriptor()->file(),
      core::v1::PodAttachOptions::descriptor()->file(),
      core::v1::PodStatus::descriptor()->file(),
      core::v1::PodTemplate::descriptor()->file(),
      core::v1::ExecAction::descriptor()->file(),
      core::v1::LocalObjectReference::descriptor()->file(),
      core::v1::ReplicationController::descriptor()->file(),
      core::v1::ResourceQuota::descriptor()->file(),
      core::v1::ResourceRequirements::descriptor()->file(),
      core::v1::Secret::descriptor()->file(),
      core::v1::SecurityContext::descriptor()->file(),
      core::v1::NodeSelector::descriptor()->file(),
      core::v1::Service::descriptor()->file(),
      core::v1::ServiceAccount::descriptor()->file(),
      core::v1::ObjectFieldSelector::descriptor()->file(),
      core::v1::Volume::descriptor()->file(),
      core::v1::AWSElasticBlockStoreVolumeSource::descriptor()->file(),
      discovery::v1::Endpoint::descriptor()->file(),
      events::v1::Event::descriptor()->file(),
      flowcontrol::v1::ExemptPriorityLevelConfiguration::descriptor()->file(),
      intstr::IntOrString::descriptor()->file(),
      meta::v1::Condition::descriptor()->file(),
      meta::v1::APIGroup::descriptor()->file(),
      meta::v1::TypeMeta::descriptor()->file(),
      meta::v1::List::descriptor()->file(),
      meta::v1::ObjectMeta::descriptor()->file(),
      meta::v1::ApplyOptions::descriptor()->file(),
      meta::v1::LabelSelector::descriptor()->file(),
      meta::v1::Status::descriptor()->file(),
      meta::v1::Table::descriptor()->file(),
      meta::v1::Time::descriptor()->file(),
      metrics::v1beta1::ContainerMetrics::descriptor()->file(),
      networking::v1::HTTPIngressPath::descriptor()->file(),
      networking::v1::IPAddress::descriptor()->file(),
      networking::v1::IPBlock::descriptor()->file(),
      api::node::v1::Overhead::descriptor()->file(),
      policy::v1::Eviction::descriptor()->file(),
      rbac::v1::AggregationRule::descriptor()->file(),
      resource::Quantity::descriptor()->file(),
      runtime::RawExtension::descriptor()->file(),
      scheduling::v1::PriorityClass::descriptor()->file(),
      storage::v1::CSIDriver::descriptor()->file(),
      storage::v1::StorageClass::descriptor()->file(),
      storage::v1::VolumeAttachment::descriptor()->file(),
      version::Info::descriptor()->file(),
  };
  std::vector<const google::protobuf::Descriptor*> all;
  for (const auto* file : files)
    for (int i = 0; i < file->message_type_count(); ++i)
      all.push_back(file->message_type(i));
  return all;
}

}  // namespace gantry::api::testing
