#include <gtest/gtest.h>

#include "api/cron.h"
#include "api/validation/fixture.h"

namespace gantry::api {
namespace {

struct Kind {
  const char* api_version;
  const char* kind;
  const char* valid;
};

const Kind kDeployment = {"apps/v1", "Deployment",
                          R"({"metadata":{"name":"web","namespace":"default"},"spec":{
  "selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},
  "spec":{"containers":[{"name":"c","image":"nginx"}]}}}})"};
const Kind kReplicaSet = {"apps/v1", "ReplicaSet", kDeployment.valid};
const Kind kDaemonSet = {"apps/v1", "DaemonSet", kDeployment.valid};
const Kind kStatefulSet = {"apps/v1", "StatefulSet", kDeployment.valid};
const Kind kController = {"v1", "ReplicationController",
                          R"({"metadata":{"name":"web","namespace":"default"},"spec":{
  "selector":{"app":"web"},"template":{"metadata":{"labels":{"app":"web"}},
  "spec":{"containers":[{"name":"c","image":"nginx"}]}}}})"};
const Kind kJob = {"batch/v1", "Job", R"({"metadata":{"name":"j","namespace":"default"},"spec":{
  "selector":{"matchLabels":{"u":"1"}},"template":{"metadata":{"labels":{"u":"1"}},
  "spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"nginx"}]}}}})"};
const Kind kCronJob = {"batch/v1", "CronJob",
                       R"({"metadata":{"name":"j","namespace":"default"},"spec":{
  "schedule":"*/5 * * * *","jobTemplate":{"spec":{"template":{
  "spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"nginx"}]}}}}}})"};
const Kind kService = {"v1", "Service", R"({"metadata":{"name":"s","namespace":"default"},"spec":{
  "clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"],"ipFamilies":["IPv4"],"ports":[{"port":80}],"selector":{"a":"b"}}})"};
const Kind kConfigMap = {"v1", "ConfigMap",
                         R"({"metadata":{"name":"a","namespace":"default"},"data":{"a":"b"}})"};
const Kind kSecret = {"v1", "Secret",
                      R"({"metadata":{"name":"a","namespace":"default"},"data":{"a":"Yg=="}})"};
const Kind kNamespace = {"v1", "Namespace", R"({"metadata":{"name":"a"}})"};
const Kind kNode = {"v1", "Node",
                    R"({"metadata":{"name":"n"},"spec":{"podCIDRs":["10.1.0.0/24"]}})"};
const Kind kClaim = {"v1", "PersistentVolumeClaim",
                     R"({"metadata":{"name":"a","namespace":"default"},"spec":{
  "accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}})"};
const Kind kVolume = {"v1", "PersistentVolume", R"({"metadata":{"name":"a"},"spec":{
  "accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"},"hostPath":{"path":"/x"}}})"};
const Kind kQuota = {"v1", "ResourceQuota",
                     R"({"metadata":{"name":"a","namespace":"default"},"spec":{
  "hard":{"pods":"5","requests.cpu":"1","count/jobs.batch":"3"}}})"};
const Kind kLimitRange = {"v1", "LimitRange",
                          R"({"metadata":{"name":"a","namespace":"default"},"spec":{
  "limits":[{"type":"Container","max":{"cpu":"2"},"min":{"cpu":"1"}}]}})"};
const Kind kEndpoints = {"v1", "Endpoints",
                         R"({"metadata":{"name":"a","namespace":"default"},"subsets":[
  {"addresses":[{"ip":"10.0.0.1"}],"ports":[{"port":1}]}]})"};
const Kind kSlice = {"discovery.k8s.io/v1", "EndpointSlice",
                     R"({"metadata":{"name":"a","namespace":"default"},
  "addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"]}],"ports":[{"port":80}]})"};
const Kind kRole = {"rbac.authorization.k8s.io/v1", "Role",
                    R"({"metadata":{"name":"system:a","namespace":"default"},
  "rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]})"};
const Kind kRoleBinding = {"rbac.authorization.k8s.io/v1", "RoleBinding",
                           R"({"metadata":{"name":"a","namespace":"default"},
  "roleRef":{"kind":"Role","name":"r"},"subjects":[{"kind":"User","name":"u"}]})"};
