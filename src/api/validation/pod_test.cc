#include <gtest/gtest.h>

#include "api/core/v1/pod.pb.h"
#include "api/field_error.h"
#include "api/validation/fixture.h"

namespace gantry::api {
namespace {

constexpr char kPod[] = R"({"metadata":{"name":"web-1","namespace":"default"},"spec":{
  "containers":[{"name":"c","image":"nginx:1"}],
  "volumes":[{"name":"data","emptyDir":{}},{"name":"claim","persistentVolumeClaim":{"claimName":"x"}}]}})";

constexpr char kLabelRule[] =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
constexpr char kSubdomainRule[] =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
constexpr char kLabelValueRule[] =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
    "for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

struct Row {
  const char* patch;
  Texts errors;
};

// Patches of the one container of the pod.
std::string OneContainer(const std::string& more) {
  return R"({"spec":{"containers":[{"name":"c","image":"nginx:1",)" + more + "}]}}";
}

TEST(PodValidation, AcceptsAWholePod) {
  EXPECT_EQ(OnCreate("v1", "Pod", kPod), Texts());
  EXPECT_EQ(OnCreate("v1", "Pod", kPod, R"({"spec":{
    "initContainers":[{"name":"i","image":"b"},{"name":"s","image":"b","restartPolicy":"Always",
      "startupProbe":{"exec":{"command":["true"]}}}],
    "containers":[{"name":"c","image":"nginx","ports":[{"name":"web","containerPort":80}],
      "env":[{"name":"a b","value":"x"},{"name":"N","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['app']"}}},
             {"name":"R","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"1m"}}}],
      "envFrom":[{"configMapRef":{"name":"c"}}],
      "volumeMounts":[{"name":"data","mountPath":"/d","subPath":"a/b"}],
      "volumeDevices":[{"name":"claim","devicePath":"/dev/x"}],
      "resources":{"requests":{"cpu":"100m","example.com/gpu":"1"},"limits":{"cpu":1,"example.com/gpu":"1"}},
      "livenessProbe":{"httpGet":{"port":"web","httpHeaders":[{"name":"X-A","value":"b"}]}},
      "lifecycle":{"preStop":{"sleep":{"seconds":5}}},
      "securityContext":{"runAsUser":0,"seccompProfile":{"type":"RuntimeDefault"},"capabilities":{"add":["NET_ADMIN"]}}}],
    "tolerations":[{"operator":"Exists"},{"key":"a","effect":"NoExecute","tolerationSeconds":5}],
    "affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
      {"matchExpressions":[{"key":"a","operator":"In","values":["b"]}]}]}},
      "podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":5,"podAffinityTerm":{
        "labelSelector":{"matchLabels":{"a":"b"}},"topologyKey":"kubernetes.io/hostname"}}]}},
    "topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule",
      "labelSelector":{"matchLabels":{"a":"b"}}}],
    "hostAliases":[{"ip":"10.0.0.1","hostnames":["a.b"]}],
    "dnsConfig":{"nameservers":["1.1.1.1"],"searches":["a.b.","_x.y"],"options":[{"name":"ndots","value":"2"}]},
    "securityContext":{"sysctls":[{"name":"net.core.somaxconn","value":"1"}],"fsGroup":5},
    "schedulingGates":[{"name":"example.com/wait"}]}})"),
            Texts());
}

