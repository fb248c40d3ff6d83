#include "apiserver/tables/tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "api/autoscaling/v1/scale.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/json.h"
#include "api/json_value.h"

namespace gantry::apiserver {
namespace {

using api::JsonValue;
using std::chrono::seconds;

const WallTime kNow = *api::ParseTime("2024-05-10T12:00:00Z");

api::ObjectPtr Object(std::string_view group, std::string_view plural, std::string_view json,
                      std::string_view version = "v1") {
  const api::KindInfo* kind = api::FindResource(group, version, plural);
  if (!kind) {
    ADD_FAILURE() << "no kind " << plural;
    return nullptr;
  }
  std::unique_ptr<google::protobuf::Message> message(kind->prototype->New());
  Status status = api::ReadJson(json, message.get());
  EXPECT_TRUE(status.ok()) << status.ToString() << json;
  return api::Object::FromServer(*kind, std::move(message));
}

JsonValue Table(const api::ObjectPtr& object, TableOptions options = {}) {
  std::string out;
  AppendTable(object->kind(), std::span(&object, 1), 7, "", std::nullopt, options, kNow, &out);
  auto parsed = JsonValue::Parse(out);
  EXPECT_TRUE(parsed.ok()) << out;
  return parsed.ok() ? *std::move(parsed) : JsonValue();
}

// "NAME|READY|..." and the cells of the only row in the same way.
std::string Columns(const JsonValue& table) {
  std::string out;
  for (const JsonValue& column : table.Find("columnDefinitions")->as_array())
    out += (out.empty() ? "" : "|") + column.Find("name")->as_string();
  return out;
}
std::string Row(const JsonValue& table) {
  std::string out;
  for (const JsonValue& cell : table.Find("rows")->as_array()[0].Find("cells")->as_array()) {
    if (!out.empty()) out += "|";
    out += cell.is_string() ? cell.as_string() : "#" + cell.ToString();
  }
  return out;
}

struct Case {
  std::string_view group, plural, json, columns, row;
  std::string_view version = "v1";
};

TEST(Tables, CellsOfEveryKind) {
  const Case cases[] = {
      {"apps", "deployments",
       R"({"metadata":{"name":"web","creationTimestamp":"2024-05-10T11:55:00Z"},"spec":{"replicas":3,
           "selector":{"matchLabels":{"app":"web"}},"template":{"spec":{"containers":[
           {"name":"a","image":"i:1"},{"name":"b","image":"j"}]}}},
           "status":{"readyReplicas":2,"updatedReplicas":3,"availableReplicas":1}})",
       "Name|Ready|Up-to-date|Available|Age|Containers|Images|Selector",
       "web|2/3|#3|#1|5m|a,b|i:1,j|app=web"},
      {"apps", "replicasets",
       R"({"metadata":{"name":"web-1"},"spec":{"replicas":3,"selector":{}},"status":{"replicas":2,"readyReplicas":1}})",
       "Name|Desired|Current|Ready|Age|Containers|Images|Selector",
       "web-1|#3|#2|#1|<unknown>|||<none>"},
      {"apps", "daemonsets",
       R"({"metadata":{"name":"d","creationTimestamp":"2024-05-10T11:59:59Z"},"spec":{"selector":{"matchLabels":{"a":"b"}},
           "template":{"spec":{"nodeSelector":{"z":"1","disk":"ssd"}}}},"status":{"desiredNumberScheduled":5,
           "currentNumberScheduled":4,"numberReady":3,"updatedNumberScheduled":2,"numberAvailable":1}})",
       "Name|Desired|Current|Ready|Up-to-date|Available|Node "
       "Selector|Age|Containers|Images|Selector",
       "d|#5|#4|#3|#2|#1|disk=ssd,z=1|1s|||a=b"},
      {"apps", "statefulsets",
       R"({"metadata":{"name":"s"},"spec":{"replicas":2},"status":{"readyReplicas":1}})",
       "Name|Ready|Age|Containers|Images", "s|1/2|<unknown>||"},
      {"apps", "controllerrevisions",
       R"({"metadata":{"name":"r","ownerReferences":[{"apiVersion":"apps/v1","kind":"DaemonSet","name":"d",
           "uid":"u","controller":true}]},"revision":4})",
       "Name|Controller|Revision|Age", "r|daemonset.apps/d|#4|<unknown>"},
      {"batch", "jobs",
       R"({"metadata":{"name":"j"},"spec":{"parallelism":2},"status":{"succeeded":1,
           "startTime":"2024-05-10T11:58:00Z"}})",
       "Name|Status|Completions|Duration|Age|Containers|Images|Selector",
       "j|Running|1/1 of 2|2m|<unknown>|||<none>"},
      {"batch", "jobs",
       R"({"metadata":{"name":"j"},"spec":{"completions":3},"status":{"succeeded":3,
           "startTime":"2024-05-10T11:00:00Z","completionTime":"2024-05-10T11:00:09Z",
           "conditions":[{"type":"Complete","status":"True"}]}})",
       "Name|Status|Completions|Duration|Age|Containers|Images|Selector",
       "j|Complete|3/3|9s|<unknown>|||<none>"},
      {"batch", "cronjobs",
       R"({"metadata":{"name":"c"},"spec":{"schedule":"* * * * *","suspend":false},"status":{
           "active":[{"name":"x"}],"lastScheduleTime":"2024-05-10T11:59:00Z"}})",
       "Name|Schedule|Timezone|Suspend|Active|Last Schedule|Age|Containers|Images|Selector",
       "c|* * * * *|<none>|False|#1|60s|<unknown>|||<none>"},
      {"", "services",
       R"({"metadata":{"name":"web"},"spec":{"type":"NodePort","clusterIP":"10.43.0.5","clusterIPs":["10.43.0.5"],
           "selector":{"app":"web","a":"b"},"ports":[{"port":80,"nodePort":30080,"protocol":"TCP"},
           {"port":53,"protocol":"UDP"}]}})",
       "Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector",
       "web|NodePort|10.43.0.5|<none>|80:30080/TCP,53/UDP|<unknown>|a=b,app=web"},
      {"", "services",
       R"({"metadata":{"name":"lb"},"spec":{"type":"LoadBalancer","externalIPs":["9.9.9.9"]},"status":{
           "loadBalancer":{"ingress":[{"hostname":"z.example"},{"ip":"1.2.3.4"},{"ip":"1.2.3.4"}]}}})",
       "Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector",
       "lb|LoadBalancer|<none>|1.2.3.4,z.example,9.9.9.9|<none>|<unknown>|<none>"},
      {"", "services",
       R"({"metadata":{"name":"lb"},"spec":{"type":"LoadBalancer","clusterIPs":["None"]}})",
       "Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector",
       "lb|LoadBalancer|None|<pending>|<none>|<unknown>|<none>"},
      {"", "nodes",
       R"({"metadata":{"name":"n1","labels":{"node-role.kubernetes.io/worker":"","kubernetes.io/role":"edge",
           "node-role.kubernetes.io/":""}},"spec":{"unschedulable":true},"status":{"conditions":[
           {"type":"Ready","status":"True"}],"addresses":[{"type":"Hostname","address":"n1"},
           {"type":"InternalIP","address":"10.0.0.1"}],"nodeInfo":{"kubeletVersion":"v1.36.2","kernelVersion":"6.1",
           "architecture":"amd64","containerRuntimeVersion":"crun://1.8"}}})",
       "Name|Status|Roles|Age|Version|Internal-IP|External-IP|OS-Image|Kernel-Version|Container-"
       "Runtime",
       "n1|Ready,SchedulingDisabled|edge,worker|<unknown>|v1.36.2|10.0.0.1|<none>|<unknown>|6.1 "
       "(amd64)|crun://1.8"},
      {"", "namespaces", R"({"metadata":{"name":"x"},"status":{"phase":"Active"}})",
       "Name|Status|Age", "x|Active|<unknown>"},
      {"", "configmaps",
       R"({"metadata":{"name":"c"},"data":{"a":"1","b":"2"},"binaryData":{"c":"AA=="}})",
       "Name|Data|Age", "c|#3|<unknown>"},
      {"", "secrets", R"({"metadata":{"name":"s"},"type":"Opaque","data":{"a":"AA=="}})",
       "Name|Type|Data|Age", "s|Opaque|#1|<unknown>"},
      {"", "serviceaccounts", R"({"metadata":{"name":"default"}})", "Name|Age",
       "default|<unknown>"},
      {"", "resourcequotas",
       R"({"metadata":{"name":"q"},"status":{"hard":{"pods":"5","limits.cpu":"2","cpu":"1"},"used":{"pods":"3"}}})",
       "Name|Request|Limit|Age", "q|cpu: 0/1, pods: 3/5|limits.cpu: 0/2|<unknown>"},
      {"", "events",
       R"({"metadata":{"name":"e"},"involvedObject":{"kind":"Pod","name":"web","fieldPath":"spec"},"reason":"Pulled",
           "message":" done\n","type":"Normal","source":{"component":"kubelet","host":"n1"},
           "firstTimestamp":"2024-05-10T11:50:00Z","lastTimestamp":"2024-05-10T11:59:30Z","count":4})",
       "Last Seen|Type|Reason|Object|Subobject|Source|Message|First Seen|Count|Name",
       "30s|Normal|Pulled|pod/web|spec|kubelet, n1|done|10m|#4|e"},
      {"", "events",
       R"({"metadata":{"name":"e"},"involvedObject":{"kind":"Pod","name":"web"},"reason":"Scheduled",
           "eventTime":"2024-05-10T11:59:00.000000Z","reportingComponent":"default-scheduler"})",
       "Last Seen|Type|Reason|Object|Subobject|Source|Message|First Seen|Count|Name",
       "60s||Scheduled|pod/web||default-scheduler||60s|#1|e"},
      {"", "endpoints",
       R"({"metadata":{"name":"e"},"subsets":[{"addresses":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}],
           "ports":[{"port":80},{"port":81}]}]})",
       "Name|Endpoints|Age", "e|10.0.0.1:80,[fd00::1]:80,10.0.0.1:81 + 1 more...|<unknown>"},
      {"discovery.k8s.io", "endpointslices",
       R"({"metadata":{"name":"s"},"addressType":"IPv4","ports":[{"port":80},{"name":"x"}],"endpoints":[
           {"addresses":["1.1.1.1"]},{"addresses":["1.1.1.2"]}]})",
       "Name|AddressType|Ports|Endpoints|Age", "s|IPv4|80,x|1.1.1.1,1.1.1.2|<unknown>"},
      {"networking.k8s.io", "ingresses",
       R"({"metadata":{"name":"i"},"spec":{"rules":[{"host":"a"},{"host":"b"},{"host":"c"},{"host":"d"}],"tls":[{}]}})",
       "Name|Class|Hosts|Address|Ports|Age", "i|<none>|a,b,c + 1 more...||80, 443|<unknown>"},
      {"networking.k8s.io", "networkpolicies",
       R"({"metadata":{"name":"n"},"spec":{"podSelector":{"matchExpressions":[{"key":"a","operator":"In","values":["y","x"]}]}}})",
       "Name|Pod-Selector|Age", "n|a in (x,y)|<unknown>"},
      {"policy", "poddisruptionbudgets",
       R"({"metadata":{"name":"p"},"spec":{"minAvailable":"50%"},"status":{"disruptionsAllowed":1}})",
       "Name|Min Available|Max Unavailable|Allowed Disruptions|Age", "p|50%|N/A|#1|<unknown>"},
      {"autoscaling", "horizontalpodautoscalers",
       R"({"metadata":{"name":"h"},"spec":{"scaleTargetRef":{"kind":"Deployment","name":"web"},"maxReplicas":5,
           "metrics":[{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":80}}},
           {"type":"Pods","pods":{"metric":{"name":"q"},"target":{"type":"AverageValue","averageValue":"10"}}},
           {"type":"External","external":{"metric":{"name":"e"},"target":{"type":"Value","value":"3"}}}]},
           "status":{"currentReplicas":2,"currentMetrics":[{"type":"Resource","resource":{"name":"cpu",
           "current":{"averageUtilization":45}}}]}})",
       "Name|Reference|Targets|MinPods|MaxPods|Replicas|Age",
       "h|Deployment/web|cpu: 45%/80%, <unknown>/10 + 1 more...|<unset>|#5|#2|<unknown>", "v2"},
      {"", "persistentvolumeclaims",
       R"({"metadata":{"name":"c","deletionTimestamp":"2024-05-10T11:00:00Z"},"spec":{"volumeName":"v",
           "storageClassName":"fast","volumeMode":"Filesystem"},"status":{"phase":"Bound",
           "accessModes":["ReadWriteMany","ReadWriteOnce"],"capacity":{"storage":"1Gi"}}})",
       "Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|VolumeMode",
       "c|Terminating|v|1Gi|RWO,RWX|fast|<unset>|<unknown>|Filesystem"},
      {"storage.k8s.io", "storageclasses",
       R"({"metadata":{"name":"s","annotations":{"storageclass.kubernetes.io/is-default-class":"true"}},"provisioner":"p"})",
       "Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age",
       "s (default)|p|Delete|Immediate|#false|<unknown>"},
      {"rbac.authorization.k8s.io", "rolebindings",
       R"({"metadata":{"name":"b"},"roleRef":{"kind":"Role","name":"r"},"subjects":[{"kind":"User","name":"u"},
           {"kind":"ServiceAccount","name":"s","namespace":"n"},{"kind":"User","name":"v"}]})",
       "Name|Role|Age|Users|Groups|ServiceAccounts", "b|Role/r|<unknown>|u, v||n/s"},
      {"rbac.authorization.k8s.io", "roles",
       R"({"metadata":{"name":"r","creationTimestamp":"2024-05-10T11:00:00Z"}})", "Name|Created At",
       "r|2024-05-10T11:00:00Z"},
      {"certificates.k8s.io", "certificatesigningrequests",
       R"({"metadata":{"name":"c"},"spec":{"request":"AA==","signerName":"s","username":"u","expirationSeconds":3600,
           "usages":["client auth"]},"status":{"conditions":[{"type":"Approved","status":"True"}],"certificate":"AA=="}})",
       "Name|Age|SignerName|Requestor|RequestedDuration|Condition",
       "c|<unknown>|s|u|60m|Approved,Issued"},
      {"coordination.k8s.io", "leases",
       R"({"metadata":{"name":"l"},"spec":{"holderIdentity":"me"}})", "Name|Holder|Age",
       "l|me|<unknown>"},
      {"scheduling.k8s.io", "priorityclasses",
       R"({"metadata":{"name":"p"},"value":10,"preemptionPolicy":"Never"})",
       "Name|Value|Global-Default|Age|PreemptionPolicy", "p|#10|#false|<unknown>|Never"},
  };
  for (const Case& c : cases) {
    JsonValue table = Table(Object(c.group, c.plural, c.json, c.version));
    EXPECT_EQ(Columns(table), c.columns);
    EXPECT_EQ(Row(table), c.row);
  }
}