const Kind kPolicy = {"networking.k8s.io/v1", "NetworkPolicy",
                      R"({"metadata":{"name":"a","namespace":"default"},
  "spec":{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}}],
  "ports":[{"port":"web"},{"port":80,"endPort":90}]}]}})"};
const Kind kIngress = {"networking.k8s.io/v1", "Ingress",
                       R"({"metadata":{"name":"a","namespace":"default"},
  "spec":{"rules":[{"host":"a.b","http":{"paths":[{"path":"/","pathType":"Prefix",
  "backend":{"service":{"name":"s","port":{"number":80}}}}]}}]}})"};
const Kind kBudget = {"policy/v1", "PodDisruptionBudget",
                      R"({"metadata":{"name":"a","namespace":"default"},
  "spec":{"minAvailable":"50%","selector":{}}})"};
const Kind kAutoscaler = {"autoscaling/v2", "HorizontalPodAutoscaler",
                          R"({"metadata":{"name":"a","namespace":"default"},
  "spec":{"maxReplicas":3,"scaleTargetRef":{"kind":"Deployment","name":"web"}}})"};
const Kind kClass = {"storage.k8s.io/v1", "StorageClass",
                     R"({"metadata":{"name":"a"},"provisioner":"x.y/z"})"};
const Kind kPriority = {"scheduling.k8s.io/v1", "PriorityClass",
                        R"({"metadata":{"name":"a"},"value":5})"};
const Kind kLease = {"coordination.k8s.io/v1", "Lease",
                     R"({"metadata":{"name":"a","namespace":"default"},
  "spec":{"leaseDurationSeconds":15}})"};
const Kind kAccount = {"v1", "ServiceAccount",
                       R"({"metadata":{"name":"a","namespace":"default"}})"};

TEST(Validation, AcceptsWhatIsRight) {
  for (const Kind& kind :
       {kDeployment, kReplicaSet, kDaemonSet,  kStatefulSet, kController, kJob,         kCronJob,
        kService,    kConfigMap,  kSecret,     kNamespace,   kNode,       kClaim,       kVolume,
        kQuota,      kLimitRange, kEndpoints,  kSlice,       kRole,       kRoleBinding, kPolicy,
        kIngress,    kBudget,     kAutoscaler, kClass,       kPriority,   kLease,       kAccount}) {
    EXPECT_EQ(OnCreate(kind.api_version, kind.kind, kind.valid), Texts()) << kind.kind;
    EXPECT_EQ(OnUpdate(kind.api_version, kind.kind, kind.valid, "{}"), Texts()) << kind.kind;
    EXPECT_EQ(OnStatusUpdate(kind.api_version, kind.kind, kind.valid, "{}"), Texts()) << kind.kind;
  }
}

struct Row {
  Kind kind;
  const char* patch;
  Texts errors;
};

