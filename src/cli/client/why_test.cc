#include "cli/client/why.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/duration.h"

namespace gantry::cli {
namespace {

using api::JsonValue;
using testing::HasSubstr;

JsonValue Json(const std::string& text) { return *JsonValue::Parse(text); }

JsonValue Pod(const std::string& spec, const std::string& status, const std::string& meta = "") {
  return Json(
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"default","uid":"u1")" +
      (meta.empty() ? "" : "," + meta) + R"(},"spec":{)" + spec + R"(},"status":{)" + status +
      "}}");
}

JsonValue Event(const std::string& reason, const std::string& message) {
  JsonValue event;
  event["reason"] = reason;
  event["message"] = message;
  event["lastTimestamp"] = "2026-01-01T00:00:00Z";
  return event;
}

JsonValue Node(const std::string& name, const std::string& spec, const std::string& labels = "") {
  return Json(
      R"({"metadata":{"name":")" + name + R"(","labels":{)" + labels + R"(}},"spec":{)" + spec +
      R"(},"status":{"allocatable":{"cpu":"2","memory":"4Gi","pods":"10"},"conditions":[{"type":"Ready","status":"True"}]}})");
}

std::string Explain(PodFacts facts) {
  facts.now = *api::ParseTime("2026-01-01T00:01:00Z");
  return FormatFindings(PodHeadline(facts), FindPodProblems(facts));
}

const char* const kAsksFor3Cpu =
    R"("containers":[{"name":"main","image":"i","resources":{"requests":{"cpu":"3"}}}])";

TEST(Why, NamesTheNearestNodeForAPodThatIsTooLarge) {
  PodFacts facts;
  facts.pod = Pod(kAsksFor3Cpu, R"("phase":"Pending")");
  facts.nodes = {Node("vm", "")};
  facts.pods = {Json(
      R"({"metadata":{"name":"other","namespace":"default","uid":"u2"},"spec":{"nodeName":"vm","containers":[
    {"name":"c","resources":{"requests":{"cpu":"800m"}}}]},"status":{"phase":"Running"}})")};
  const std::string text = Explain(facts);
  EXPECT_THAT(text, HasSubstr("pod default/web is Pending\n"));
  EXPECT_THAT(text, HasSubstr("0/1 nodes are available: 1 Insufficient cpu."));
  EXPECT_THAT(text, HasSubstr("it needs 3 cpu; the largest free is 1200m on node vm: lower "
                              "requests.cpu to 1200m, or add a larger node"));
}

TEST(Why, ExplainsEveryFilter) {
  struct Row {
    const char *spec, *node_spec, *labels, *want;
  };
  const char* const plain = R"("containers":[{"name":"main","image":"i"}])";
  const char* const selects =
      R"("nodeSelector":{"disk":"ssd"},"containers":[{"name":"main","image":"i"}])";
  const Row rows[] = {
      {plain, R"("unschedulable":true)", "", "Fix: gantry uncordon vm"},
      {plain, R"("taints":[{"key":"gpu","value":"yes","effect":"NoSchedule"}])", "",
       "tolerations: [{key: gpu, operator: Equal, value: \"yes\", effect: NoSchedule}]"},
      {plain, R"("taints":[{"key":"gpu","effect":"NoSchedule"}])", "",
       "gantry taint node vm gpu:NoSchedule-"},
      {plain, R"("taints":[{"key":"node.kubernetes.io/not-ready","effect":"NoSchedule"}])", "",
       "node vm is not ready"},
      {selects, "", "", "Fix: gantry label node vm disk=ssd, or"},
      {selects, "", R"("disk":"hdd")", "node vm has label disk=hdd, not ssd"},
      {R"("schedulingGates":[{"name":"g"}],"containers":[])", "", "", "gate g"},
      {R"("schedulerName":"mine","containers":[])", "", "", "the scheduler \"mine\""},
      {plain, "", "", "node vm would take it"},
  };
  for (const Row& row : rows) {
    PodFacts facts;
    facts.pod = Pod(row.spec, R"("phase":"Pending")");
    facts.nodes = {Node("vm", row.node_spec, row.labels)};
    EXPECT_THAT(Explain(facts), HasSubstr(row.want));
  }
}

