// What kube-apiserver says to requests that are not quite right, to the letter.
#include <gtest/gtest.h>

#include "apiserver/testing/api_fixture.h"

namespace gantry::apiserver {
namespace {

constexpr char kMaps[] = "/api/v1/namespaces/default/configmaps";
constexpr char kPods[] = "/api/v1/namespaces/default/pods";
constexpr char kDeployments[] = "/apis/apps/v1/namespaces/default/deployments";
constexpr char kDeployment[] =
    R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"replicas":1,)"
    R"("selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":)"
    R"({"containers":[{"name":"c","image":"i"}]}}}})";

struct Strict : ::testing::Test, ApiFixture {
  Strict() { MakeDefaultAccount(); }
};

TEST_F(Strict, Bodies) {
  struct Row {
    const char* body;
    const char* message;
  };
  constexpr Row kRows[] = {
      {"",
       "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json "
       "parse error: unexpected end of JSON input (<empty>)"},
      {"hello",
       "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json "
       "parse error: invalid character 'h' looking for beginning of value (68656c6c6f)"},
      {R"({"kind":"Pod","apiVersion":"v1",)",
       "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json "
       "parse error: unexpected end of JSON input ({\"kind\":\"Pod\",\"apiVersion\":\"v1 ...)"},
      {"[]",
       "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json "
       "parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string "
       "\"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" } "
       "(5b5d)"},
      {R"({"kind":"ConfigMap","apiVersion":"v1"})",
       "ConfigMap in version \"v1\" cannot be handled as a Pod: converting (v1.ConfigMap) to "
       "(core.Pod): unknown conversion"},
      {R"({"metadata":{"name":"a\"}]\\"},"\"":"{","kind":"ConfigMap","apiVersion":"v1"})",
       "ConfigMap in version \"v1\" cannot be handled as a Pod: converting (v1.ConfigMap) to "
       "(core.Pod): unknown conversion"},
  };
  for (const Row& row : kRows) {
    Reply reply = Post(kPods, row.body);
    EXPECT_EQ(reply.status, 400) << row.body;
    EXPECT_EQ(reply.At("reason"), "BadRequest");
    EXPECT_EQ(reply.At("message"), row.message);
  }
}

TEST_F(Strict, YamlBodies) {
  auto post = [&](const char* body) { return Send("POST", kMaps, body, "application/yaml"); };
  EXPECT_EQ(post("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n").status, 201);
  EXPECT_EQ(post("a: b: c").At("message"),
            "the object provided is unrecognized (must be of type ConfigMap): yaml: mapping values "
            "are not allowed in this context (613a20623a2063)");
  EXPECT_EQ(post("apiVersion: v1\nkind: ConfigMap\ndata:\n  a: b\n  a: c\n").At("message"),
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: "
            "yaml: unmarshal errors:\n  line 5: key \"a\" already set in map");
}