TEST(Validation, Create) {
  const Row rows[] = {
      {kDeployment,
       R"({"spec":{"selector":{"matchLabels":{"app":"b"}}}})",
       {"spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not "
        "match template "
        "`labels`"}},
      {kDeployment,
       R"({"spec":{"selector":null}})",
       {"spec.selector: Required value",
        "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not "
        "match template "
        "`labels`"}},
      {kDeployment,
       R"({"spec":{"selector":{"matchLabels":null}}})",
       {"spec.selector: Invalid value: {}: empty selector is invalid for deployment"}},
      {kDeployment,
       R"({"spec":{"replicas":-1}})",
       {"spec.replicas: Invalid value: -1: must be greater than or equal to 0"}},
      {kDeployment,
       R"({"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":0,"maxSurge":"0%"}}}})",
       {"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when "
        "`maxSurge` is 0"}},
      {kDeployment,
       R"({"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":"101%"}}}})",
       {"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater "
        "than 100%"}},
      {kDeployment,
       R"({"spec":{"strategy":{"type":"Recreate","rollingUpdate":{}}}})",
       {"spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is "
        "'Recreate'"}},
      {kDeployment,
       R"({"spec":{"minReadySeconds":600}})",
       {"spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"}},
      {kDeployment,
       R"({"spec":{"template":{"spec":{"restartPolicy":"Never"}}}})",
       {"spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: "
        "\"Always\""}},
      {kDeployment,
       R"({"spec":{"template":{"spec":{"containers":[{"name":"c"}]}}}})",
       {"spec.template.spec.containers[0].image: Required value"}},
      {kDaemonSet,
       R"({"spec":{"updateStrategy":{"rollingUpdate":{"maxSurge":1,"maxUnavailable":1}}}})",
       {"spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when "
        "maxUnavailable is "
        "non-zero"}},
      {kStatefulSet,
       R"({"metadata":{"name":"a.b"}})",
       {"metadata.name: Invalid value: \"a.b\": must not contain dots"}},
      {kStatefulSet,
       R"({"spec":{"podManagementPolicy":"X"}})",
       {"spec.podManagementPolicy: Invalid value: \"X\": must be 'OrderedReady' or 'Parallel'"}},
      {kController,
       R"({"spec":{"selector":{"app":"x"}}})",
       {"spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not "
        "match template "
        "`labels`"}},
      {kJob,
       R"({"spec":{"template":{"spec":{"restartPolicy":"Always"}}}})",
       {"spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", "
        "\"Never\""}},
      {kJob,
       R"({"spec":{"completionMode":"Indexed","completions":null,"parallelism":2}})",
       {"spec.completions: Required value: when completion mode is Indexed"}},
      {kCronJob,
       R"({"spec":{"schedule":"* * * *"}})",
       {"spec.schedule: Invalid value: \"* * * *\": expected exactly 5 fields, found 4: [* * * "
        "*]"}},
      {kCronJob,
       R"({"spec":{"schedule":"60 * * * *"}})",
       {"spec.schedule: Invalid value: \"60 * * * *\": end of range (60) above maximum (59): 60"}},
      {kCronJob,
       R"({"spec":{"concurrencyPolicy":"X"}})",
       {"spec.concurrencyPolicy: Unsupported value: \"X\": supported values: \"Allow\", "
        "\"Forbid\", \"Replace\""}},
      {kService,
       R"({"metadata":{"name":"1a"}})",
       {"metadata.name: Invalid value: \"1a\": a DNS-1035 label must consist of lower case "
        "alphanumeric characters or "
        "'-', start with an alphabetic character, and end with an alphanumeric character (e.g. "
        "'my-name',  or "
        "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"}},
      {kService, R"({"spec":{"ports":null}})", {"spec.ports: Required value"}},
      {kService,
       R"({"spec":{"ports":[{"port":80},{"port":80}]}})",
       {"spec.ports[0].name: Required value", "spec.ports[1].name: Required value",
        "spec.ports[1]: Duplicate value: {\"protocol\":\"TCP\",\"port\":80,\"targetPort\":0}"}},
      {kService,
       R"({"spec":{"type":"Best"}})",
       {"spec.type: Unsupported value: \"Best\": supported values: \"ClusterIP\", "
        "\"ExternalName\", \"LoadBalancer\", "
        "\"NodePort\""}},
      {kService,
       R"({"spec":{"ports":[{"port":80,"nodePort":30000}]}})",
       {"spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"}},
      {kService,
       R"({"spec":{"clusterIP":"x","clusterIPs":["x"]}})",
       {"spec.clusterIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or "
        "2001:db8::ffff)"}},
      {kService,
       R"({"spec":{"type":"ExternalName","clusterIP":null,"clusterIPs":null,"ipFamilies":null}})",
       {"spec.externalName: Required value"}},
      {kConfigMap,
       R"({"data":{"a/b":"c"}})",
       {"data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric "
        "characters, '-', '_' or "
        "'.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
        "'[-._a-zA-Z0-9]+')"}},
      {kConfigMap,
       R"({"binaryData":{"a":"Yg=="}})",
       {"data[a]: Invalid value: \"a\": duplicate of key present in binaryData"}},
      {kSecret,
       R"({"type":"kubernetes.io/tls"})",
       {"data[tls.crt]: Required value", "data[tls.key]: Required value"}},
      {kSecret,
       R"({"type":"kubernetes.io/dockerconfigjson","data":{".dockerconfigjson":"Yg=="}})",
       {"data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": invalid character "
        "'b' looking for "
        "beginning of value"}},
      {kNamespace,
       R"({"metadata":{"name":"a.b"}})",
       {"metadata.name: Invalid value: \"a.b\": must not contain dots"}},
      {kNode,
       R"({"spec":{"taints":[{"key":"a","effect":"X"}]}})",
       {"metadata.taints[0].effect: Unsupported value: \"X\": supported values: \"NoSchedule\", "
        "\"PreferNoSchedule\", \"NoExecute\""}},
      {kClaim,
       R"({"spec":{"accessModes":null,"resources":null}})",
       {"spec.accessModes: Required value: at least 1 access mode is required",
        "spec.resources[storage]: Required value"}},
      {kVolume,
       R"({"spec":{"hostPath":null}})",
       {"spec: Required value: must specify a volume type"}},
      {kQuota,
       R"({"spec":{"hard":{"disk":"1"}}})",
       {"spec.hard[disk]: Invalid value: \"disk\": must be a standard resource for quota",
        "spec.hard[disk]: Invalid value: \"disk\": must be a standard resource type or fully "
        "qualified"}},
      {kLimitRange,
       R"({"spec":{"limits":[{"type":"Container","max":{"cpu":"1"},"min":{"cpu":"2"},
        "default":{"cpu":"1"},"defaultRequest":{"cpu":"1"}}]}})",
       {"spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1",
        "spec.limits[0].defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than "
        "default request value 1",
        "spec.limits[0].default[cpu]: Invalid value: \"2\": min value 2 is greater than default "
        "value 1"}},
      {kEndpoints,
       R"({"subsets":[{"addresses":[{"ip":"127.0.0.1"}]}]})",
       {"subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback "
        "range (127.0.0.0/8, "
        "::1/128)"}},
      {kSlice,
       R"({"endpoints":[{"addresses":["::2"]}]})",
       {"endpoints[0].addresses[0]: Invalid value: \"::2\": must be a valid IPv4 address"}},
      {kRole,
       R"({"rules":[{"verbs":[],"apiGroups":[""]}]})",
       {"rules[0].verbs: Required value: verbs must contain at least one value",
        "rules[0].resources: Required value: resource rules must supply at least one resource"}},
      {kRole,
       R"({"metadata":{"name":"a/b"}})",
       {"metadata.name: Invalid value: \"a/b\": may not contain '/'"}},
      {kRoleBinding,
       R"({"roleRef":{"kind":"X"}})",
       {"roleRef.kind: Unsupported value: \"X\": supported values: \"Role\", \"ClusterRole\""}},
      {kRoleBinding,
       R"({"subjects":[{"kind":"ServiceAccount","name":"A"}]})",
       {"subjects[0].name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of "
        "lower case "
        "alphanumeric characters, '-' or '.', and must start and end with an alphanumeric "
        "character (e.g. "
        "'example.com', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"}},
      {kPolicy,
       R"({"spec":{"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["11.0.0.0/16"]}}]}]}})",
       {"spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a "
        "strict subset of "
        "`cidr`"}},
      {kPolicy,
       R"({"spec":{"ingress":[{"ports":[{"endPort":90}]}]}})",
       {"spec.ingress[0].ports[0].endPort: Invalid value: 90: may not be specified when `port` is "
        "not specified"}},
      {kPolicy,
       R"({"spec":{"ingress":[{"ports":[{"port":"web","endPort":90}]}]}})",
       {"spec.ingress[0].ports[0].endPort: Invalid value: 90: may not be specified when `port` is "
        "non-numeric"}},
      {kPolicy,
       R"({"spec":{"ingress":[{"ports":[{"port":100,"endPort":90}]}]}})",
       {"spec.ingress[0].ports[0].endPort: Invalid value: 100: must be greater than or equal to "
        "`port`"}},
      {kPolicy,
       R"({"spec":{"ingress":[{"ports":[{"port":100,"protocol":"ICMP"}]}]}})",
       {"spec.ingress[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: "
        "\"TCP\", "
        "\"UDP\", \"SCTP\""}},
      {kPolicy,
       R"({"spec":{"ingress":null,"egress":[{"to":[{}]}],"policyTypes":["Egress","Both"]}})",
       {"spec.egress[0].to[0]: Required value: must specify a peer",
        "spec.policyTypes[1]: Unsupported value: \"Both\": supported values: \"Ingress\", "
        "\"Egress\""}},
      {kIngress,
       R"({"spec":{"rules":[{"http":{"paths":[{"path":"a","pathType":"Exact","backend":{}}]}}]}})",
       {"spec.rules[0].http.paths[0].path: Invalid value: \"a\": must be an absolute path",
        "spec.rules[0].http.paths[0].backend: Invalid value: \"\": resource or service backend is "
        "required"}},
      {kIngress,
       R"({"spec":{"rules":null}})",
       {"spec: Invalid value: []: either `defaultBackend` or `rules` must be specified"}},
      {kBudget,
       R"({"spec":{"maxUnavailable":1}})",
       {"spec: Invalid value: {\"minAvailable\":\"50%\",\"selector\":{},\"maxUnavailable\":1}: "
        "minAvailable and "
        "maxUnavailable cannot be both set"}},
      {kAutoscaler,
       R"({"spec":{"maxReplicas":0,"minReplicas":2}})",
       {"spec.maxReplicas: Invalid value: 0: must be greater than 0",
        "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`"}},
      {kPriority,
       R"({"metadata":{"name":"system-x"}})",
       {"metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for "
        "system use only. error: "
        "system-x is not a known system priority class"}},
      {kLease,
       R"({"spec":{"leaseDurationSeconds":0}})",
       {"spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(OnCreate(row.kind.api_version, row.kind.kind, row.kind.valid, row.patch), row.errors)
        << row.kind.kind << " " << row.patch;
  }
}

