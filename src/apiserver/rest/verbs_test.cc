#include <gtest/gtest.h>

#include "api/envelope.h"
#include "api/meta/v1/status.pb.h"
#include "apiserver/testing/api_fixture.h"

namespace gantry::apiserver {
namespace {

constexpr const char* kPods = "/api/v1/namespaces/default/pods";
constexpr const char* kMaps = "/api/v1/namespaces/default/configmaps";

std::string MapJson(std::string name, std::string extra = {}) {
  return R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":")" + name + "\"" + extra +
         R"(},"data":{"a":"1"}})";
}

struct Verbs : ::testing::Test, ApiFixture {
  Verbs() { MakeDefaultAccount(); }
};

TEST_F(Verbs, CreateGivesTheObjectBackAsItIsStored) {
  Reply made = Post(kPods, PodJson("a"));
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.At("kind"), "Pod");
  EXPECT_EQ(made.At("metadata.namespace"), "default");
  EXPECT_EQ(made.At("metadata.creationTimestamp"), "2026-01-01T00:00:00Z");
  EXPECT_EQ(made.At("metadata.generation"), "1");
  EXPECT_NE(made.At("metadata.uid"), "");
  EXPECT_EQ(made.At("status.phase"), "Pending");
  EXPECT_EQ(made.At("status.qosClass"), "BestEffort");
  EXPECT_EQ(made.At("spec.restartPolicy"), "Always");
  EXPECT_EQ(made.At("spec.serviceAccountName"), "default");
  EXPECT_EQ(made.At("spec.containers.0.volumeMounts.0.mountPath"),
            "/var/run/secrets/kubernetes.io/serviceaccount");
  EXPECT_EQ(made.At("spec.tolerations.0.tolerationSeconds"), "300");
  EXPECT_EQ(made.At("spec.priority"), "0");
  EXPECT_EQ(made.At("metadata.managedFields.0.operation"), "Update");

  Reply got = Get(std::string(kPods) + "/a");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, made.body);
}

TEST_F(Verbs, LabelKeysOfAffinityBecomePartOfTheSelector) {
  Reply made = Post(kPods, R"({"metadata":{"name":"a","labels":{"version":"v1","tenant":"red"}},
    "spec":{"containers":[{"name":"c","image":"i"}],"affinity":{
      "podAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,
        "podAffinityTerm":{"topologyKey":"zone","labelSelector":{"matchLabels":{"app":"web"}},
        "matchLabelKeys":["missing","version"],"mismatchLabelKeys":["tenant"]}}]},
      "podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[
        {"topologyKey":"zone","labelSelector":{},"matchLabelKeys":["version"]},
        {"topologyKey":"zone"}]}}}})");
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string affinity =
      "spec.affinity.podAffinity."
      "preferredDuringSchedulingIgnoredDuringExecution.0.podAffinityTerm.";
  EXPECT_EQ(made.At(affinity + "labelSelector.matchExpressions"),
            R"([{"key":"version","operator":"In","values":["v1"]},)"
            R"({"key":"tenant","operator":"NotIn","values":["red"]}])");
  const std::string anti =
      "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution.";
  EXPECT_EQ(made.At(anti + "0.labelSelector.matchExpressions"),
            R"([{"key":"version","operator":"In","values":["v1"]}])");
  EXPECT_EQ(made.At(anti + "1.labelSelector"), "");
}