TEST_F(Strict, Options) {
  struct Row {
    const char* method;
    std::string target;
    const char* message;
  };
  const std::string pods = kPods, maps = kMaps;
  const Row rows[] = {
      {"GET", pods + "?resourceVersionMatch=Exact",
       "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
       "resourceVersionMatch is forbidden unless resourceVersion is provided"},
      {"GET", pods + "?resourceVersionMatch=Foo&resourceVersion=1",
       "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Unsupported value: "
       "\"Foo\": supported values: \"Exact\", \"NotOlderThan\", \"\""},
      {"GET", pods + "?resourceVersionMatch=Exact&resourceVersion=0",
       "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
       "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""},
      {"GET", pods + "?sendInitialEvents=true",
       "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents "
       "is forbidden for list"},
      {"GET", pods + "?watch=1&sendInitialEvents=true&timeoutSeconds=1",
       "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
       "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"},
      {"GET", pods + "?watch=1&resourceVersionMatch=NotOlderThan&timeoutSeconds=1",
       "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
       "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"},
      {"POST", maps + "?fieldManager=" + std::string(129, 'a'),
       "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than "
       "128 bytes"},
      {"POST", maps + "?fieldManager=a%01",
       "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"a\\x01\": "
       "invalid character U+0001 (at position 1)"},
  };
  for (const Row& row : rows) {
    Reply reply = Send(row.method, row.target, row.method[0] == 'P' ? "{}" : "");
    EXPECT_EQ(reply.status, 422) << row.target;
    EXPECT_EQ(reply.At("message"), row.message) << row.target;
    EXPECT_EQ(reply.At("details.group"), "meta.k8s.io");
  }
}

TEST_F(Strict, NamesUidsAndRevisions) {
  ASSERT_EQ(Post(kMaps, R"({"metadata":{"name":"m"}})").status, 201);
  const std::string map = std::string(kMaps) + "/m";
  const std::string uid = Get(map).At("metadata.uid");
  struct Row {
    const char* method;
    std::string target, body;
    int status;
    std::string message;
  };
  const Row rows[] = {
      {"PUT", map, "{}", 400,
       "the name of the object (m based on URL) was undeterminable: name must be provided"},
      {"PUT", map, R"({"metadata":{"name":"n"}})", 400,
       "the name of the object (n) does not match the name on the URL (m)"},
      {"PUT", map, R"({"metadata":{"name":"m","namespace":"other"}})", 400,
       "the namespace of the object (other) does not match the namespace on the request (default)"},
      {"PUT", map, R"({"metadata":{"name":"m","uid":"x"}})", 409,
       "Operation cannot be fulfilled on configmaps \"m\": StorageError: invalid object, Code: 4, "
       "Key: /registry/configmaps/default/m, ResourceVersion: 0, AdditionalErrorMsg: Precondition "
       "failed: UID in precondition: x, UID in object meta: " +
           uid},
      {"PUT", map, R"({"metadata":{"name":"m","resourceVersion":"abc"}})", 500,
       "strconv.ParseUint: parsing \"abc\": invalid syntax"},
      {"PATCH", map, R"({"metadata":{"uid":"x"}})", 422,
       "ConfigMap \"m\" is invalid: metadata.uid: Invalid value: \"x\": field is immutable"},
      {"DELETE", map, R"({"preconditions":{"uid":"x"}})", 409,
       "Operation cannot be fulfilled on ConfigMap \"m\": the UID in the precondition (x) does not "
       "match the UID in record (" +
           uid + "). The object might have been deleted and then recreated"},
  };
  for (const Row& row : rows) {
    Reply reply = row.method[1] == 'A' ? Patch(row.target, "merge-patch+json", row.body)
                                       : Send(row.method, row.target, row.body);
    EXPECT_EQ(reply.status, row.status) << row.body;
    EXPECT_EQ(reply.At("message"), row.message) << row.body;
  }
}

TEST_F(Strict, PatchesThatMakeNoObject) {
  ASSERT_EQ(Post(kDeployments, kDeployment).status, 201);
  const std::string target = std::string(kDeployments) + "/d";
  struct Row {
    const char* type;
    const char* body;
    int status;
    const char* message;  // a part of it
  };
  constexpr Row kRows[] = {
      {"merge-patch+json", R"({"spec":{"replicas":"x"}})", 422,
       "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type "
       "int32"},
      {"merge-patch+json", R"({"spec":{"replicas":"x"}})", 422,
       " \"\" is invalid: patch: Invalid value: \"{\\\"kind\\\":\\\"Deployment\\\""},
      {"strategic-merge-patch+json", R"({"spec":{"replicas":"x"}})", 422,
       " \"\" is invalid: patch: Invalid value: \"map[spec:map[replicas:x]]\": unrecognized type: "
       "int32"},
      {"strategic-merge-patch+json", R"({"metadata":{"labels":{"a":1}}})", 422,
       " \"\" is invalid: patch: Invalid value: \"map[metadata:map[labels:map[a:1]]]\": cannot "
       "convert int64 to string"},
      {"strategic-merge-patch+json", R"({"spec":{"template":[]}})", 422,
       "cannot restore struct from: slice"},
      {"strategic-merge-patch+json", "[]", 400,
       "json: cannot unmarshal array into Go value of type map[string]interface {}"},
      {"merge-patch+json", "[]", 400,
       "error decoding patch: json: cannot unmarshal array into Go value of type "
       "map[string]interface {}"},
      {"merge-patch+json", "{", 400, "error decoding patch: unexpected end of JSON input"},
      {"strategic-merge-patch+json", "{", 400, "unexpected end of JSON input"},
  };
  for (const Row& row : kRows) {
    Reply reply = Patch(target, row.type, row.body);
    EXPECT_EQ(reply.status, row.status) << row.body;
    EXPECT_NE(reply.At("message").find(row.message), std::string::npos)
        << row.body << " " << reply.body;
  }
  Reply strict =
      Patch(target + "?fieldValidation=Strict", "merge-patch+json", R"({"spec":{"foo":1}})");
  EXPECT_EQ(strict.status, 422);
  EXPECT_NE(strict.At("message").find("strict decoding error: unknown field \"spec.foo\""),
            std::string::npos);
  const std::string twice = R"({"spec":{"replicas":1,"replicas":2,"foo":1}})";
  strict = Patch(target + "?fieldValidation=Strict", "strategic-merge-patch+json", twice);
  EXPECT_EQ(strict.At("message"),
            " \"\" is invalid: patch: Invalid value: \"map[spec:map[foo:1 replicas:2]]\": strict "
            "decoding error: duplicate field \"spec.replicas\", unknown field \"spec.foo\"");
  EXPECT_EQ(Patch(target, "merge-patch+json", R"({"spec":{"replicas":1,"replicas":2}})")
                .headers.Get("warning"),
            "299 - \"duplicate field \\\"spec.replicas\\\"\"");
  Reply warned = Patch(target, "merge-patch+json", R"({"spec":{"foo":1}})");
  EXPECT_EQ(warned.headers.Get("warning"), "299 - \"unknown field \\\"spec.foo\\\"\"");
}

TEST_F(Strict, ApplyChecksTypesItself) {
  struct Row {
    const char* spec;
    const char* message;
  };
  constexpr Row kRows[] = {
      {R"({"foo":1})", ".spec.foo: field not declared in schema"},
      {R"({"replicas":"x"})", ".spec.replicas: expected numeric (int or float), got string"},
      {R"({"paused":1})", ".spec.paused: expected boolean, got &{1}"},
      {R"({"template":{"spec":{"containers":{"a":"b"}}}})",
       ".spec.template.spec.containers: expected list, got &{map[a:b]}"},
      {R"({"template":{"spec":{"containers":[{"name":"c"},{"name":"c"}]}}})",
       ".spec.template.spec.containers: duplicate entries for key [name=\"c\"]"},
  };
  for (const Row& row : kRows) {
    Reply reply = Patch(
        std::string(kDeployments) + "/d?fieldManager=m&fieldValidation=Strict", "apply-patch+yaml",
        R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":)" +
            std::string(row.spec) + "}");
    EXPECT_EQ(reply.status, 500) << row.spec;
    EXPECT_EQ(reply.At("message"),
              "failed to create typed patch object (/d; apps/v1, Kind=Deployment): " +
                  std::string(row.message));
  }
}

TEST_F(Strict, ApplyOfAnObjectThatIsGone) {
  Reply reply =
      Patch(std::string(kMaps) + "/m?fieldManager=m", "apply-patch+yaml",
            R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","uid":"5"}})");
  EXPECT_EQ(reply.status, 409);
  EXPECT_EQ(reply.At("message"),
            "Operation cannot be fulfilled on configmaps \"m\": uid mismatch: the provided object "
            "specified uid 5, and no existing object was found");
}

TEST_F(Strict, ScalesAreApplied) {
  ASSERT_EQ(Post(kDeployments, kDeployment).status, 201);
  const std::string scale = std::string(kDeployments) + "/d/scale";
  auto apply = [&](const std::string& query, const std::string& replicas) {
    return Patch(
        scale + query, "apply-patch+yaml",
        R"({"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"d"},"spec":{"replicas":)" +
            replicas + "}}");
  };
  Reply conflict = apply("?fieldManager=scaler", "3");
  EXPECT_EQ(conflict.status, 409);
  EXPECT_EQ(conflict.At("details.causes.0.field"), ".spec.replicas");
  Reply done = apply("?fieldManager=scaler&force=true", "3");
  EXPECT_EQ(done.status, 200) << done.body;
  EXPECT_EQ(done.At("kind"), "Scale");
  EXPECT_EQ(done.At("spec.replicas"), "3");
  Reply live = Get(std::string(kDeployments) + "/d");
  EXPECT_EQ(live.At("spec.replicas"), "3");
  EXPECT_EQ(live.At("metadata.generation"), "2");
  bool owned = false;
  const api::JsonValue json = live.Json();
  for (const api::JsonValue& entry : json.Find("metadata")->Find("managedFields")->as_array()) {
    if (TextAt(entry, "manager") != "scaler") continue;
    owned = true;
    EXPECT_EQ(TextAt(entry, "operation"), "Apply");
    EXPECT_EQ(TextAt(entry, "subresource"), "scale");
    EXPECT_EQ(TextAt(entry, "fieldsV1"), R"({"f:spec":{"f:replicas":{}}})");
  }
  EXPECT_TRUE(owned);
  EXPECT_EQ(apply("?fieldManager=scaler", "-1").status, 422);
  Reply missing =
      Patch(std::string(kDeployments) + "/none/scale?fieldManager=m", "apply-patch+yaml",
            R"({"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"none"}})");
  EXPECT_EQ(missing.status, 404);
}