TEST(Validation, Update) {
  const Row rows[] = {
      {kDeployment, R"({"spec":{"replicas":5,"paused":true}})", {}},
      {kDeployment,
       R"({"spec":{"selector":{"matchLabels":{"x":"y"}},"template":{"metadata":{"labels":{"x":"y"}}}}})",
       {"spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"web\",\"x\":\"y\"}}: field is "
        "immutable"}},
      {kStatefulSet,
       R"({"spec":{"serviceName":"other"}})",
       {"spec: Forbidden: updates to statefulset spec for fields other than 'replicas', "
        "'ordinals', 'template', "
        "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
        "'minReadySeconds' are "
        "forbidden"}},
      {kStatefulSet, R"({"spec":{"replicas":5}})", {}},
      {kService,
       R"({"spec":{"clusterIP":"10.0.0.2","clusterIPs":["10.0.0.2"]}})",
       {"spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"}},
      {kSecret, R"({"type":"other"})", {"type: Invalid value: \"other\": field is immutable"}},
      {kNode,
       R"({"spec":{"podCIDRs":["10.2.0.0/24"]}})",
       {"spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"}},
      {kRoleBinding,
       R"({"roleRef":{"name":"x"}})",
       {"roleRef: Invalid value: "
        "{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"x\"}: cannot "
        "change roleRef"}},
      {kPriority, R"({"value":6})", {"value: Forbidden: may not be changed in an update."}},
      {kClass,
       R"({"provisioner":"x.y/w"})",
       {"provisioner: Forbidden: updates to provisioner are forbidden."}},
      {kSlice,
       R"({"addressType":"FQDN"})",
       {"addressType: Invalid value: \"FQDN\": field is immutable"}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(OnUpdate(row.kind.api_version, row.kind.kind, row.kind.valid, row.patch), row.errors)
        << row.kind.kind << " " << row.patch;
  }
  std::string frozen =
      R"({"metadata":{"name":"a","namespace":"default"},"immutable":true,"data":{"a":"b"}})";
  EXPECT_EQ(OnUpdate("v1", "ConfigMap", frozen, R"({"data":{"a":"c"}})"),
            (Texts{"data: Forbidden: field is immutable when `immutable` is set"}));
}

TEST(Validation, StatusUpdate) {
  EXPECT_EQ(
      OnStatusUpdate("apps/v1", "Deployment", kDeployment.valid,
                     R"({"status":{"readyReplicas":1}})"),
      (Texts{"status.readyReplicas: Invalid value: 1: cannot be greater than status.replicas"}));
  EXPECT_EQ(
      OnStatusUpdate("v1", "Namespace", kNamespace.valid, R"({"status":{"phase":"Terminating"}})"),
      (Texts{"status.Phase: Invalid value: \"Terminating\": may only be 'Active' if "
             "`deletionTimestamp` is "
             "empty"}));
}

TEST(Validation, MetadataUpdate) {
  std::string deleting = R"({"metadata":{"name":"a","namespace":"default",
    "deletionTimestamp":"2024-01-01T00:00:00Z","finalizers":["x/y"]}})";
  EXPECT_EQ(OnUpdate("v1", "ConfigMap", deleting, R"({"metadata":{"finalizers":["x/y","x/z"]}})"),
            (Texts{"metadata.finalizers: Forbidden: no new finalizers can be added if the object "
                   "is being deleted, "
                   "found new finalizers []string{\"x/z\"}"}));
  EXPECT_EQ(OnUpdate("v1", "ConfigMap", deleting, R"({"metadata":{"finalizers":[]}})"), Texts());
}