TEST_F(Verbs, ErrorsSayWhatKubernetesSays) {
  ASSERT_EQ(Post(kPods, PodJson("a")).status, 201);
  ASSERT_EQ(Post(kMaps, MapJson("m")).status, 201);
  struct Row {
    std::string method, target, body;
    int status;
    std::string reason, message;
  };
  const std::string pods = kPods, maps = kMaps;
  const Row rows[] = {
      {"GET", pods + "/b", "", 404, "NotFound", "pods \"b\" not found"},
      {"GET", "/apis/apps/v1/namespaces/default/deployments/b", "", 404, "NotFound",
       "deployments.apps \"b\" not found"},
      {"POST", pods, PodJson("a"), 409, "AlreadyExists", "pods \"a\" already exists"},
      {"POST", "/api/v1/namespaces/nope/pods", PodJson("a"), 404, "NotFound",
       "namespaces \"nope\" not found"},
      {"POST", pods, R"({"metadata":{"name":"x","namespace":"other"}})", 400, "BadRequest",
       "the namespace of the provided object does not match the namespace sent on the request"},
      {"PUT", maps + "/m", MapJson("n"), 400, "BadRequest",
       "the name of the object (n) does not match the name on the URL (m)"},
      {"PUT", maps + "/m", MapJson("m", R"(,"resourceVersion":"1")"), 409, "Conflict",
       "Operation cannot be fulfilled on configmaps \"m\": the object has been modified; please "
       "apply your changes to "
       "the latest version and try again"},
      {"PUT", maps + "/x", MapJson("x"), 404, "NotFound", "configmaps \"x\" not found"},
      {"DELETE", maps + "/x", "", 404, "NotFound", "configmaps \"x\" not found"},
      {"DELETE", maps + "/m", R"({"preconditions":{"uid":"no"}})", 409, "Conflict", ""},
      {"POST", maps, R"({"kind":"Pod","apiVersion":"v1"})", 400, "BadRequest",
       "Pod in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Pod) to "
       "(core.ConfigMap): unknown "
       "conversion"},
      {"POST", maps, R"({"kind":"Deployment","apiVersion":"apps/v1"})", 400, "BadRequest",
       "the API version in the data (apps/v1) does not match the expected API version (v1)"},
      {"GET", "/api/v1/foos", "", 404, "NotFound",
       "the server could not find the requested resource"},
      {"GET", "/api/v1/namespaces/default/nodes", "", 404, "NotFound",
       "the server could not find the requested resource"},
      {"PUT", pods, "{}", 405, "MethodNotAllowed",
       "the server does not allow this method on the requested resource"},
      {"DELETE", "/api/v1/pods", "", 405, "MethodNotAllowed",
       "the server does not allow this method on the requested resource"},
      {"GET", pods + "?labelSelector=a%3D%3D%3Db", "", 400, "BadRequest", ""},
      {"GET", pods + "?fieldSelector=spec.foo%3Dx", "", 400, "BadRequest",
       "field label not supported: spec.foo"},
      {"GET", maps + "?fieldSelector=data%3Dx", "", 400, "BadRequest",
       "\"data\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""},
      {"GET", pods + "?limit=x", "", 400, "BadRequest", ""},
      {"GET", pods + "?continue=x", "", 400, "BadRequest", ""},
      {"DELETE", "/api/v1/namespaces/default", "", 403, "Forbidden",
       "namespaces \"default\" is forbidden: this namespace may not be deleted"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.method + " " + row.target);
    Reply reply = Send(row.method, row.target, row.body);
    EXPECT_EQ(reply.status, row.status) << reply.body;
    EXPECT_EQ(reply.At("kind"), "Status");
    EXPECT_EQ(reply.At("status"), "Failure");
    EXPECT_EQ(reply.At("reason"), row.reason);
    if (!row.message.empty()) {
      EXPECT_EQ(reply.At("message"), row.message);
    }
    EXPECT_EQ(reply.At("code"), std::to_string(row.status));
  }
  Reply unknown = Get("/apis/none/v1/foos");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.body, "404 page not found\n");
}

TEST_F(Verbs, UpdateKeepsWhatBelongsToTheServer) {
  Reply made = Post(
      "/apis/apps/v1/namespaces/default/deployments",
      R"({"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},)"
      R"("template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}},)"
      R"("status":{"replicas":7}})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.At("status"), "{}");
  EXPECT_EQ(made.At("spec.replicas"), "1");
  const std::string target = "/apis/apps/v1/namespaces/default/deployments/d";

  Reply scaled = Patch(target, "merge-patch+json", R"({"spec":{"replicas":3}})");
  ASSERT_EQ(scaled.status, 200) << scaled.body;
  EXPECT_EQ(scaled.At("metadata.generation"), "2");
  Reply same = Patch(target, "merge-patch+json", R"({"spec":{"replicas":3}})");
  EXPECT_EQ(same.At("metadata.resourceVersion"), scaled.At("metadata.resourceVersion"));

  Reply status = Patch(target + "/status", "merge-patch+json",
                       R"({"spec":{"replicas":9},"status":{"replicas":2}})");
  EXPECT_EQ(status.At("spec.replicas"), "3");
  EXPECT_EQ(status.At("status.replicas"), "2");
  EXPECT_EQ(status.At("metadata.generation"), "2");

  Reply scale = Get(target + "/scale");
  EXPECT_EQ(scale.At("kind"), "Scale");
  EXPECT_EQ(scale.At("spec.replicas"), "3");
  EXPECT_EQ(scale.At("status.replicas"), "2");
  EXPECT_EQ(scale.At("status.selector"), "a=b");
  Reply put = Put(target + "/scale", R"({"metadata":{"name":"d"},"spec":{"replicas":5}})");
  EXPECT_EQ(put.status, 200) << put.body;
  EXPECT_EQ(Get(target).At("spec.replicas"), "5");
}

