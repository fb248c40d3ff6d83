#include "cli/client/describe_text.h"

#include "cli/client/fields.h"

namespace gantry::cli {

namespace {

constexpr const char* kPodsOf = "/api/v1/namespaces/{ns}/pods?labelSelector={selector}";

struct Row {
  const char* kind;
  Describer describe;
  bool events = true;
  std::vector<Relation> relations = {};
};

const std::vector<Row>& Rows() {
  static const std::vector<Row> kRows = {
      {"Pod", DescribePod},
      {"Node",
       DescribeNode,
       true,
       {{"pods",
         "/api/v1/pods?fieldSelector=spec.nodeName%3D{name}%2Cstatus.phase%21%3DSucceeded%2C"
         "status.phase%21%3DFailed"},
        {"lease", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}"}}},
      {"Deployment",
       DescribeDeployment,
       true,
       {{"replicasets", "/apis/apps/v1/namespaces/{ns}/replicasets?labelSelector={selector}"}}},
      {"ReplicaSet", DescribeReplicaSet, true, {{"pods", kPodsOf}}},
      {"ReplicationController", DescribeReplicaSet, true, {{"pods", kPodsOf}}},
      {"StatefulSet", DescribeStatefulSet, true, {{"pods", kPodsOf}}},
      {"DaemonSet", DescribeDaemonSet, true, {{"pods", kPodsOf}}},
      {"Job", DescribeJob},
      {"Service",
       DescribeService,
       true,
       {{"slices",
         "/apis/discovery.k8s.io/v1/namespaces/{ns}/"
         "endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{name}"}}},
      {"Endpoints", DescribeEndpoints},
      {"EndpointSlice", DescribeEndpointSlice},
      {"NetworkPolicy", DescribeNetworkPolicy, false},
      {"ConfigMap", DescribeConfigMap},
      {"Secret", DescribeSecret, false},
      {"Namespace",
       DescribeNamespace,
       false,
       {{"quotas", "/api/v1/namespaces/{name}/resourcequotas"},
        {"limits", "/api/v1/namespaces/{name}/limitranges"}}},
      {"ResourceQuota", DescribeResourceQuota, false},
      {"ServiceAccount",
       DescribeServiceAccount,
       true,
       {{"tokens",
         "/api/v1/namespaces/{ns}/"
         "secrets?fieldSelector=type%3Dkubernetes.io%2Fservice-account-token"}}},
      {"PriorityClass", DescribePriorityClass},
      {"Role", DescribeRole, false},
      {"ClusterRole", DescribeRole, false},
      {"RoleBinding", DescribeRoleBinding, false},
      {"ClusterRoleBinding", DescribeRoleBinding, false},
  };
  return kRows;
}

const Row* Find(const std::string& kind) {
  for (const Row& row : Rows()) {
    if (kind == row.kind) return &row;
  }
  return nullptr;
}

}  // namespace

std::vector<Relation> RelationsOf(const std::string& kind) {
  const Row* row = Find(kind);
  return row == nullptr ? std::vector<Relation>() : row->relations;
}

std::string DescribeObject(const Described& what) {
  const Row* row = Find(TextAt(what.object, "kind"));
  Page page;
  (row == nullptr ? DescribeOther : row->describe)(what, &page);
  if (row == nullptr || row->events) AddEvents(what, &page);
  return page.Aligned();
}

std::string PodTemplateText(const api::JsonValue& pod_template) {
  Page page;
  AddPodTemplate(pod_template, &page);
  return page.text();
}

}  // namespace gantry::cli