TEST(Validation, EveryStoredKindHasNamesChecked) {
  for (const KindInfo& kind : AllKinds()) {
    if (kind.prototype == nullptr || kind.storage_prefix.empty()) continue;
    std::unique_ptr<google::protobuf::Message> object(kind.prototype->New());
    FieldErrors errors = ValidateCreate(kind, *object);
    bool named = false;
    for (const FieldError& error : errors)
      named |= error.field == "metadata.name";
    EXPECT_TRUE(named) << kind.kind;
  }
}

TEST(Warnings, OtherKinds) {
  struct {
    Kind kind;
    const char* patch;
    Texts warnings;
  } rows[] = {
      {kDeployment, "{}", {}},
      {kDeployment,
       R"({"spec":{"template":{"spec":{"nodeSelector":{"beta.kubernetes.io/arch":"x"}}}}})",
       {"spec.template.spec.nodeSelector[beta.kubernetes.io/arch]: deprecated since v1.14; use "
        "\"kubernetes.io/arch\" instead"}},
      {kEndpoints,
       "{}",
       {"v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"}},
      {kIngress,
       R"({"metadata":{"annotations":{"kubernetes.io/ingress.class":"x"}}})",
       {"annotation \"kubernetes.io/ingress.class\" is deprecated, please use "
        "'spec.ingressClassName' instead"}},
      {kService,
       R"({"spec":{"externalName":"x"}})",
       {"spec.externalName is ignored when spec.type is not \"ExternalName\""}},
  };
  for (const auto& row : rows) {
    Sample sample = MakeSample(row.kind.api_version, row.kind.kind,
                               Merged(ParseJson(row.kind.valid), ParseJson(row.patch)));
    EXPECT_EQ(WarningsOnWrite(*sample.kind, *sample.object), row.warnings)
        << row.kind.kind << " " << row.patch;
  }
}