TEST(PodValidation, Create) {
  const Row rows[] = {
      {R"({"metadata":{"name":"Web_1"}})",
       {std::string("metadata.name: Invalid value: \"Web_1\": ") + kSubdomainRule}},
      {R"({"metadata":{"name":null}})",
       {"metadata.name: Required value: name or generateName is required"}},
      {R"({"metadata":{"labels":{"a":"b c"}}})",
       {std::string("metadata.labels: Invalid value: \"b c\": ") + kLabelValueRule}},
      {R"({"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"A","name":"a","uid":""}]}})",
       {"metadata.ownerReferences.uid: Invalid value: \"\": must not be empty"}},
      {R"({"metadata":{"finalizers":["mine"]}})",
       {"metadata.finalizers[0]: Invalid value: \"mine\": name is neither a standard finalizer "
        "name nor is it fully "
        "qualified"}},
      {R"({"spec":{"containers":null}})", {"spec.containers: Required value"}},
      {R"({"spec":{"containers":[{"name":"c"}]}})", {"spec.containers[0].image: Required value"}},
      {R"({"spec":{"containers":[{"image":"a"}]}})", {"spec.containers[0].name: Required value"}},
      {R"({"spec":{"containers":[{"name":"c_1","image":"a"}]}})",
       {std::string("spec.containers[0].name: Invalid value: \"c_1\": ") + kLabelRule}},
      {R"({"spec":{"containers":[{"name":"a.b","image":"a"}]}})",
       {"spec.containers[0].name: Invalid value: \"a.b\": must not contain dots"}},
      {R"({"spec":{"containers":[{"name":"c","image":" a"}]}})",
       {"spec.containers[0].image: Invalid value: \" a\": must not have leading or trailing "
        "whitespace"}},
      {R"({"spec":{"containers":[{"name":"c","image":"a"},{"name":"c","image":"a"}]}})",
       {"spec.containers[1].name: Duplicate value: \"c\""}},
      {R"({"spec":{"restartPolicy":"Sometimes"}})",
       {"spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", "
        "\"OnFailure\", "
        "\"Never\""}},
      {R"({"spec":{"dnsPolicy":"None"}})",
       {"spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"}},
      {R"({"spec":{"activeDeadlineSeconds":0}})",
       {"spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, "
        "inclusive"}},
      {R"({"spec":{"volumes":[{"name":"a","emptyDir":{},"hostPath":{"path":"/x"}}]}})",
       {"spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"}},
      {R"({"spec":{"volumes":[{"name":"a","hostPath":{"path":"/x/../y","type":"Pipe"}}]}})",
       {"spec.volumes[0].hostPath.path: Invalid value: \"/x/../y\": must not contain '..'",
        "spec.volumes[0].hostPath.type: Unsupported value: \"Pipe\": supported values: \"\", "
        "\"BlockDevice\", "
        "\"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", "
        "\"Socket\""}},
      {R"({"spec":{"volumes":[{"name":"a","secret":{"secretName":"s","defaultMode":512}},{"name":"a"}]}})",
       {"spec.volumes[0].secret.defaultMode: Invalid value: 512: must be a number between 0 and "
        "0777 (octal), both "
        "inclusive"}},
      {R"({"spec":{"volumes":[{"name":"a"},{"name":"a"}]}})",
       {"spec.volumes[1].name: Duplicate value: \"a\""}},
      {R"({"spec":{"volumes":[{"name":"a","projected":{"sources":[{"serviceAccountToken":{"path":"t","expirationSeconds":5}}]}}]}})",
       {"spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid "
        "value: 5: may not specify "
        "a duration less than 10 minutes",
        "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be "
        "specified when "
        "serviceAccountName is not set"}},
      {R"({"spec":{"tolerations":[{"operator":"Equal"}]}})",
       {"spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when "
        "`key` is empty, which "
        "means \"match all values and all keys\""}},
      {R"({"spec":{"nodeName":"n","schedulingGates":[{"name":"a"}]}})",
       {"spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"}},
      {R"({"spec":{"ephemeralContainers":[{"name":"e","image":"a"}]}})",
       {"spec.ephemeralContainers: Forbidden: cannot be set on create"}},
      {R"({"spec":{"initContainers":[{"name":"i","image":"a","livenessProbe":{"tcpSocket":{"port":1}}}]}})",
       {"spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers "
        "without "
        "restartPolicy=Always"}},
      {R"({"spec":{"topologySpreadConstraints":[{"maxSkew":0,"topologyKey":"","whenUnsatisfiable":"Maybe"}]}})",
       {"spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
        "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
        "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"Maybe\": "
        "supported values: "
        "\"DoNotSchedule\", \"ScheduleAnyway\""}},
      {R"({"spec":{"hostUsers":false,"hostPID":true}})",
       {"spec.HostPID: Forbidden: when `pod.Spec.HostUsers` is false"}},
      {R"({"spec":{"hostAliases":[{"ip":"x"}]}})",
       {"spec.hostAliases[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 "
        "or "
        "2001:db8::ffff)"}},
  };
  for (const Row& row : rows)
    EXPECT_EQ(OnCreate("v1", "Pod", kPod, row.patch), row.errors) << row.patch;
}