TEST_F(Verbs, DeleteWaitsForGracePeriodsAndFinalizers) {
  ASSERT_EQ(Post(kPods, PodJson("free")).status, 201);
  EXPECT_EQ(Delete(std::string(kPods) + "/free").status, 200);
  EXPECT_EQ(Get(std::string(kPods) + "/free").status, 404);

  ASSERT_EQ(Post(kPods, PodJson("bound", R"("nodeName":"n1",)")).status, 201);
  Reply going = Delete(std::string(kPods) + "/bound");
  EXPECT_EQ(going.At("kind"), "Pod");
  EXPECT_EQ(going.At("metadata.deletionGracePeriodSeconds"), "30");
  EXPECT_EQ(going.At("metadata.deletionTimestamp"), "2026-01-01T00:00:30Z");
  EXPECT_EQ(Delete(std::string(kPods) + "/bound").At("metadata.resourceVersion"),
            going.At("metadata.resourceVersion"));
  EXPECT_EQ(Delete(std::string(kPods) + "/bound", R"({"gracePeriodSeconds":0})").status, 200);
  EXPECT_EQ(Get(std::string(kPods) + "/bound").status, 404);

  ASSERT_EQ(Post(kMaps, MapJson("held", R"(,"finalizers":["example.com/x"])")).status, 201);
  Reply held = Delete(std::string(kMaps) + "/held");
  EXPECT_EQ(held.At("kind"), "ConfigMap");
  EXPECT_EQ(held.At("metadata.deletionGracePeriodSeconds"), "0");
  EXPECT_EQ(
      Patch(std::string(kMaps) + "/held", "merge-patch+json", R"({"metadata":{"finalizers":null}})")
          .status,
      200);
  EXPECT_EQ(Get(std::string(kMaps) + "/held").status, 404);

  ASSERT_EQ(Post(kMaps, MapJson("plain")).status, 201);
  Reply gone = Delete(std::string(kMaps) + "/plain");
  EXPECT_EQ(gone.At("kind"), "Status");
  EXPECT_EQ(gone.At("status"), "Success");
  EXPECT_EQ(gone.At("details.kind"), "configmaps");

  ASSERT_EQ(Post(kMaps, MapJson("fg")).status, 201);
  EXPECT_EQ(
      Delete(std::string(kMaps) + "/fg?propagationPolicy=Foreground").At("metadata.finalizers.0"),
      "foregroundDeletion");
}

TEST_F(Verbs, ListsComeInPagesThatAgree) {
  for (const char* name : {"a", "b", "c", "d", "e"})
    ASSERT_EQ(Post(kMaps, MapJson(name)).status, 201);
  Reply first = Get(std::string(kMaps) + "?limit=2");
  EXPECT_EQ(first.At("kind"), "ConfigMapList");
  EXPECT_EQ(first.At("items.0.metadata.name"), "a");
  EXPECT_EQ(first.At("items.0.kind"), "");
  EXPECT_EQ(first.At("metadata.remainingItemCount"), "3");
  // A change between two pages is not seen by the second.
  ASSERT_EQ(Delete(std::string(kMaps) + "/d").status, 200);
  Reply second = Get(std::string(kMaps) + "?limit=10&continue=" + first.At("metadata.continue"));
  EXPECT_EQ(second.At("metadata.resourceVersion"), first.At("metadata.resourceVersion"));
  EXPECT_EQ(second.At("items.1.metadata.name"), "d");
  EXPECT_EQ(second.At("items.2.metadata.name"), "e");
  EXPECT_EQ(second.At("metadata.continue"), "");
  EXPECT_EQ(Get(std::string(kMaps) + "?resourceVersion=999999").status, 504);
}