TEST(Why, NamesTheNearestChanges) {
  struct Row {
    const char *spec, *want;
  };
  const Row rows[] = {
      {R"("nodeSelector":{"disk":"ssd"},"containers":[{"name":"main"}])",
       "Fix: a toleration for dedicated=gpu:NoSchedule would allow 2 nodes\n"
       "Fix: leaving out nodeSelector would allow 1 node\n"},
      {R"("affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"zone","labelSelector":{"matchLabels":{"app":"x"}}}]}},"containers":[{"name":"main"}])",
       "Fix: making the required podAffinity a preferred one would allow 1 node\n"},
      {R"("affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"zone","labelSelector":{"matchLabels":{"app":"x"}}}]}},"containers":[{"name":"main"}])",
       "it must stand by zone beside pods with app=x in namespace default"},
      {R"("topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"web"}}}],"containers":[{"name":"main"}])",
       "maxSkew: 2 over zone would allow 1 node"},
      {R"("containers":[{"name":"main","resources":{"requests":{"cpu":"2200m"}}}])",
       "it needs 200m more cpu on node plain"},
  };
  for (const Row& row : rows) {
    PodFacts facts;
    facts.pod = Pod(row.spec, R"("phase":"Pending")", R"("labels":{"app":"web"})");
    const char* const taint =
        R"("taints":[{"key":"dedicated","value":"gpu","effect":"NoSchedule"}])";
    facts.nodes = {Node("plain", "", R"("zone":"a")"),
                   Node("gpu-1", taint, R"("zone":"b","disk":"ssd")"),
                   Node("gpu-2", taint, R"("zone":"b","disk":"ssd")")};
    facts.pods = {Json(
        R"({"metadata":{"name":"w","namespace":"default","uid":"u3","labels":{"app":"web"}},"spec":{"nodeName":"plain","containers":[]}})")};
    EXPECT_THAT(Explain(facts), HasSubstr(row.want));
  }
}

TEST(Why, FindsTheHolderOfAHostPort) {
  PodFacts facts;
  const std::string containers =
      R"("containers":[{"name":"main","image":"i","ports":[{"containerPort":80,"hostPort":80,"protocol":"TCP"}]}])";
  facts.pod = Pod(containers, R"("phase":"Pending")");
  facts.nodes = {Node("vm", "")};
  facts.pods = {Json(
      R"({"metadata":{"name":"other","namespace":"default","uid":"u2"},"spec":{"nodeName":"vm",)" +
      containers + "}}")};
  EXPECT_THAT(Explain(facts), HasSubstr("node vm: port 80/TCP is taken by pod default/other"));
}