TEST(PodValidation, Containers) {
  struct {
    const char* more;
    Texts errors;
  } rows[] = {
      {R"("imagePullPolicy":"Maybe")",
       {"spec.containers[0].imagePullPolicy: Unsupported value: \"Maybe\": supported values: "
        "\"Always\", "
        "\"IfNotPresent\", \"Never\""}},
      {R"("ports":[{"containerPort":70000}])",
       {"spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and "
        "65535, inclusive"}},
      {R"("ports":[{"containerPort":0,"protocol":"TPC"}])",
       {"spec.containers[0].ports[0].containerPort: Required value",
        "spec.containers[0].ports[0].protocol: Unsupported value: \"TPC\": supported values: "
        "\"SCTP\", \"TCP\", "
        "\"UDP\""}},
      {R"("ports":[{"name":"a_much_too_long_name","containerPort":1}])",
       {"spec.containers[0].ports[0].name: Invalid value: \"a_much_too_long_name\": must be no "
        "more than 15 bytes",
        "spec.containers[0].ports[0].name: Invalid value: \"a_much_too_long_name\": must contain "
        "only alpha-numeric "
        "characters (a-z, 0-9), and hyphens (-)"}},
      {R"("ports":[{"containerPort":1,"hostPort":9},{"containerPort":2,"hostPort":9}])",
       {"spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//9\""}},
      {R"("volumeMounts":[{"name":"none","mountPath":"/a"}])",
       {"spec.containers[0].volumeMounts[0].name: Not found: \"none\""}},
      {R"("volumeMounts":[{"name":"data","mountPath":"/a"},{"name":"data","mountPath":"/a"}])",
       {"spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique"}},
      {R"("volumeMounts":[{"name":"data","mountPath":"/a","mountPropagation":"Bidirectional"}])",
       {"spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount "
        "propagation is available "
        "only to privileged containers"}},
      {R"("volumeDevices":[{"name":"data","devicePath":"/a"}])",
       {"spec.containers[0].volumeDevices[0].name: Invalid value: \"data\": can only use volume "
        "source type of "
        "PersistentVolumeClaim or Ephemeral for block mode"}},
      {R"("env":[{"name":"a=b"}])",
       {"spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name "
        "must consist only "
        "of printable ASCII characters other than '='"}},
      {R"("env":[{"name":"a","value":"x","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}])",
       {"spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when "
        "`value` is not empty"}},
      {R"("env":[{"name":"a","valueFrom":{"fieldRef":{"fieldPath":"spec.x"}}}])",
       {"spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.x\": error "
        "converting "
        "fieldPath: field label not supported: spec.x"}},
      {R"("env":[{"name":"a","valueFrom":{"secretKeyRef":{"name":"s"}}}])",
       {"spec.containers[0].env[0].valueFrom.secretKeyRef.key: Required value"}},
      {R"("resources":{"requests":{"cpu":"2"},"limits":{"cpu":"1"}})",
       {"spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal "
        "to cpu limit of 1"}},
      {R"("resources":{"limits":{"cpu":"-1"}})",
       {"spec.containers[0].resources.limits[cpu]: Invalid value: \"-1\": must be greater than or "
        "equal to 0",
        "spec.containers[0].resources.requests[cpu]: Invalid value: \"-1\": must be greater than "
        "or equal to 0"}},
      {R"("resources":{"requests":{"disk":"1"}})",
       {"spec.containers[0].resources.requests[disk]: Invalid value: \"disk\": must be a standard "
        "resource for "
        "containers",
        "spec.containers[0].resources.requests[disk]: Invalid value: \"disk\": must be a standard "
        "resource type or "
        "fully qualified"}},
      {R"("resources":{"requests":{"example.com/gpu":"1"}})",
       {"spec.containers[0].resources.limits: Required value: Limit must be set for non "
        "overcommitable resources"}},
      {R"("livenessProbe":{})",
       {"spec.containers[0].livenessProbe: Required value: must specify a handler type"}},
      {R"("livenessProbe":{"exec":{},"tcpSocket":{"port":1},"successThreshold":2})",
       {"spec.containers[0].livenessProbe.exec.command: Required value",
        "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 "
        "handler type",
        "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"}},
      {R"("readinessProbe":{"httpGet":{"port":"much-too-long-a-name","scheme":"FTP"},"periodSeconds":-1})",
       {"spec.containers[0].readinessProbe.httpGet.port: Invalid value: \"much-too-long-a-name\": "
        "must be no more than "
        "15 bytes",
        "spec.containers[0].readinessProbe.httpGet.scheme: Unsupported value: \"FTP\": supported "
        "values: \"HTTP\", "
        "\"HTTPS\"",
        "spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than "
        "or equal to 0"}},
      {R"("securityContext":{"runAsUser":-1,"procMount":"Unmasked"})",
       {"spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and "
        "4294967295, inclusive",
        "spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` "
        "must be false to use "
        "`Unmasked`"}},
      {R"("securityContext":{"privileged":true,"allowPrivilegeEscalation":false})",
       {"spec.containers[0].securityContext: Invalid value: "
        "{\"privileged\":true,\"allowPrivilegeEscalation\":false}: "
        "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"}},
      {R"("terminationMessagePolicy":"X")",
       {"spec.containers[0].terminationMessagePolicy: Unsupported value: \"X\": supported values: "
        "\"File\", "
        "\"FallbackToLogsOnError\""}},
  };
  for (const auto& row : rows)
    EXPECT_EQ(OnCreate("v1", "Pod", kPod, OneContainer(row.more)), row.errors) << row.more;
}