// Ready | Status | Restarts of pods.
TEST(Tables, PodStatus) {
  struct PodCase {
    std::string_view what, json, expected;
  };
  const PodCase cases[] = {
      {"pending", R"({"spec":{"containers":[{"name":"a"}]},"status":{"phase":"Pending"}})",
       "0/1|Pending|0"},
      {"gated",
       R"({"spec":{"containers":[{"name":"a"}]},"status":{"phase":"Pending","conditions":[
           {"type":"PodScheduled","status":"False","reason":"SchedulingGated"}]}})",
       "0/1|SchedulingGated|0"},
      {"creating",
       R"({"spec":{"containers":[{"name":"a"}]},"status":{"phase":"Pending","containerStatuses":[
           {"name":"a","state":{"waiting":{"reason":"ContainerCreating"}}}]}})",
       "0/1|ContainerCreating|0"},
      {"running",
       R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]},"status":{"phase":"Running","containerStatuses":[
           {"name":"a","ready":true,"state":{"running":{}}},{"name":"b","state":{"running":{}},"restartCount":2,
           "lastState":{"terminated":{"exitCode":1,"finishedAt":"2024-05-10T11:55:00Z"}}}]}})",
       "1/2|Running|2 (5m ago)"},
      {"crash loop",
       R"({"spec":{"containers":[{"name":"a"}]},"status":{"phase":"Running","containerStatuses":[{"name":"a",
           "restartCount":3,"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}})",
       "0/1|CrashLoopBackOff|3"},
      {"first init container runs",
       R"({"spec":{"initContainers":[{"name":"i"},{"name":"k"}],"containers":[{"name":"a"}]},"status":{"phase":"Pending",
           "initContainerStatuses":[{"name":"i","restartCount":1,"state":{"running":{}}},{"name":"k","state":{"waiting":
           {"reason":"PodInitializing"}}}],"containerStatuses":[{"name":"a","state":{"waiting":
           {"reason":"PodInitializing"}}}]}})",
       "0/1|Init:0/2|1"},
      {"second init container fails",
       R"({"spec":{"initContainers":[{"name":"i"},{"name":"k"}],"containers":[{"name":"a"}]},"status":{"phase":"Pending",
           "initContainerStatuses":[{"name":"i","state":{"terminated":{"exitCode":0}}},{"name":"k","restartCount":4,
           "state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}})",
       "0/1|Init:CrashLoopBackOff|4"},
      {"init container exits by itself",
       R"({"spec":{"initContainers":[{"name":"i"}],"containers":[{"name":"a"}]},"status":{"phase":"Failed",
           "initContainerStatuses":[{"name":"i","state":{"terminated":{"exitCode":3}}}]}})",
       "0/1|Init:ExitCode:3|0"},
      {"sidecar counts",
       R"({"spec":{"initContainers":[{"name":"s","restartPolicy":"Always"}],"containers":[{"name":"a"}]},
           "status":{"phase":"Running","conditions":[{"type":"Initialized","status":"True"}],
           "initContainerStatuses":[{"name":"s","started":true,"ready":true,"restartCount":1,"state":{"running":{}}}],
           "containerStatuses":[{"name":"a","ready":true,"restartCount":2,"state":{"running":{}}}]}})",
       "2/2|Running|3"},
      {"completed",
       R"({"spec":{"containers":[{"name":"a"}]},"status":{"phase":"Succeeded","containerStatuses":[{"name":"a",
           "state":{"terminated":{"exitCode":0,"reason":"Completed"}}}]}})",
       "0/1|Completed|0"},
      {"one completed, one runs and is ready",
       R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]},"status":{"phase":"Running","conditions":[
           {"type":"Ready","status":"True"}],"containerStatuses":[{"name":"a","state":{"terminated":
           {"exitCode":0,"reason":"Completed"}}},{"name":"b","ready":true,"state":{"running":{}}}]}})",
       "1/2|Running|0"},
      {"one completed, one runs, pod not ready",
       R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]},"status":{"phase":"Running","containerStatuses":[
           {"name":"a","state":{"terminated":{"exitCode":0,"reason":"Completed"}}},
           {"name":"b","ready":true,"state":{"running":{}}}]}})",
       "1/2|NotReady|0"},
      {"one completed, one failed",
       R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]},"status":{"phase":"Failed","containerStatuses":[
           {"name":"a","state":{"terminated":{"exitCode":0,"reason":"Completed"}}},
           {"name":"b","state":{"terminated":{"exitCode":1,"reason":"Error"}}}]}})",
       "0/2|Error|0"},
      {"killed by a signal",
       R"({"spec":{"containers":[{"name":"a"}]},"status":{"phase":"Failed","containerStatuses":[{"name":"a",
           "state":{"terminated":{"exitCode":137,"signal":9}}}]}})",
       "0/1|Signal:9|0"},
      {"evicted",
       R"({"spec":{"containers":[{"name":"a"}]},"status":{"phase":"Failed","reason":"Evicted"}})",
       "0/1|Evicted|0"},
      {"terminating",
       R"({"metadata":{"deletionTimestamp":"2024-05-10T11:00:00Z"},"spec":{"containers":[{"name":"a"}]},
           "status":{"phase":"Running","containerStatuses":[{"name":"a","ready":true,"state":{"running":{}}}]}})",
       "1/1|Terminating|0"},
      {"node lost",
       R"({"metadata":{"deletionTimestamp":"2024-05-10T11:00:00Z"},"spec":{"containers":[{"name":"a"}]},
           "status":{"phase":"Running","reason":"NodeLost"}})",
       "0/1|Unknown|0"},
  };
  for (const PodCase& c : cases) {
    std::string row = Row(Table(Object("", "pods", c.json)));
    EXPECT_THAT(row, ::testing::StartsWith(std::string(c.expected) + "|")) << c.what;
  }
}

