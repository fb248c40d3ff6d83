#include "apiserver/bootstrap/default_roles.h"

namespace gantry::apiserver {
namespace {

constexpr ControllerRole kRoles[] = {
    {"attachdetach-controller",
     "list,watch; -; persistentvolumeclaims,persistentvolumes\n"
     "get,list,watch; -; nodes\n"
     "patch,update; -; nodes/status\n"
     "list,watch; -; pods\n"
     "create,delete,get,list,watch; storage.k8s.io; volumeattachments\n"
     "get,list,watch; storage.k8s.io; csidrivers\n"
     "get,list,watch; storage.k8s.io; csinodes"},
    {"certificate-controller",
     "delete,get,list,watch; certificates.k8s.io; certificatesigningrequests\n"
     "update; certificates.k8s.io; "
     "certificatesigningrequests/approval,certificatesigningrequests/status\n"
     "approve; certificates.k8s.io; signers; kubernetes.io/kube-apiserver-client-kubelet\n"
     "sign; certificates.k8s.io; signers; "
     "kubernetes.io/kube-apiserver-client,kubernetes.io/kube-apiserver-client-kubelet,"
     "kubernetes.io/kubelet-serving,kubernetes.io/legacy-unknown\n"
     "create; authorization.k8s.io; subjectaccessreviews"},
    {"clusterrole-aggregation-controller",
     "escalate,get,list,patch,update,watch; rbac.authorization.k8s.io; clusterroles", false},
    {"cronjob-controller",
     "get,list,update,watch; batch; cronjobs\n"
     "create,delete,get,list,patch,update,watch; batch; jobs\n"
     "update; batch; cronjobs/status\n"
     "update; batch; cronjobs/finalizers\n"
     "delete,list; -; pods"},
    {"daemon-set-controller",
     "get,list,watch; apps,extensions; daemonsets\n"
     "update; apps,extensions; daemonsets/status\n"
     "update; apps,extensions; daemonsets/finalizers\n"
     "list,watch; -; nodes\n"
     "create,delete,list,patch,watch; -; pods\n"
     "create; -; pods/binding\n"
     "create,delete,get,list,patch,update,watch; apps; controllerrevisions"},
    {"deployment-controller",
     "get,list,update,watch; apps,extensions; deployments\n"
     "update; apps,extensions; deployments/status\n"
     "update; apps,extensions; deployments/finalizers\n"
     "create,delete,get,list,patch,update,watch; apps,extensions; replicasets\n"
     "get,list,update,watch; -; pods"},
    {"disruption-controller",
     "get,list,watch; apps,extensions; deployments\n"
     "get,list,watch; apps,extensions; replicasets\n"
     "get,list,watch; -; replicationcontrollers\n"
     "get,list,watch; policy; poddisruptionbudgets\n"
     "get,list,watch; apps; statefulsets\n"
     "update; policy; poddisruptionbudgets/status\n"
     "patch,update; -; pods/status\n"
     "get; *; */scale"},
    {"endpoint-controller",
     "get,list,watch; -; pods,services\n"
     "create,delete,get,list,update; -; endpoints\n"
     "create; -; endpoints/restricted"},
    {"endpointslice-controller",
     "get,list,watch; -; nodes,pods,services\n"
     "update; -; services/finalizers\n"
     "create,delete,get,list,update; discovery.k8s.io; endpointslices\n"
     "create; discovery.k8s.io; endpointslices/restricted"},
    {"endpointslicemirroring-controller",
     "get,list,watch; -; endpoints,services\n"
     "update; -; services/finalizers\n"
     "update; -; endpoints/finalizers\n"
     "create,delete,get,list,update; discovery.k8s.io; endpointslices\n"
     "create; discovery.k8s.io; endpointslices/restricted"},
    {"ephemeral-volume-controller",
     "update; -; pods/finalizers\n"
     "get,list,watch; -; pods\n"
     "create,get,list,watch; -; persistentvolumeclaims"},
    {"expand-controller",
     "get,list,patch,update,watch; -; persistentvolumes\n"
     "patch,update; -; persistentvolumeclaims/status\n"
     "get,list,watch; -; persistentvolumeclaims\n"
     "get,list,watch; storage.k8s.io; storageclasses\n"
     "get; -; endpoints,services\n"
     "get; -; secrets"},
    {"generic-garbage-collector", "delete,get,list,patch,update,watch; *; *"},
    {"horizontal-pod-autoscaler",
     "get,list,watch; autoscaling; horizontalpodautoscalers\n"
     "update; autoscaling; horizontalpodautoscalers/status\n"
     "get,update; *; */scale\n"
     "list; -; pods\n"
     "get,list; custom.metrics.k8s.io; *\n"
     "get,list; external.metrics.k8s.io; *\n"
     "list; metrics.k8s.io; pods"},
    {"job-controller",
     "get,list,patch,update,watch; batch; jobs\n"
     "update; batch; jobs/status\n"
     "update; batch; jobs/finalizers\n"
     "create,delete,list,patch,watch; -; pods"},
    {"legacy-service-account-token-cleaner",
     "get; -; configmaps; kube-apiserver-legacy-service-account-token-tracking\n"
     "delete,patch; -; secrets",
     false},
    {"namespace-controller",
     "delete,get,list,watch; -; namespaces\n"
     "update; -; namespaces/finalize,namespaces/status\n"
     "delete,deletecollection,get,list; *; *",
     false},
    {"node-controller",
     "delete,get,list,patch,update; -; nodes\n"
     "patch,update; -; nodes/status\n"
     "patch,update; -; pods/status\n"
     "delete,list; -; pods\n"
     "get; -; pods"},
    {"persistent-volume-binder",
     "create,delete,get,list,update,watch; -; persistentvolumes\n"
     "update; -; persistentvolumes/status\n"
     "get,list,update,watch; -; persistentvolumeclaims\n"
     "update; -; persistentvolumeclaims/status\n"
     "create,delete,get,list,watch; -; pods\n"
     "get,list,watch; storage.k8s.io; storageclasses\n"
     "create,delete,get; -; endpoints,services\n"
     "get,list; -; secrets\n"
     "get,list; -; nodes"},
    {"pod-garbage-collector",
     "delete,list,watch; -; pods\nget,list; -; nodes\npatch; -; pods/status", false},
    {"pv-protection-controller", "get,list,update,watch; -; persistentvolumes"},
    {"pvc-protection-controller",
     "get,list,update,watch; -; persistentvolumeclaims\nget,list,watch; -; pods"},
    {"replicaset-controller",
     "get,list,update,watch; apps,extensions; replicasets\n"
     "update; apps,extensions; replicasets/status\n"
     "update; apps,extensions; replicasets/finalizers\n"
     "create,delete,list,patch,watch; -; pods"},
    {"replication-controller",
     "get,list,update,watch; -; replicationcontrollers\n"
     "update; -; replicationcontrollers/status\n"
     "update; -; replicationcontrollers/finalizers\n"
     "create,delete,list,patch,watch; -; pods"},
    {"resourcequota-controller", "list,watch; *; *\nupdate; -; resourcequotas/status"},
    {"root-ca-cert-publisher", "create,update; -; configmaps"},
    {"route-controller", "list,watch; -; nodes\npatch; -; nodes/status"},
    {"service-account-controller", "create; -; serviceaccounts"},
    {"service-controller",
     "get,list,watch; -; services\npatch,update; -; services/status\nlist,watch; -; nodes"},
    {"statefulset-controller",
     "list,watch; -; pods\n"
     "get,list,watch; apps; statefulsets\n"
     "update; apps; statefulsets/status\n"
     "update; apps; statefulsets/finalizers\n"
     "create,delete,get,patch,update; -; pods\n"
     "create,delete,get,list,patch,update,watch; apps; controllerrevisions\n"
     "create,get; -; persistentvolumeclaims\n"
     "delete,update; -; persistentvolumeclaims"},
    {"ttl-after-finished-controller", "delete,get,list,watch; batch; jobs"},
    {"ttl-controller", "list,patch,update,watch; -; nodes"},
    {"validatingadmissionpolicy-status-controller",
     "get,list,watch; admissionregistration.k8s.io; validatingadmissionpolicies\n"
     "get,patch,update; admissionregistration.k8s.io; validatingadmissionpolicies/status"},
};

}  // namespace

std::span<const ControllerRole> ControllerRoles() { return kRoles; }

}  // namespace gantry::apiserver
