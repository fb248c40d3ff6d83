#include "apiserver/bootstrap/default_roles.h"

#include <string>

namespace gantry::apiserver {
namespace {

constexpr DefaultRole kRoles[] = {
    {"", "cluster-admin", "*; *; *\n*; *"},
    {"", "system:discovery",
     "get; "
     "/livez,/readyz,/healthz,/version,/version/,/openapi,/openapi/*,/api,/api/*,/apis,/apis/*"},
    {"", "system:monitoring",
     "get; /healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*"},
    {"", "system:basic-user",
     "create; authorization.k8s.io; selfsubjectaccessreviews,selfsubjectrulesreviews\n"
     "create; authentication.k8s.io; selfsubjectreviews"},
    {"", "system:public-info-viewer", "get; /livez,/readyz,/healthz,/version,/version/"},
    {"", "admin", "", "", "admin"},
    {"", "edit", "", "admin", "edit"},
    {"", "view", "", "edit", "view"},
    {"", "system:aggregate-to-admin",
     "create; authorization.k8s.io; localsubjectaccessreviews\n"
     "create,delete,deletecollection,get,list,patch,update,watch; rbac.authorization.k8s.io; "
     "roles,rolebindings",
     "admin"},
    {"", "system:aggregate-to-edit",
     "get,list,watch; -; pods/attach,pods/proxy,pods/exec,pods/portforward,secrets,services/proxy\n"
     "impersonate; -; serviceaccounts\n"
     "create,delete,deletecollection,patch,update; -; "
     "pods,pods/attach,pods/proxy,pods/exec,pods/portforward\n"
     "create; -; pods/eviction\n"
     "create,delete,deletecollection,patch,update; -; "
     "replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/proxy,"
     "persistentvolumeclaims,configmaps,secrets,events\n"
     "create; -; serviceaccounts/token\n"
     "create,delete,deletecollection,patch,update; apps; "
     "statefulsets,statefulsets/scale,daemonsets,deployments,deployments/scale,deployments/"
     "rollback,replicasets,"
     "replicasets/scale\n"
     "create,delete,deletecollection,patch,update; autoscaling; horizontalpodautoscalers\n"
     "create,delete,deletecollection,patch,update; batch; jobs,cronjobs\n"
     "create,delete,deletecollection,patch,update; extensions; "
     "daemonsets,deployments,deployments/scale,deployments/"
     "rollback,ingresses,replicasets,replicasets/scale,"
     "replicationcontrollers/scale,networkpolicies\n"
     "create,delete,deletecollection,patch,update; policy; poddisruptionbudgets\n"
     "create,delete,deletecollection,patch,update; networking.k8s.io; networkpolicies,ingresses\n"
     "create,delete,deletecollection,get,list,patch,update,watch; coordination.k8s.io; leases",
     "edit"},
    {"", "system:aggregate-to-view",
     "get,list,watch; -; "
     "pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,"
     "services/status,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,configmaps\n"
     "get,list,watch; -; "
     "limitranges,resourcequotas,bindings,events,pods/status,resourcequotas/status,"
     "namespaces/status,replicationcontrollers/status,pods/log\n"
     "get,list,watch; -; namespaces\n"
     "get,list,watch; discovery.k8s.io; endpointslices\n"
     "get,list,watch; apps; "
     "controllerrevisions,statefulsets,statefulsets/status,statefulsets/scale,daemonsets,"
     "daemonsets/status,deployments,deployments/status,deployments/scale,replicasets,replicasets/"
     "status,"
     "replicasets/scale\n"
     "get,list,watch; autoscaling; horizontalpodautoscalers,horizontalpodautoscalers/status\n"
     "get,list,watch; batch; jobs,cronjobs,jobs/status,cronjobs/status\n"
     "get,list,watch; extensions; "
     "daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,"
     "ingresses,ingresses/status,replicasets,replicasets/scale,replicasets/"
     "status,replicationcontrollers/scale,"
     "networkpolicies\n"
     "get,list,watch; policy; poddisruptionbudgets,poddisruptionbudgets/status\n"
     "get,list,watch; networking.k8s.io; networkpolicies,ingresses,ingresses/status",
     "view"},
    {"", "system:node",
     "create; authentication.k8s.io; tokenreviews\n"
     "create; authorization.k8s.io; subjectaccessreviews,localsubjectaccessreviews\n"
     "get,list,watch; -; services\n"
     "create,get,list,watch; -; nodes\n"
     "patch,update; -; nodes/status\n"
     "patch,update; -; nodes\n"
     "create,patch,update; -; events\n"
     "get,list,watch; -; pods\n"
     "create,delete; -; pods\n"
     "patch,update; -; pods/status\n"
     "create; -; pods/eviction\n"
     "get,list,watch; -; secrets,configmaps\n"
     "get; -; persistentvolumeclaims,persistentvolumes\n"
     "get; -; endpoints\n"
     "create,get,list,watch; certificates.k8s.io; certificatesigningrequests\n"
     "create,delete,get,patch,update; coordination.k8s.io; leases\n"
     "get; storage.k8s.io; volumeattachments\n"
     "create; -; serviceaccounts/token\n"
     "get,patch,update; -; persistentvolumeclaims/status\n"
     "get,list,watch; storage.k8s.io; csidrivers\n"
     "create,delete,get,patch,update; storage.k8s.io; csinodes\n"
     "get,list,watch; node.k8s.io; runtimeclasses\n"
     "get; -; serviceaccounts"},
    {"", "system:node-problem-detector",
     "get; -; nodes\npatch; -; nodes/status\ncreate,patch,update; -,events.k8s.io; events"},
    {"", "system:node-proxier",
     "list,watch; -; services,endpoints\n"
     "get,list,watch; -; nodes\n"
     "create,patch,update; -,events.k8s.io; events\n"
     "list,watch; discovery.k8s.io; endpointslices\n"
     "list,watch; networking.k8s.io; servicecidrs"},
    {"", "system:kubelet-api-admin",
     "get,list,watch; -; nodes\nproxy; -; nodes\n"
     "*; -; "
     "nodes/log,nodes/metrics,nodes/proxy,nodes/stats,nodes/configz,nodes/healthz,nodes/pods"},
    {"", "system:node-bootstrapper",
     "create,get,list,watch; certificates.k8s.io; certificatesigningrequests"},
    {"", "system:auth-delegator",
     "create; authentication.k8s.io; tokenreviews\ncreate; authorization.k8s.io; "
     "subjectaccessreviews"},
    {"", "system:kube-aggregator", "get,list,watch; -; services,endpoints"},
    {"", "system:kube-controller-manager",
     "create,patch,update; -,events.k8s.io; events\n"
     "create; coordination.k8s.io; leases\n"
     "get,update; coordination.k8s.io; leases; kube-controller-manager\n"
     "create; -; secrets,serviceaccounts\n"
     "delete; -; secrets\n"
     "get; -; configmaps,namespaces,secrets,serviceaccounts\n"
     "update; -; secrets,serviceaccounts\n"
     "create; authentication.k8s.io; tokenreviews\n"
     "create; authorization.k8s.io; subjectaccessreviews\n"
     "list,watch; *; *\n"
     "create; -; serviceaccounts/token"},
    {"", "system:kube-dns", "list,watch; -; endpoints,services"},
    {"", "system:kube-scheduler",
     "create,patch,update; -,events.k8s.io; events\n"
     "create; coordination.k8s.io; leases\n"
     "get,list,update,watch; coordination.k8s.io; leases; kube-scheduler\n"
     "get,list,watch; -; nodes\n"
     "delete,get,list,watch; -; pods\n"
     "create; -; pods/binding,bindings\n"
     "patch,update; -; pods/status\n"
     "get,list,watch; -; replicationcontrollers,services\n"
     "get,list,watch; apps,extensions; replicasets\n"
     "get,list,watch; apps; statefulsets\n"
     "get,list,watch; policy; poddisruptionbudgets\n"
     "get,list,watch; -; persistentvolumeclaims,persistentvolumes\n"
     "create; authentication.k8s.io; tokenreviews\n"
     "create; authorization.k8s.io; subjectaccessreviews\n"
     "get,list,watch; storage.k8s.io; csinodes,csidrivers,csistoragecapacities\n"
     "get,list,watch; -; namespaces"},
    {"", "system:persistent-volume-provisioner",
     "create,delete,get,list,watch; -; persistentvolumes\n"
     "get,list,update,watch; -; persistentvolumeclaims\n"
     "get,list,watch; storage.k8s.io; storageclasses\n"
     "watch; -; events\n"
     "create,patch,update; -,events.k8s.io; events"},
    {"", "system:volume-scheduler",
     "get,list,patch,update,watch; -; persistentvolumes\n"
     "get,list,watch; storage.k8s.io; storageclasses\n"
     "get,list,patch,update,watch; -; persistentvolumeclaims"},
    {"", "system:service-account-issuer-discovery",
     "get; "
     "/.well-known/openid-configuration,/.well-known/openid-configuration/,/openid/v1/jwks,/openid/"
     "v1/jwks/"},
    {"", "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
     "create; certificates.k8s.io; certificatesigningrequests/nodeclient"},
    {"", "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
     "create; certificates.k8s.io; certificatesigningrequests/selfnodeclient"},
    {"", "system:certificates.k8s.io:legacy-unknown-approver",
     "approve; certificates.k8s.io; signers; kubernetes.io/legacy-unknown"},
    {"", "system:certificates.k8s.io:kubelet-serving-approver",
     "approve; certificates.k8s.io; signers; kubernetes.io/kubelet-serving"},
    {"", "system:certificates.k8s.io:kube-apiserver-client-approver",
     "approve; certificates.k8s.io; signers; kubernetes.io/kube-apiserver-client"},
    {"", "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
     "approve; certificates.k8s.io; signers; kubernetes.io/kube-apiserver-client-kubelet"},

    {"kube-system", "extension-apiserver-authentication-reader",
     "get,list,watch; -; configmaps; extension-apiserver-authentication"},
    {"kube-system", "system:controller:bootstrap-signer", "get,list,watch; -; secrets"},
    {"kube-system", "system:controller:cloud-provider", "create,get,list,watch; -; configmaps"},
    {"kube-system", "system:controller:token-cleaner",
     "delete,get,list,watch; -; secrets\ncreate,patch,update; -,events.k8s.io; events"},
    {"kube-system", "system::leader-locking-kube-controller-manager",
     "watch; -; configmaps\nget,update; -; configmaps; kube-controller-manager"},
    {"kube-system", "system::leader-locking-kube-scheduler",
     "watch; -; configmaps\nget,update; -; configmaps; kube-scheduler"},
    {"kube-public", "system:controller:bootstrap-signer",
     "get,list,watch; -; configmaps\nupdate; -; configmaps; cluster-info\n"
     "create,patch,update; -,events.k8s.io; events"},
    {"", "gantry:server-bootstrapper", "create; gantry; etcd-members"},
    {"kube-public", "gantry:cluster-info", "get; -; configmaps; cluster-info"},
    {"kube-system", "gantry:network", "get; -; configmaps; gantry-network"},
};

constexpr DefaultBinding kBindings[] = {
    {"", "cluster-admin", "cluster-admin", "group:system:masters"},
    {"", "system:monitoring", "system:monitoring", "group:system:monitoring"},
    {"", "system:discovery", "system:discovery", "group:system:authenticated"},
    {"", "system:basic-user", "system:basic-user", "group:system:authenticated"},
    {"", "system:public-info-viewer", "system:public-info-viewer",
     "group:system:authenticated,group:system:unauthenticated"},
    {"", "system:node-proxier", "system:node-proxier", "user:system:kube-proxy"},
    {"", "system:kube-controller-manager", "system:kube-controller-manager",
     "user:system:kube-controller-manager"},
    {"", "system:kube-dns", "system:kube-dns", "account:kube-system/kube-dns"},
    {"", "system:kube-scheduler", "system:kube-scheduler", "user:system:kube-scheduler"},
    {"", "system:volume-scheduler", "system:volume-scheduler", "user:system:kube-scheduler"},
    {"", "system:node", "system:node", ""},
    {"", "system:service-account-issuer-discovery", "system:service-account-issuer-discovery",
     "group:system:serviceaccounts"},
    // How machines join: a bootstrap token may ask for a node's certificate, which is approved by
    // itself.
    {"", "gantry:node-bootstrapper", "system:node-bootstrapper", "group:system:bootstrappers"},
    {"", "gantry:server-bootstrapper", "gantry:server-bootstrapper", "group:system:bootstrappers"},
    {"", "gantry:node-autoapprove",
     "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
     "group:system:bootstrappers"},
    {"", "gantry:node-autorenew",
     "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", "group:system:nodes"},
    {"kube-system", "system::extension-apiserver-authentication-reader",
     "extension-apiserver-authentication-reader",
     "user:system:kube-controller-manager,user:system:kube-scheduler", false},
    {"kube-system", "system:controller:bootstrap-signer", "system:controller:bootstrap-signer",
     "account:kube-system/bootstrap-signer", false},
    {"kube-system", "system:controller:cloud-provider", "system:controller:cloud-provider",
     "account:kube-system/cloud-provider", false},
    {"kube-system", "system:controller:token-cleaner", "system:controller:token-cleaner",
     "account:kube-system/token-cleaner", false},
    {"kube-system", "system::leader-locking-kube-controller-manager",
     "system::leader-locking-kube-controller-manager",
     "user:system:kube-controller-manager,account:kube-system/kube-controller-manager", false},
    {"kube-system", "system::leader-locking-kube-scheduler",
     "system::leader-locking-kube-scheduler",
     "user:system:kube-scheduler,account:kube-system/kube-scheduler", false},
    {"kube-public", "system:controller:bootstrap-signer", "system:controller:bootstrap-signer",
     "account:kube-system/bootstrap-signer", false},
    {"kube-public", "gantry:cluster-info", "gantry:cluster-info", "user:system:anonymous", false},
    {"kube-system", "gantry:network", "gantry:network", "group:system:nodes", false},
};

// The part up to `separator`, without spaces around it; it is taken off `rest`.
std::string_view NextPart(std::string_view* rest, char separator) {
  size_t end = rest->find(separator);
  std::string_view part = rest->substr(0, end);
  *rest = end == std::string_view::npos ? std::string_view() : rest->substr(end + 1);
  while (!part.empty() && part.front() == ' ')
    part.remove_prefix(1);
  return part;
}

template <class Add>
void ForEach(std::string_view list, Add add) {
  while (!list.empty()) {
    std::string_view item = NextPart(&list, ',');
    add(item == "-" ? std::string() : std::string(item));
  }
}

}  // namespace

std::span<const DefaultRole> DefaultRoles() { return kRoles; }
std::span<const DefaultBinding> DefaultBindings() { return kBindings; }

google::protobuf::RepeatedPtrField<api::rbac::v1::PolicyRule> ParseRules(std::string_view rules) {
  google::protobuf::RepeatedPtrField<api::rbac::v1::PolicyRule> parsed;
  while (!rules.empty()) {
    std::string_view line = NextPart(&rules, '\n');
    auto* rule = parsed.Add();
    ForEach(NextPart(&line, ';'), [&](std::string verb) { rule->add_verbs(std::move(verb)); });
    std::string_view second = NextPart(&line, ';');
    if (line.empty()) {
      ForEach(second, [&](std::string path) { rule->add_non_resource_urls(std::move(path)); });
      continue;
    }
    ForEach(second, [&](std::string group) { rule->add_api_groups(std::move(group)); });
    ForEach(NextPart(&line, ';'),
            [&](std::string resource) { rule->add_resources(std::move(resource)); });
    ForEach(NextPart(&line, ';'),
            [&](std::string name) { rule->add_resource_names(std::move(name)); });
  }
  return parsed;
}

}  // namespace gantry::apiserver