TEST(Why, ExplainsContainers) {
  struct Row {
    const char *status, *reason, *message, *want;
  };
  const Row rows[] = {
      {R"("restartCount":4,"state":{"waiting":{"reason":"CrashLoopBackOff","message":"back-off 40s restarting"}},"lastState":{"terminated":{"exitCode":127}})",
       "", "", "exit code 127: the command was not found"},
      {R"("restartCount":4,"state":{"waiting":{"reason":"CrashLoopBackOff","message":"back-off 40s restarting"}},"lastState":{"terminated":{"exitCode":1}})",
       "", "", "  | boom"},
      {R"("restartCount":4,"state":{"waiting":{"reason":"CrashLoopBackOff","message":"back-off 40s restarting"}},"lastState":{"terminated":{"exitCode":1}})",
       "", "",
       "restarted 4 times; the next start waits (CrashLoopBackOff): back-off 40s restarting"},
      {R"("state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"exitCode":137,"reason":"OOMKilled"}})",
       "", "", "its limit is resources.limits.memory=64Mi"},
      {R"("image":"x:1","state":{"waiting":{"reason":"ImagePullBackOff","message":"Back-off pulling image"}})",
       "Failed", "Failed to pull image \"x:1\": manifest unknown", "there is no such tag"},
      {R"("image":"x:1","state":{"waiting":{"reason":"ErrImageNeverPull","message":"not present"}})",
       "", "", "gantry image import"},
      {R"("state":{"waiting":{"reason":"CreateContainerConfigError","message":"configmap \"settings\" not found"}})",
       "", "", "create configmap settings in namespace default"},
      {R"("state":{"waiting":{"reason":"ContainerCreating"}})", "FailedMount",
       "MountVolume.SetUp failed for volume \"v\" : secret \"keys\" not found",
       "create secret keys in namespace default"},
      {R"("started":true,"ready":false,"state":{"running":{}})", "Unhealthy",
       "Readiness probe failed: HTTP probe failed with statuscode: 404",
       "the program does not know that path"},
      {R"("started":true,"ready":false,"state":{"running":{}})", "Unhealthy",
       "Readiness probe failed: dial tcp: connection refused", "nothing listens on that port yet"},
      {R"("started":false,"ready":false,"state":{"running":{}})", "", "",
       "its startup probe does not succeed"},
      {R"("started":true,"ready":true,"state":{"running":{}})", "", "",
       "Nothing is wrong with it."},
  };
  for (const Row& row : rows) {
    PodFacts facts;
    facts.pod = Pod(
        R"("nodeName":"vm","restartPolicy":"Always","containers":[{"name":"main","image":"x:1","resources":{"limits":{"memory":"64Mi"}}}])",
        std::string(R"("phase":"Running","containerStatuses":[{"name":"main",)") + row.status +
            "}]");
    facts.nodes = {Node("vm", "")};
    if (*row.reason != '\0') facts.events = {Event(row.reason, row.message)};
    facts.last_logs["main"] = "boom\n";
    EXPECT_THAT(Explain(facts), HasSubstr(row.want));
  }
}

TEST(Why, ExplainsDeletionAndNodes) {
  PodFacts facts;
  facts.pod = Pod(
      R"("nodeName":"gone","containers":[])", R"("phase":"Running")",
      R"("deletionTimestamp":"2026-01-01T00:00:30Z","deletionGracePeriodSeconds":30,"finalizers":["a/b"])");
  facts.nodes = {Node("vm", "")};
  const std::string text = Explain(facts);
  EXPECT_THAT(text, HasSubstr("is Terminating"));
  EXPECT_THAT(text, HasSubstr("finalizer a/b keeps it"));
  EXPECT_THAT(text, HasSubstr("its node gone does not exist"));
}

TEST(Why, ExplainsWhatMakesNoPods) {
  const JsonValue set =
      Json(R"({"kind":"ReplicaSet","metadata":{"name":"web"},"spec":{"replicas":1},"status":{}})");
  const std::vector<JsonValue> events = {
      Event("FailedCreate", "Error creating: pods \"web-1\" is forbidden: exceeded quota: q")};
  const std::string text = FormatFindings("web", FindWorkloadProblems(set, events));
  EXPECT_THAT(text, HasSubstr("its pods are refused: Error creating"));
  EXPECT_THAT(text, HasSubstr("raise the ResourceQuota"));
}

