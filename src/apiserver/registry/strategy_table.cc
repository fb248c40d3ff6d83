#include <map>
#include <string_view>
#include <utility>

#include "apiserver/registry/strategies.h"

namespace gantry::apiserver {
namespace {

constexpr std::string_view kPodFields[] = {"spec.nodeName",
                                           "spec.restartPolicy",
                                           "spec.schedulerName",
                                           "spec.serviceAccountName",
                                           "spec.hostNetwork",
                                           "status.phase",
                                           "status.podIP",
                                           "status.podIPs",
                                           "status.nominatedNodeName"};
constexpr std::string_view kEventFields[] = {"involvedObject.kind",
                                             "involvedObject.namespace",
                                             "involvedObject.name",
                                             "involvedObject.uid",
                                             "involvedObject.apiVersion",
                                             "involvedObject.resourceVersion",
                                             "involvedObject.fieldPath",
                                             "reason",
                                             "reportingComponent",
                                             "source",
                                             "type",
                                             "regarding.kind",
                                             "regarding.namespace",
                                             "regarding.name",
                                             "regarding.uid",
                                             "regarding.apiVersion",
                                             "regarding.resourceVersion",
                                             "regarding.fieldPath",
                                             "reportingController"};
constexpr std::string_view kNamespaceFields[] = {"status.phase"};
constexpr std::string_view kNodeFields[] = {"spec.unschedulable"};
constexpr std::string_view kControllerFields[] = {"status.replicas"};
constexpr std::string_view kSecretFields[] = {"type"};
constexpr std::string_view kServiceFields[] = {"spec.clusterIP", "spec.type"};
constexpr std::string_view kJobFields[] = {"status.successful"};
constexpr std::string_view kSigningRequestFields[] = {"spec.signerName"};

using Key = std::pair<std::string_view, std::string_view>;  // group, plural

std::map<Key, Strategy> MakeTable() {
  const Strategy status_only{.has_status = true};
  const Strategy generation_only{.has_generation = true};
  const Strategy workload{.has_status = true, .has_generation = true};
  Strategy deployment = workload;
  deployment.status_keeps_labels = true;
  Strategy job = workload;
  job.orphans_by_default = true;
  job.selectable_fields = kJobFields;
  job.prepare_create = PrepareJob;
  Strategy replication_controller = workload;
  replication_controller.orphans_by_default = true;
  replication_controller.selectable_fields = kControllerFields;

  return {
      {{"", "pods"},
       {.has_status = true,
        .has_generation = true,
        .returns_deleted = true,
        .graceful = true,
        .selectable_fields = kPodFields,
        .prepare_create = PreparePod,
        .prepare_update = PreparePodUpdate,
        .prepare_status = PreparePodStatus}},
      {{"", "namespaces"},
       {.has_status = true,
        .selectable_fields = kNamespaceFields,
        .prepare_create = PrepareNamespace,
        .prepare_update = PrepareNamespaceUpdate}},
      {{"", "nodes"},
       {.has_status = true, .status_on_create = true, .selectable_fields = kNodeFields}},
      {{"", "services"},
       {.has_status = true,
        .create_on_update = true,
        .returns_deleted = true,
        .selectable_fields = kServiceFields,
        .prepare_create = PrepareService,
        .prepare_update = PrepareServiceUpdate,
        .allocate = AllocateService,
        .release = ReleaseService}},
      {{"", "secrets"},
       {.selectable_fields = kSecretFields,
        .prepare_create = PrepareSecret,
        .prepare_update = PrepareSecretUpdate}},
      {{"", "serviceaccounts"}, {.returns_deleted = true}},
      {{"", "endpoints"}, {.create_on_update = true}},
      {{"", "limitranges"}, {.create_on_update = true}},
      {{"", "events"},
       {.create_on_update = true, .ttl_seconds = 3600, .selectable_fields = kEventFields}},
      {{"", "persistentvolumes"},
       {.has_status = true, .returns_deleted = true, .prepare_create = PrepareVolume}},
      {{"", "persistentvolumeclaims"},
       {.has_status = true, .returns_deleted = true, .prepare_create = PrepareClaim}},
      {{"", "podtemplates"}, {.has_generation = true, .returns_deleted = true}},
      {{"", "replicationcontrollers"}, replication_controller},
      {{"", "resourcequotas"}, {.has_status = true, .returns_deleted = true}},
      {{"apps", "deployments"}, deployment},
      {{"apps", "replicasets"}, workload},
      {{"apps", "statefulsets"}, workload},
      {{"apps", "daemonsets"}, workload},
      {{"batch", "jobs"}, job},
      {{"batch", "cronjobs"}, workload},
      {{"autoscaling", "horizontalpodautoscalers"}, status_only},
      {{"policy", "poddisruptionbudgets"}, workload},
      {{"networking.k8s.io", "ingresses"}, workload},
      {{"networking.k8s.io", "networkpolicies"}, generation_only},
      {{"networking.k8s.io", "ingressclasses"}, generation_only},
      {{"networking.k8s.io", "servicecidrs"}, status_only},
      {{"discovery.k8s.io", "endpointslices"}, generation_only},
      {{"scheduling.k8s.io", "priorityclasses"}, generation_only},
      {{"coordination.k8s.io", "leases"},
       {.create_on_update = true, .needs_revision_on_update = true}},
      {{"rbac.authorization.k8s.io", "roles"}, {.create_on_update = true}},
      {{"rbac.authorization.k8s.io", "rolebindings"}, {.create_on_update = true}},
      {{"rbac.authorization.k8s.io", "clusterroles"}, {.create_on_update = true}},
      {{"rbac.authorization.k8s.io", "clusterrolebindings"}, {.create_on_update = true}},
      {{"storage.k8s.io", "volumeattachments"}, status_only},
      {{"certificates.k8s.io", "certificatesigningrequests"},
       {.has_status = true,
        .selectable_fields = kSigningRequestFields,
        .prepare_create = PrepareSigningRequest,
        .prepare_update = PrepareSigningRequestUpdate}},
  };
}

}  // namespace

const Strategy& StrategyOf(const api::KindInfo& kind) {
  static const auto* const table = new std::map<Key, Strategy>(MakeTable());
  static const auto* const plain = new Strategy();
  auto it = table->find(Key(kind.group, kind.plural));
  return it == table->end() ? *plain : it->second;
}

}  // namespace gantry::apiserver