TEST(Tables, PodWideColumnsAndCompletedRow) {
  JsonValue table = Table(
      Object("", "pods", R"({"metadata":{"name":"p","creationTimestamp":"2024-05-01T12:00:00Z"},
      "spec":{"nodeName":"n1","containers":[{"name":"a"}],"readinessGates":[{"conditionType":"x"},{"conditionType":"y"}]},
      "status":{"phase":"Succeeded","podIPs":[{"ip":"10.42.0.3"}],"conditions":[{"type":"y","status":"True"}]}})"));
  EXPECT_EQ(Columns(table),
            "Name|Ready|Status|Restarts|Age|IP|Node|Nominated Node|Readiness Gates");
  EXPECT_EQ(Row(table), "p|0/1|Succeeded|0|9d|10.42.0.3|n1|<none>|1/2");
  EXPECT_EQ(table.Find("rows")->as_array()[0].Find("conditions")->ToString(),
            R"([{"type":"Completed","status":"True","reason":"Succeeded",)"
            R"("message":"The pod has completed successfully."}])");
}

TEST(Tables, RowObject) {
  api::ObjectPtr object =
      Object("", "configmaps",
             R"({"metadata":{"name":"c","namespace":"n","resourceVersion":"5"},"data":{"a":"b"}})");
  auto row_object = [&](TableOptions::Include include) {
    return Table(object, TableOptions(false, include))
        .Find("rows")
        ->as_array()[0]
        .Find("object")
        ->ToString();
  };
  EXPECT_EQ(row_object(TableOptions::Include::kNone), "null");
  EXPECT_EQ(row_object(TableOptions::Include::kMetadata),
            R"({"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":)"
            R"({"name":"c","namespace":"n","resourceVersion":"5"}})");
  EXPECT_EQ(row_object(TableOptions::Include::kObject),
            R"({"kind":"ConfigMap","apiVersion":"v1","metadata":)"
            R"({"name":"c","namespace":"n","resourceVersion":"5"},"data":{"a":"b"}})");
}