TEST(PodValidation, Update) {
  const Row allowed[] = {
      {R"({"metadata":{"labels":{"a":"b"}}})", {}},
      {R"({"spec":{"containers":[{"name":"c","image":"nginx:2"}]}})", {}},
      {R"({"spec":{"activeDeadlineSeconds":5}})", {}},
      {R"({"spec":{"tolerations":[{"operator":"Exists"}]}})", {}},
  };
  for (const Row& row : allowed)
    EXPECT_EQ(OnUpdate("v1", "Pod", kPod, row.patch), row.errors) << row.patch;

  Texts errors = OnUpdate("v1", "Pod", kPod, R"({"spec":{"nodeName":"n"}})");
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0],
            "spec: Forbidden: pod updates may not change fields other than "
            "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`"
            ",`spec.tolerations` "
            "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow "
            "it to be set to 1 "
            "if it was previously negative)\n+ nodeName: \"n\"");
  EXPECT_EQ(OnUpdate("v1", "Pod", kPod, R"({"spec":{"containers":[]}})"),
            (Texts{"spec.containers: Required value",
                   "spec.containers: Forbidden: pod updates may not add or remove containers"}));
  EXPECT_EQ(OnUpdate("v1", "Pod", kPod, R"({"metadata":{"name":"other"}})"),
            (Texts{"metadata.name: Invalid value: \"other\": field is immutable"}));
  EXPECT_EQ(OnUpdate("v1", "Pod", kPod, R"({"spec":{"schedulingGates":[{"name":"g"}]}})"),
            (Texts{"spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found "
                   "new scheduling gate "
                   "'g'"}));
}

TEST(PodValidation, StatusUpdate) {
  EXPECT_EQ(OnStatusUpdate("v1", "Pod", kPod, R"({"status":{"podIP":"10.0.0.1","hostIP":"1.2.3.4",
              "hostIPs":[{"ip":"1.2.3.4"}],"conditions":[{"type":"Ready","status":"True"}]}})"),
            Texts());
  EXPECT_EQ(
      OnStatusUpdate("v1", "Pod", kPod, R"({"status":{"podIP":"x"}})"),
      (Texts{
          "status.podIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or "
          "2001:db8::ffff)"}));
}

