#include "controllers/all.h"

#include "controllers/aggregation/cluster_roles.h"
#include "controllers/cronjob/cronjob.h"
#include "controllers/daemonset/daemonset.h"
#include "controllers/deployment/deployment.h"
#include "controllers/disruption/disruption.h"
#include "controllers/endpoints/endpointslice.h"
#include "controllers/garbage/garbage_collector.h"
#include "controllers/job/job.h"
#include "controllers/namespace/namespace_controller.h"
#include "controllers/nodeipam/node_ipam.h"
#include "controllers/podgc/pod_gc.h"
#include "controllers/replicaset/replicaset.h"
#include "controllers/resourcequota/resource_quota.h"
#include "controllers/serviceaccount/service_accounts.h"
#include "controllers/statefulset/statefulset.h"
#include "controllers/volume/protection.h"

namespace gantry::controllers {

Status AddAll(const Options& options, client::ReconcilerRunner* runner) {
  GANTRY_ASSIGN(auto ipam, MakeNodeIpamController(options.cluster_cidr));
  runner->Add(std::move(ipam), 1);
  runner->Add(MakeServiceAccountController());
  runner->Add(MakeRootCaPublisher(options.ca_certificate));
  runner->Add(MakeTokenController(options.issue_token, options.ca_certificate), 2);
  runner->Add(MakeClaimProtection(), 2);
  runner->Add(MakeVolumeProtection(), 1);
  runner->Add(MakeDeploymentController());
  runner->Add(MakeReplicaSetController());
  runner->Add(MakeStatefulSetController());
  runner->Add(MakeDaemonSetController());
  runner->Add(MakeJobController());
  runner->Add(MakeCronJobController());
  runner->Add(MakeDisruptionController());
  runner->Add(MakeStaleDisruptionController(), 1);
  runner->Add(MakeEndpointSliceController());
  runner->Add(MakeEndpointsController());
  runner->Add(MakeEndpointSliceMirroringController());
  runner->Add(MakeNamespaceController());
  runner->Add(MakeResourceQuotaController(), 2);
  runner->Add(MakeClusterRoleAggregationController(), 1);
  runner->Add(MakeGarbageCollector(), 20);
  runner->Add(MakePodGarbageCollector(), 1);
  runner->Add(MakeNodeLifecycleController(options.node_lifecycle));
  runner->Add(MakeTaintEvictionController());
  runner->Add(MakeNodeApprovalController(options.read_request, options.may_request));
  runner->Add(MakeSigningController(options.sign, options.read_request));
  runner->Add(MakeRequestCleaner());
  return Status::Ok();
}

}  // namespace gantry::controllers