TEST(Cron, Parses) {
  Result<CronSchedule> schedule = CronSchedule::Parse("*/15 0-6/2,12 1 jan-mar MON,7");
  EXPECT_EQ(schedule.status().message(), "end of range (7) above maximum (6): 7");
  schedule = CronSchedule::Parse("*/15 0-6/2,12 1 jan-mar MON");
  ASSERT_TRUE(schedule.ok()) << schedule.status().message();
  EXPECT_EQ(schedule->minutes, (1ULL << 0) | (1ULL << 15) | (1ULL << 30) | (1ULL << 45));
  EXPECT_EQ(schedule->hours, (1ULL << 0) | (1ULL << 2) | (1ULL << 4) | (1ULL << 6) | (1ULL << 12));
  EXPECT_EQ(schedule->months, (1ULL << 1) | (1ULL << 2) | (1ULL << 3));
  EXPECT_EQ(schedule->weekdays, 1ULL << 1);
  EXPECT_FALSE(schedule->any_day);
  EXPECT_TRUE(CronSchedule::Parse("@daily")->any_day);
  EXPECT_EQ(CronSchedule::Parse("@every 90s")->every, std::chrono::seconds(90));
  struct {
    const char* text;
    const char* message;
  } rows[] = {
      {"", "empty spec string"},
      {"@often", "unrecognized descriptor: @often"},
      {"a * * * *", "failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax"},
      {"1-2-3 * * * *", "too many hyphens: 1-2-3"},
      {"1/2/3 * * * *", "too many slashes: 1/2/3"},
      {"5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"},
      {"* * 0 * *", "beginning of range (0) below minimum (1): 0"},
      {"*/0 * * * *", "step of range should be a positive number: */0"},
      {"1 2 3", "expected exactly 5 fields, found 3: [1 2 3]"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(CronSchedule::Parse(row.text).status().message(), row.message) << row.text;
}

}  // namespace
}  // namespace gantry::api