TEST(Tables, Head) {
  std::string out;
  const api::KindInfo& kind = *api::FindResource("", "v1", "configmaps");
  AppendTable(kind, {}, 12, "tok", 30, TableOptions(true, TableOptions::Include::kNone), kNow,
              &out);
  EXPECT_EQ(out,
            R"({"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"12",)"
            R"("continue":"tok","remainingItemCount":30},"columnDefinitions":null,"rows":[]})");
  out.clear();
  AppendTable(kind, {}, 0, "", std::nullopt, TableOptions(), kNow, &out);
  EXPECT_EQ(Columns(*JsonValue::Parse(out)), "Name|Data|Age");
}

// Columns of every kind against the published facts of the API, where those are beside the
// repository.
TEST(Tables, ColumnsMatchTheFacts) {
  std::ifstream in("../shared/k8s-api/printer_columns.json");
  std::stringstream text;
  text << in.rdbuf();
  if (!in || text.str().empty()) GTEST_SKIP() << "no facts at hand";
  auto facts = JsonValue::Parse(text.str());
  ASSERT_TRUE(facts.ok());
  for (const JsonValue& fact : facts->Find("kinds")->as_array()) {
    const JsonValue* group = fact.Find("group");
    std::string_view group_name = group ? std::string_view(group->as_string()) : "";
    const std::string& kind_name = fact.Find("kind")->as_string();
    for (const api::KindInfo& kind : api::AllKinds()) {
      if (kind.kind != kind_name || (kind.group != group_name && kind_name != "Event")) continue;
      std::string out;
      AppendTable(kind, {}, 0, "", std::nullopt, TableOptions(), kNow, &out);
      JsonValue columns = *JsonValue::Parse(out)->Find("columnDefinitions");
      for (JsonValue& column : columns.as_array())
        column.Erase("description");
      JsonValue expected = *fact.Find("columns");
      for (JsonValue& column : expected.as_array())
        column.Erase("from");
      EXPECT_TRUE(columns == expected) << kind_name << ": " << columns.ToString();
    }
  }
}

TEST(Tables, SingleMessage) {
  api::autoscaling::v1::Scale scale;
  scale.mutable_metadata()->set_name("web");
  scale.mutable_spec()->set_replicas(3);
  std::string out;
  AppendTable(scale, 0, TableOptions(false, TableOptions::Include::kNone), kNow, &out);
  EXPECT_EQ(Row(*JsonValue::Parse(out)), "web|#3|#0|<unknown>");
}

TEST(PartialMetadata, List) {
  api::ObjectPtr object = Object("", "configmaps", R"({"metadata":{"name":"c"},"data":{"a":"b"}})");
  std::string out;
  AppendPartialMetadataList(std::span(&object, 1), 9, "", std::nullopt, &out);
  EXPECT_EQ(out, R"({"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":)"
                 R"({"resourceVersion":"9"},"items":[{"kind":"PartialObjectMetadata",)"
                 R"("apiVersion":"meta.k8s.io/v1","metadata":{"name":"c"}}]})");
}

}  // namespace
}  // namespace gantry::apiserver
