#include "api/defaults.h"

#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <memory>

#include "api/json.h"
#include "api/json_value.h"
#include "api/kinds.h"

namespace gantry::api {
namespace {

std::unique_ptr<google::protobuf::Message> Read(const char* api_version, const char* kind,
                                                std::string_view json) {
  const KindInfo* info = FindKindByApiVersion(api_version, kind);
  EXPECT_NE(info, nullptr) << kind;
  std::unique_ptr<google::protobuf::Message> message(info->prototype->New());
  JsonIssues issues;
  Status status = ReadJson(json, message.get(), &issues);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(issues.messages.empty()) << issues.messages[0];
  return message;
}

JsonValue Defaulted(const char* api_version, const char* kind, std::string_view json) {
  auto message = Read(api_version, kind, json);
  SetDefaults(message.get());
  std::string once;
  WriteJson(*message, &once);
  SetDefaults(message.get());
  std::string twice;
  WriteJson(*message, &twice);
  EXPECT_EQ(once, twice) << "not idempotent";
  return *JsonValue::Parse(once);
}

// The value at a path such as "spec.containers.0.image"; null where there is none.
std::string At(const JsonValue& value, std::string_view path) {
  const JsonValue* here = &value;
  while (here != nullptr && !path.empty()) {
    size_t dot = path.find('.');
    std::string part(path.substr(0, dot));
    path = dot == std::string_view::npos ? "" : path.substr(dot + 1);
    if (here->is_array()) {
      size_t index = std::stoul(part);
      here = index < here->as_array().size() ? &here->as_array()[index] : nullptr;
    } else {
      here = here->Find(part);
    }
  }
  return here == nullptr ? "" : here->ToString();
}

TEST(Defaults, Pod) {
  JsonValue pod = Defaulted("v1", "Pod", R"({"metadata":{"name":"a"},"spec":{
    "hostNetwork":true,"serviceAccount":"sa",
    "volumes":[{"name":"e"},{"name":"s","secret":{"secretName":"x"}},
               {"name":"p","projected":{"sources":[{"serviceAccountToken":{"path":"t"}},
                 {"downwardAPI":{"items":[{"path":"n","fieldRef":{"fieldPath":"metadata.name"}}]}}]}},
               {"name":"h","hostPath":{"path":"/x"}}],
    "containers":[{"name":"c","image":"nginx","ports":[{"containerPort":80}],
      "resources":{"limits":{"cpu":"0.0001","memory":"1Gi"}},
      "livenessProbe":{"httpGet":{"port":80}},"readinessProbe":{"grpc":{"port":1}},
      "env":[{"name":"N","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],
      "lifecycle":{"preStop":{"httpGet":{"port":"web"}}}},
     {"name":"d","image":"reg:5000/nginx:1.2"},{"name":"f","image":"nginx@sha256:aa"},{"name":"g","image":"a/b:latest"}]}})");
  struct {
    const char* path;
    const char* value;
  } rows[] = {
      {"spec.restartPolicy", "\"Always\""},
      {"spec.dnsPolicy", "\"ClusterFirst\""},
      {"spec.securityContext", "{}"},
      {"spec.terminationGracePeriodSeconds", "30"},
      {"spec.schedulerName", "\"default-scheduler\""},
      {"spec.enableServiceLinks", "true"},
      {"spec.serviceAccountName", "\"sa\""},
      {"spec.volumes.0.emptyDir", "{}"},
      {"spec.volumes.1.secret.defaultMode", "420"},
      {"spec.volumes.2.projected.sources.0.serviceAccountToken.expirationSeconds", "3600"},
      {"spec.volumes.2.projected.sources.1.downwardAPI.items.0.fieldRef.apiVersion", "\"v1\""},
      {"spec.volumes.3.hostPath.type", "\"\""},
      {"spec.containers.0.imagePullPolicy", "\"Always\""},
      {"spec.containers.1.imagePullPolicy", "\"IfNotPresent\""},
      {"spec.containers.2.imagePullPolicy", "\"IfNotPresent\""},
      {"spec.containers.3.imagePullPolicy", "\"Always\""},
      {"spec.containers.0.terminationMessagePath", "\"/dev/termination-log\""},
      {"spec.containers.0.terminationMessagePolicy", "\"File\""},
      {"spec.containers.0.ports.0.protocol", "\"TCP\""},
      {"spec.containers.0.ports.0.hostPort", "80"},
      {"spec.containers.0.resources.limits.cpu", "\"1m\""},
      {"spec.containers.0.resources.requests", R"({"cpu":"1m","memory":"1Gi"})"},
      {"spec.containers.0.livenessProbe.httpGet.path", "\"/\""},
      {"spec.containers.0.livenessProbe.httpGet.scheme", "\"HTTP\""},
      {"spec.containers.0.livenessProbe.periodSeconds", "10"},
      {"spec.containers.0.livenessProbe.timeoutSeconds", "1"},
      {"spec.containers.0.livenessProbe.failureThreshold", "3"},
      {"spec.containers.0.livenessProbe.successThreshold", "1"},
      {"spec.containers.0.readinessProbe.grpc.service", "\"\""},
      {"spec.containers.0.env.0.valueFrom.fieldRef.apiVersion", "\"v1\""},
      {"spec.containers.0.lifecycle.preStop.httpGet.scheme", "\"HTTP\""},
  };
  for (const auto& row : rows)
    EXPECT_EQ(At(pod, row.path), row.value) << row.path;
}

TEST(Defaults, OtherKinds) {
  struct {
    const char* api_version;
    const char* kind;
    const char* json;
    const char* path;
    const char* value;
  } rows[] = {
      {"apps/v1", "Deployment", R"({"spec":{}})", "spec.strategy",
       R"({"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"}})"},
      {"apps/v1", "Deployment", R"({"spec":{}})", "spec.replicas", "1"},
      {"apps/v1", "Deployment", R"({"spec":{"replicas":0}})", "spec.replicas", "0"},
      {"apps/v1", "Deployment", R"({"spec":{}})", "spec.progressDeadlineSeconds", "600"},
      {"apps/v1", "Deployment", R"({"spec":{}})", "spec.revisionHistoryLimit", "10"},
      {"apps/v1", "Deployment", R"({"spec":{"strategy":{"type":"Recreate"}}})",
       "spec.strategy.rollingUpdate", ""},
      {"apps/v1", "Deployment", R"({"spec":{}})", "spec.template.spec.restartPolicy", "\"Always\""},
      {"apps/v1", "DaemonSet", R"({"spec":{}})", "spec.updateStrategy.rollingUpdate",
       R"({"maxUnavailable":1,"maxSurge":0})"},
      {"apps/v1", "StatefulSet", R"({"spec":{}})", "spec.updateStrategy.rollingUpdate.partition",
       "0"},
      {"apps/v1", "StatefulSet", R"({"spec":{}})", "spec.persistentVolumeClaimRetentionPolicy",
       R"({"whenDeleted":"Retain","whenScaled":"Retain"})"},
      {"apps/v1", "StatefulSet", R"({"spec":{"volumeClaimTemplates":[{"metadata":{"name":"d"}}]}})",
       "spec.volumeClaimTemplates.0.status.phase", "\"Pending\""},
      {"batch/v1", "Job", R"({"spec":{}})", "spec.completions", "1"},
      {"batch/v1", "Job", R"({"spec":{"parallelism":3}})", "spec.completions", ""},
      {"batch/v1", "Job", R"({"spec":{}})", "spec.backoffLimit", "6"},
      {"batch/v1", "Job", R"({"spec":{}})", "spec.podReplacementPolicy", "\"TerminatingOrFailed\""},
      {"batch/v1", "CronJob", R"({"spec":{}})", "spec.successfulJobsHistoryLimit", "3"},
      {"batch/v1", "CronJob", R"({"spec":{}})", "spec.jobTemplate.spec.template.spec.dnsPolicy",
       "\"ClusterFirst\""},
      {"batch/v1", "CronJob", R"({"spec":{}})", "spec.jobTemplate.spec.backoffLimit", ""},
      {"v1", "Service", R"({"spec":{"ports":[{"port":80}]}})", "spec.ports.0",
       R"({"protocol":"TCP","port":80,"targetPort":80})"},
      {"v1", "Service", R"({"spec":{"ports":[{"port":80}]}})", "spec.internalTrafficPolicy",
       "\"Cluster\""},
      {"v1", "Service", R"({"spec":{}})", "spec.externalTrafficPolicy", ""},
      {"v1", "Service", R"({"spec":{"type":"NodePort"}})", "spec.externalTrafficPolicy",
       "\"Cluster\""},
      {"v1", "Service", R"({"spec":{"type":"LoadBalancer"}})", "spec.allocateLoadBalancerNodePorts",
       "true"},
      {"v1", "Service", R"({"spec":{"sessionAffinity":"ClientIP"}})",
       "spec.sessionAffinityConfig.clientIP.timeoutSeconds", "10800"},
      {"v1", "Secret", R"({"stringData":{"a":"b"}})", "data.a", "\"Yg==\""},
      {"v1", "Secret", R"({"stringData":{"a":"b"}})", "stringData", ""},
      {"v1", "Secret", R"({})", "type", "\"Opaque\""},
      {"v1", "Namespace", R"({"metadata":{"name":"n"}})", "metadata.labels",
       R"({"kubernetes.io/metadata.name":"n"})"},
      {"v1", "Namespace", R"({"metadata":{"name":"n"}})", "status.phase", "\"Active\""},
      {"v1", "PersistentVolumeClaim", R"({"spec":{}})", "spec.volumeMode", "\"Filesystem\""},
      {"v1", "PersistentVolume", R"({"spec":{}})", "spec.persistentVolumeReclaimPolicy",
       "\"Retain\""},
      {"v1", "Node", R"({"status":{"capacity":{"cpu":"2"}}})", "status.allocatable",
       R"({"cpu":"2"})"},
      {"v1", "LimitRange",
       R"({"spec":{"limits":[{"type":"Container","max":{"cpu":"2"},"min":{"memory":"1Mi"}}]}})",
       "spec.limits.0.defaultRequest", R"({"cpu":"2","memory":"1Mi"})"},
      {"v1", "Endpoints", R"({"subsets":[{"ports":[{"port":1}]}]})", "subsets.0.ports.0.protocol",
       "\"TCP\""},
      {"discovery.k8s.io/v1", "EndpointSlice", R"({"ports":[{"port":1}]})", "ports.0",
       R"({"name":"","protocol":"TCP","port":1})"},
      {"networking.k8s.io/v1", "NetworkPolicy", R"({"spec":{"egress":[{}]}})", "spec.policyTypes",
       R"(["Ingress","Egress"])"},
      {"networking.k8s.io/v1", "NetworkPolicy", R"({"spec":{"ingress":[{"ports":[{"port":80}]}]}})",
       "spec.ingress.0.ports.0.protocol", "\"TCP\""},
      {"rbac.authorization.k8s.io/v1", "RoleBinding",
       R"({"subjects":[{"kind":"User","name":"u"}]})", "subjects.0.apiGroup",
       "\"rbac.authorization.k8s.io\""},
      {"rbac.authorization.k8s.io/v1", "ClusterRoleBinding", R"({})", "roleRef.apiGroup",
       "\"rbac.authorization.k8s.io\""},
      {"storage.k8s.io/v1", "StorageClass", R"({})", "volumeBindingMode", "\"Immediate\""},
      {"scheduling.k8s.io/v1", "PriorityClass", R"({})", "preemptionPolicy",
       "\"PreemptLowerPriority\""},
      {"autoscaling/v2", "HorizontalPodAutoscaler", R"({"spec":{}})",
       "spec.metrics.0.resource.target.averageUtilization", "80"},
      {"autoscaling/v2", "HorizontalPodAutoscaler", R"({"spec":{"behavior":{}}})",
       "spec.behavior.scaleUp.policies.1.type", "\"Percent\""},
      {"autoscaling/v1", "HorizontalPodAutoscaler", R"({"spec":{}})",
       "spec.targetCPUUtilizationPercentage", "80"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(At(Defaulted(row.api_version, row.kind, row.json), row.path), row.value)
        << row.kind << " " << row.json << " " << row.path;
  }
}

}  // namespace
}  // namespace gantry::api