TEST(PodValidation, EphemeralContainers) {
  Sample old = MakeSample("v1", "Pod", ParseJson(kPod));
  auto with = [&](const char* containers) {
    Sample sample = MakeSample("v1", "Pod", Merged(ParseJson(kPod), ParseJson(containers)));
    return ToTexts(ValidatePodEphemeralContainersUpdate(*sample.object, *old.object));
  };
  EXPECT_EQ(
      with(
          R"({"spec":{"ephemeralContainers":[{"name":"d","image":"a","targetContainerName":"c"}]}})"),
      Texts());
  EXPECT_EQ(
      with(
          R"({"spec":{"ephemeralContainers":[{"name":"d","image":"a","ports":[{"containerPort":1}]}]}})"),
      (Texts{"spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral "
             "Container"}));
  EXPECT_EQ(
      with(
          R"({"spec":{"ephemeralContainers":[{"name":"d","image":"a","targetContainerName":"z"}]}})"),
      (Texts{"spec.ephemeralContainers[0].targetContainerName: Not found: \"z\""}));
}

TEST(PodValidation, Warnings) {
  struct {
    const char* patch;
    Texts warnings;
  } rows[] = {
      {"{}", {}},
      {R"({"spec":{"containers":[{"name":"c","image":"a","env":[{"name":"A","value":"1"},{"name":"A","value":"2"}]}]}})",
       {"spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when "
        "using apply"}},
      {R"({"spec":{"containers":[{"name":"c","image":"a","env":[{"name":"A","value":"1"},{"name":"A","value":"$(A)2"}]}]}})",
       {}},
      {R"({"spec":{"nodeSelector":{"beta.kubernetes.io/os":"linux"}}})",
       {"spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "
        "\"kubernetes.io/os\" instead"}},
      {R"({"spec":{"containers":[{"name":"c","image":"a","ports":[{"containerPort":1},{"containerPort":1}]}]}})",
       {"spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"}},
      {R"({"spec":{"containers":[{"name":"c","image":"a","resources":{"requests":{"memory":"100m"}}}]}})",
       {"spec.containers[0].resources.requests[memory]: fractional byte value \"100m\" is invalid, "
        "must be an "
        "integer"}},
  };
  for (const auto& row : rows) {
    Sample sample = MakeSample("v1", "Pod", Merged(ParseJson(kPod), ParseJson(row.patch)));
    EXPECT_EQ(WarningsOnWrite(*sample.kind, *sample.object), row.warnings) << row.patch;
  }
}

TEST(InvalidObject, ReadsAsTheServerWritesIt) {
  const KindInfo& kind = *FindKind("apps", "v1", "Deployment");
  FieldErrors errors = {{FieldError::Type::kRequired, "spec.a", "Required value"},
                        {FieldError::Type::kInvalid, "spec.b", "Invalid value: 1: must be 2"},
                        {FieldError::Type::kRequired, "spec.a", "Required value"}};
  Status status = InvalidObject(kind, "web", errors);
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_EQ(status.message(),
            "Deployment.apps \"web\" is invalid: [spec.a: Required value, spec.b: Invalid value: "
            "1: must be 2]");
  ASSERT_EQ(status.details().causes.size(), 3U);
  EXPECT_EQ(status.details().causes[1].reason, "FieldValueInvalid");
  EXPECT_EQ(status.details().causes[1].field, "spec.b");
  EXPECT_EQ(status.details().kind, "Deployment");
  EXPECT_EQ(status.details().group, "apps");
  errors.resize(1);
  EXPECT_EQ(InvalidObject(*FindKind("", "v1", "Pod"), "a", errors).message(),
            "Pod \"a\" is invalid: spec.a: Required value");
}

}  // namespace
}  // namespace gantry::api