TEST_F(Verbs, WatchTellsChangesFromARevision) {
  Reply made = Post(kMaps, MapJson("w"));
  const std::string from = made.At("metadata.resourceVersion");
  Patch(std::string(kMaps) + "/w", "merge-patch+json", R"({"data":{"a":"2"}})");
  Delete(std::string(kMaps) + "/w");
  Reply watch = Get(std::string(kMaps) + "?watch=true&timeoutSeconds=1&resourceVersion=" + from);
  EXPECT_EQ(watch.status, 200);
  std::vector<api::JsonValue> events = watch.Lines();
  ASSERT_EQ(events.size(), 2u) << watch.body;
  EXPECT_EQ(TextAt(events[0], "type"), "MODIFIED");
  EXPECT_EQ(TextAt(events[0], "object.data.a"), "2");
  EXPECT_EQ(TextAt(events[1], "type"), "DELETED");
  EXPECT_EQ(TextAt(events[1], "object.metadata.name"), "w");

  ASSERT_EQ(Post(kMaps, MapJson("i")).status, 201);
  Reply initial = Get(std::string(kMaps) +
                      "?watch=true&timeoutSeconds=1&sendInitialEvents=true&allowWatchBookmarks=true"
                      "&resourceVersionMatch=NotOlderThan");
  events = initial.Lines();
  ASSERT_GE(events.size(), 2u) << initial.body;
  EXPECT_EQ(TextAt(events[0], "type"), "ADDED");
  EXPECT_EQ(TextAt(events.back(), "type"), "BOOKMARK");
  EXPECT_NE(initial.body.find("k8s.io/initial-events-end"), std::string::npos);
}

TEST_F(Verbs, DryRunWritesNothing) {
  EXPECT_EQ(Post(std::string(kMaps) + "?dryRun=All", MapJson("dry")).status, 201);
  EXPECT_EQ(Get(std::string(kMaps) + "/dry").status, 404);
  EXPECT_EQ(Post(std::string(kMaps) + "?dryRun=Some", MapJson("dry")).status, 422);
}

TEST_F(Verbs, UnknownFieldsWarnOrFail) {
  const std::string body = R"({"metadata":{"name":"f"},"dota":{"a":"1"}})";
  Reply warned = Post(std::string(kMaps) + "?fieldValidation=Warn", body);
  EXPECT_EQ(warned.status, 201);
  EXPECT_EQ(warned.headers.Get("warning"), "299 - \"unknown field \\\"dota\\\"\"");
  Reply strict = Post(std::string(kMaps) + "?fieldValidation=Strict", body);
  EXPECT_EQ(strict.status, 400);
  EXPECT_EQ(strict.At("message"),
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: "
            "unknown field \"dota\"");
}