TEST(Why, ExplainsServices) {
  struct Row {
    const char *spec, *pods, *want;
  };
  const char* const ready =
      R"([{"metadata":{"name":"web-1","labels":{"app":"web"}},
        "spec":{"containers":[{"ports":[{"name":"http","containerPort":80}]}]},
        "status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}])";
  const char* const unready =
      R"([{"metadata":{"name":"web-1","labels":{"app":"web"}},"spec":{"containers":[]},
        "status":{"phase":"Running","conditions":[{"type":"Ready","status":"False"}]}}])";
  const Row rows[] = {
      {R"("selector":{"app":"wep"},"ports":[])", ready, "it selects: app=wep"},
      {R"("selector":{"app":"wep"},"ports":[])", ready, "pods with app=web: 1"},
      {R"("selector":{"app":"web"},"ports":[])", unready, "Fix: see why: gantry why web-1"},
      {R"("selector":{"app":"web"},"ports":[{"port":80,"targetPort":"nope"}])", ready,
       "none of its pods has a port with the name \"nope\""},
      {R"("selector":{"app":"web"},"ports":[{"port":80,"targetPort":"http"}])", ready,
       "Nothing is wrong with it."},
      {R"("ports":[])", ready, "it selects no pods"},
      {R"("type":"ExternalName","externalName":"example.com")", ready, "Nothing is wrong with it."},
  };
  for (const Row& row : rows) {
    const JsonValue service = Json(R"({"metadata":{"name":"web","namespace":"default"},"spec":{)" +
                                   std::string(row.spec) + "}}");
    const std::string text = FormatFindings(
        "web", FindServiceProblems(service, Json(row.pods).as_array(), {}), "gantry get svc web");
    EXPECT_THAT(text, HasSubstr(row.want));
    EXPECT_TRUE(text.ends_with("More: gantry get svc web\n"));
  }
}

TEST(Why, NamesThePoliciesBeforeAService) {
  const JsonValue service = Json(
      R"({"metadata":{"name":"web","namespace":"default"},"spec":{"selector":{"app":"web"}}})");
  const JsonValue pods = Json(R"([{"metadata":{"name":"web-1","labels":{"app":"web"}}},
      {"metadata":{"name":"db-1","labels":{"app":"db"}}}])");
  struct Row {
    const char *policies, *want;
  };
  const Row rows[] = {
      {R"([])", "Nothing is wrong with it."},
      {R"([{"metadata":{"name":"db"},"spec":{"podSelector":{"matchLabels":{"app":"db"}},"policyTypes":["Ingress"]}}])",
       "Nothing is wrong with it."},
      {R"([{"metadata":{"name":"out"},"spec":{"podSelector":{},"policyTypes":["Egress"]}}])",
       "Nothing is wrong with it."},
      {R"([{"metadata":{"name":"deny"},"spec":{"podSelector":{},"policyTypes":["Ingress"]}}])",
       "a network policy lets nobody but the node connect to its pods"},
      {R"([{"metadata":{"name":"deny"},"spec":{"podSelector":{},"policyTypes":["Ingress"]}},
           {"metadata":{"name":"allow"},"spec":{"podSelector":{"matchExpressions":[{"key":"app","operator":"In","values":["web"]}]},
            "policyTypes":["Ingress"],"ingress":[{}]}}])",
       "networkpolicy allow selects 1 of its pods, and has 1 ingress rule"},
  };
  for (const Row& row : rows) {
    EXPECT_THAT(FormatFindings("web", FindPolicyProblems(service, pods.as_array(),
                                                         Json(row.policies).as_array())),
                HasSubstr(row.want));
  }
}

TEST(Why, ExplainsOtherObjects) {
  const JsonValue node = Json(
      R"({"kind":"Node","metadata":{"name":"vm"},"spec":{"unschedulable":true},
        "status":{"conditions":[{"type":"MemoryPressure","status":"False"},
          {"type":"Ready","status":"Unknown","reason":"NodeStatusUnknown","message":"Kubelet stopped posting node status."}]}})");
  const std::string text = FormatFindings("vm", FindOtherProblems(node, {}, WallTime()));
  EXPECT_THAT(text, HasSubstr("Fix: gantry uncordon vm"));
  EXPECT_THAT(text, HasSubstr("condition Ready is Unknown: NodeStatusUnknown"));
  EXPECT_THAT(text, testing::Not(HasSubstr("MemoryPressure")));
}

TEST(Why, NamesTheNamespaceInItsCommands) {
  EXPECT_EQ(WithNamespace("see: gantry logs web -p, gantry uncordon vm", "a"),
            "see: gantry -n a logs web -p, gantry uncordon vm");
  EXPECT_EQ(WithNamespace("gantry logs web", ""), "gantry logs web");
}

}  // namespace
}  // namespace gantry::cli
