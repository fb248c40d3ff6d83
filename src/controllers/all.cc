#include "controllers/all.h"

#include <utility>

#include "controllers/aggregation/cluster_roles.h"
#include "controllers/cronjob/cronjob.h"
#include "controllers/daemonset/daemonset.h"
#include "controllers/deployment/deployment.h"
#include "controllers/disruption/disruption.h"
#include "controllers/endpoints/endpointslice.h"
#include "controllers/garbage/garbage_collector.h"
#include "controllers/job/job.h"
#include "controllers/namespace/namespace_controller.h"
#include "controllers/podgc/pod_gc.h"
#include "controllers/replicaset/replicaset.h"
#include "controllers/resourcequota/resource_quota.h"
#include "controllers/serviceaccount/service_accounts.h"
#include "controllers/servicecidrs/service_cidrs.h"
#include "controllers/servicelb/service_lb.h"
#include "controllers/statefulset/statefulset.h"
#include "controllers/token/token_cleaner.h"
#include "controllers/volume/protection.h"

namespace gantry::controllers {

Result<std::vector<Controller>> MakeAll(const Options& options) {
  std::vector<Controller> all;
  auto add = [&all](std::unique_ptr<client::Reconciler> reconciler, int workers = 8) {
    all.push_back(Controller{std::move(reconciler), workers});
  };
  GANTRY_ASSIGN(auto ipam, MakeNodeIpamController(options.node_ipam));
  add(std::move(ipam), 1);
  add(MakeServiceAccountController());
  add(MakeRootCaPublisher(options.ca_certificate));
  add(MakeTokenController(options.issue_token, options.ca_certificate), 2);
  add(MakeClaimProtection(), 2);
  add(MakeVolumeProtection(), 1);
  add(MakeDeploymentController());
  add(MakeReplicaSetController());
  add(MakeStatefulSetController());
  add(MakeDaemonSetController());
  add(MakeJobController());
  add(MakeCronJobController());
  add(MakeDisruptionController());
  add(MakeStaleDisruptionController(), 1);
  add(MakeEndpointSliceController());
  add(MakeEndpointsController());
  add(MakeEndpointSliceMirroringController());
  add(MakeServiceCidrController(), 1);
  add(MakeServiceLbController(options.balance_without_class), 2);
  add(MakeNamespaceController());
  add(MakeResourceQuotaController(), 2);
  add(MakeClusterRoleAggregationController(), 1);
  add(MakeGarbageCollector(), 20);
  add(MakePodGarbageCollector(), 1);
  add(MakeNodeLifecycleController(options.node_lifecycle));
  add(MakeTaintEvictionController());
  add(MakeNodeApprovalController(options.read_request, options.may_request));
  add(MakeSigningController(options.sign, options.read_request, options.certificate_lifetime));
  add(MakeTokenCleaner(), 1);
  add(MakeRequestCleaner());
  return all;
}

Status AddAll(const Options& options, client::ReconcilerRunner* runner) {
  GANTRY_ASSIGN(std::vector<Controller> all, MakeAll(options));
  for (Controller& controller : all)
    runner->Add(std::move(controller.reconciler), controller.workers);
  return Status::Ok();
}

}  // namespace gantry::controllers