TEST_F(Verbs, GeneratedNames) {
  Reply made = Post(kMaps, R"({"metadata":{"generateName":"g-"}})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.At("metadata.name").size(), 7u);
}

TEST_F(Verbs, FormsOfAnswers) {
  ASSERT_EQ(Post(kPods, PodJson("a")).status, 201);
  SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
  Reply table = Get(kPods);
  EXPECT_EQ(table.At("kind"), "Table");
  EXPECT_EQ(table.At("rows.0.cells.0"), "a");
  SetHeader("Accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");
  Reply partial = Get(kPods);
  EXPECT_EQ(partial.At("kind"), "PartialObjectMetadataList");
  SetHeader("Accept", "application/vnd.kubernetes.protobuf");
  Reply binary = Get(kPods);
  EXPECT_EQ(binary.body.substr(0, 4), std::string("k8s\0", 4));
  SetHeader("Accept", "application/yaml");
  EXPECT_EQ(Get(std::string(kPods) + "/a").body.substr(0, 15), "apiVersion: v1\n");
  SetHeader("Accept", "text/html");
  EXPECT_EQ(Get(kPods).status, 406);
  ClearHeaders();
  EXPECT_EQ(Send("POST", kPods, PodJson("x"), "text/plain").status, 415);
}

// What is applied once more changes nothing, whatever defaults came in between and however much
// later it is.
TEST_F(Verbs, AnApplyThatSaysTheSameChangesNothing) {
  struct Row {
    const char* target;
    const char* body;
  };
  constexpr Row kRows[] = {
      {"/apis/apps/v1/namespaces/default/deployments/d",
       R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{)"
       R"("selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{)"
       R"("tolerations":[{"key":"k","operator":"Exists"}],"volumes":[{"name":"v","projected":)"
       R"({"sources":[{"downwardAPI":{"items":[{"path":"p","fieldRef":{"fieldPath":"metadata.name"}}]}}]}}],)"
       R"("containers":[{"name":"c","image":"i","ports":[{"containerPort":80}],"env":[{"name":"N",)"
       R"("valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],"readinessProbe":{"httpGet":)"
       R"({"port":80}},"resources":{"limits":{"cpu":"0.5","memory":"1024Mi"}}},)"
       R"({"name":"bare","image":"i"}]}}}})"},
      {"/api/v1/namespaces/default/services/s",
       R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"type":"NodePort",)"
       R"("selector":{"a":"b"},"ports":[{"port":80}]}})"},
      {"/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/n",
       R"({"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"n"},)"
       R"("spec":{"podSelector":{},"ingress":[{"ports":[{"port":80}]}]}})"},
      {"/api/v1/namespaces/default/configmaps/m",
       R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"data":{"a":"1"}})"},
  };
  for (const Row& row : kRows) {
    const std::string target = std::string(row.target) + "?fieldManager=me";
    Reply made = Patch(target, "apply-patch+yaml", row.body);
    ASSERT_EQ(made.status, 201) << made.body;
    env().Advance(std::chrono::seconds(3));
    Reply again = Patch(target, "apply-patch+yaml", row.body);
    EXPECT_EQ(again.status, 200) << again.body;
    EXPECT_EQ(again.body, made.body);
  }
}

// An error comes in the form that the client reads; one that reads none of them gets JSON.
TEST_F(Verbs, FormsOfErrors) {
  const std::string missing = std::string(kPods) + "/none";
  auto sent_as = [&](const std::string& accept) {
    SetHeader("Accept", accept);
    Reply reply = Get(missing);
    EXPECT_EQ(reply.status, 404) << accept;
    EXPECT_EQ(std::string(reply.headers.Get("content-type")).find(';'), std::string::npos);
    return reply;
  };
  const std::string protobuf = "application/vnd.kubernetes.protobuf";
  Reply binary = sent_as(protobuf + ",application/json");
  EXPECT_EQ(binary.headers.Get("content-type"), protobuf);
  ASSERT_EQ(binary.body.substr(0, 4), std::string("k8s\0", 4));
  api::meta::v1::Status status;
  ASSERT_TRUE(api::ParseSealed(binary.body, &status).ok());
  EXPECT_EQ(status.reason(), "NotFound");
  EXPECT_EQ(status.message(), "pods \"none\" not found");

  Reply yaml = sent_as("application/yaml");
  EXPECT_EQ(yaml.headers.Get("content-type"), "application/yaml");
  EXPECT_EQ(yaml.body.substr(0, 15), "apiVersion: v1\n");
  // An error is no table.
  Reply table = sent_as("application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
  EXPECT_EQ(table.At("kind"), "Status");
  EXPECT_EQ(sent_as("application/json;as=Table;v=v1;g=meta.k8s.io").body.substr(0, 4), "{\n  ");
  SetHeader("Accept", "image/png");
  Reply unreadable = Get(missing);
  EXPECT_EQ(unreadable.status, 406);
  EXPECT_EQ(unreadable.At("reason"), "NotAcceptable");
  ClearHeaders();
  SetHeader("User-Agent", "curl/7.88.1");
  EXPECT_EQ(Get(missing).body.substr(0, 4), "{\n  ");
}

}  // namespace
}  // namespace gantry::apiserver