TEST_F(Strict, JobsSelectTheirOwnPods) {
  const std::string jobs = "/apis/batch/v1/namespaces/default/jobs";
  auto job = [&](const std::string& labels, const std::string& more) {
    return Post(
        jobs, R"({"metadata":{"name":"j"},"spec":{"template":{"metadata":{"labels":)" + labels +
                  R"(},"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}})" +
                  more + "}}");
  };
  Reply own = job(R"({"a":"b"})", R"(,"selector":{"matchLabels":{"a":"b"}})");
  EXPECT_EQ(own.status, 422);
  EXPECT_EQ(own.At("details.causes.0.field"), "spec.selector");
  EXPECT_NE(own.At("message").find("`selector` not auto-generated"), std::string::npos);
  Reply taken = job(R"({"job-name":"other"})", "");
  EXPECT_EQ(taken.At("details.causes.0.field"), "spec.template.metadata.labels[job-name]");
  EXPECT_EQ(
      job(R"({"a":"b"})", R"(,"manualSelector":true,"selector":{"matchLabels":{"a":"b"}})").status,
      201);
}

TEST_F(Strict, DocumentsByTheirHash) {
  Reply index = Get("/openapi/v3");
  const api::JsonValue json = index.Json();
  const std::string target =
      json.Find("paths")->Find("apis/apps/v1")->Find("serverRelativeURL")->as_string();
  Reply kept = Get(target);
  EXPECT_EQ(kept.status, 200);
  EXPECT_EQ(kept.headers.Get("cache-control"), "public, immutable");
  EXPECT_TRUE(kept.headers.Get("expires").ends_with(" UTC"));
  Reply old = Get("/openapi/v3/apis/apps/v1?hash=OLD");
  EXPECT_EQ(old.status, 301);
  EXPECT_EQ(old.headers.Get("location"), target);
  EXPECT_EQ(Get("/openapi/v3/apis/apps/v1").headers.Get("cache-control"), "no-cache, private");
}

TEST_F(Strict, ServicesChangeTheirType) {
  const std::string services = "/api/v1/namespaces/default/services";
  ASSERT_EQ(
      Post(services,
           R"({"metadata":{"name":"s"},"spec":{"type":"LoadBalancer","ports":[{"port":80}]}})")
          .status,
      201);
  Reply plain = Patch(services + "/s", "merge-patch+json", R"({"spec":{"type":"ClusterIP"}})");
  EXPECT_EQ(plain.status, 200) << plain.body;
  EXPECT_EQ(plain.At("spec.allocateLoadBalancerNodePorts"), "");
  EXPECT_EQ(plain.At("spec.externalTrafficPolicy"), "");
  EXPECT_EQ(plain.At("spec.ports.0.nodePort"), "");
}

TEST_F(Strict, AnObjectTooLargeIsNamedByItsWhole) {
  Reply reply = Post(kMaps, R"({"metadata":{"name":"m"},"data":{"k":")" +
                                std::string((1 << 20) + 1, 'x') + R"("}})");
  EXPECT_EQ(reply.At("message"),
            "ConfigMap \"m\" is invalid: []: Too long: may not be more than 1048576 bytes");
}

}  // namespace
}  // namespace gantry::apiserver
