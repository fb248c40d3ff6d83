#include "api/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/apiextensions/v1/apiextensions.pb.h"
#include "api/apps/v1/controller_revision.pb.h"
#include "api/apps/v1/deployment.pb.h"
#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/event.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/secret.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/kinds.h"
#include "api/rbac/v1/rbac.pb.h"

namespace gantry::api {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

template <class T>
std::string Json(const T& message) {
  std::string out;
  WriteJson(message, &out);
  return out;
}

// The JSON that comes back for what was read.
template <class T>
std::string Through(std::string_view json) {
  T message;
  const Status status = ReadJson(json, &message);
  return status.ok() ? Json(message) : "error: " + status.message();
}

template <class T>
std::string ErrorOf(std::string_view json) {
  T message;
  const Status status = ReadJson(json, &message);
  return status.ok() ? "" : status.message();
}

template <class T>
std::vector<std::string> IssuesOf(std::string_view json) {
  T message;
  JsonIssues issues;
  EXPECT_TRUE(ReadJson(json, &message, &issues).ok());
  return issues.messages;
}

TEST(JsonWriteTest, ObjectsLookAsTheApiServerWritesThem) {
  core::v1::Pod pod;
  pod.mutable_metadata()->set_name("web");
  pod.mutable_metadata()->set_namespace_("default");
  pod.mutable_metadata()->mutable_creation_timestamp()->set_seconds(1700000000);
  (*pod.mutable_metadata()->mutable_labels())["b"] = "2";
  (*pod.mutable_metadata()->mutable_labels())["a"] = "1";
  auto* container = pod.mutable_spec()->add_containers();
  container->set_name("c");
  container->set_image("nginx");
  container->add_ports()->set_container_port(80);
  container->mutable_readiness_probe()
      ->mutable_handler()
      ->mutable_http_get()
      ->mutable_port()
      ->set_int_val(80);
  auto* condition = pod.mutable_status()->add_conditions();
  condition->set_type("Ready");
  condition->set_status("True");
  std::string out;
  WriteObjectJson(KindOf<core::v1::Pod>(), pod, 7, &out);
  EXPECT_EQ(
      out,
      R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"default","resourceVersion":"7",)"
      R"("creationTimestamp":"2023-11-14T22:13:20Z","labels":{"a":"1","b":"2"}},)"
      R"("spec":{"containers":[{"name":"c","image":"nginx","ports":[{"containerPort":80}],"resources":{},)"
      R"("readinessProbe":{"httpGet":{"port":80}}}]},)"
      R"("status":{"conditions":[{"type":"Ready","status":"True","lastProbeTime":null,"lastTransitionTime":null}]}})");
}

TEST(JsonWriteTest, ZeroValuesAppearWhereGoWritesThem) {
  apps::v1::Deployment deployment;
  EXPECT_EQ(
      Json(deployment),
      R"({"metadata":{},"spec":{"selector":null,"template":{"metadata":{},"spec":{"containers":null}},)"
      R"("strategy":{}},"status":{}})");
  deployment.mutable_spec()->set_replicas(0);  // a pointer: written when set
  EXPECT_NE(Json(deployment).find(R"("spec":{"replicas":0,)"), std::string::npos);

  core::v1::Service service;
  service.mutable_spec()->add_ports()->set_port(80);
  EXPECT_EQ(
      Json(service),
      R"({"metadata":{},"spec":{"ports":[{"port":80,"targetPort":0}]},"status":{"loadBalancer":{}}})");
  EXPECT_EQ(Json(discovery::v1::EndpointSlice()),
            R"({"metadata":{},"addressType":"","endpoints":null,"ports":null})");
  EXPECT_EQ(Json(rbac::v1::Role()), R"({"metadata":{},"rules":null})");
  EXPECT_EQ(Json(core::v1::PodList()), R"({"metadata":{},"items":[]})");
  EXPECT_EQ(Json(core::v1::ResourceFieldSelector()), R"({"resource":"","divisor":"0"})");
  EXPECT_EQ(Json(apps::v1::ControllerRevision()), R"({"metadata":{},"data":null,"revision":0})");
  EXPECT_EQ(
      Json(core::v1::Event()),
      R"({"metadata":{},"involvedObject":{},"source":{},"firstTimestamp":null,"lastTimestamp":null,)"
      R"("eventTime":null,"reportingComponent":"","reportingInstance":""})");
}

TEST(JsonWriteTest, TimesThatAreSetButEmptyCountAsUnset) {
  core::v1::ConfigMap map;
  map.mutable_metadata()->mutable_creation_timestamp();
  EXPECT_EQ(Json(map), R"({"metadata":{}})");
}

TEST(JsonTest, FormsOfTheirOwn) {
  struct Row {
    const char* in;
    const char* out;
  };
  for (const Row& row : std::vector<Row>{
           {R"({"metadata":{},"data":{"a":"<&>\u2028"}})",
            R"({"metadata":{},"data":{"a":"\u003c\u0026\u003e\u2028"}})"},
           {R"({"metadata":{},"binaryData":{"a":"aGVsbG8="}})",
            R"({"metadata":{},"binaryData":{"a":"aGVsbG8="}})"},
           {R"({"metadata":{"creationTimestamp":"0001-01-01T00:00:00Z"}})", R"({"metadata":{}})"},
           {R"({"metadata":{"creationTimestamp":"9999-12-31T00:00:00Z"}})",
            R"({"metadata":{"creationTimestamp":"9999-12-31T00:00:00Z"}})"},
           {R"({"metadata":{"creationTimestamp":null}})", R"({"metadata":{}})"},
           {R"({"metadata":{"creationTimestamp":"2024-02-03T04:05:06.789+01:00"}})",
            R"({"metadata":{"creationTimestamp":"2024-02-03T03:05:06Z"}})"},
           {R"({"metadata":{"managedFields":[{"fieldsV1":{ "f:data" : {".":{}, "f:a<":1.0} }}]}})",
            R"({"metadata":{"managedFields":[{"fieldsV1":{"f:data":{".":{},"f:a\u003c":1.0}}}]}})"},
           {"{\"metadata\":{\"managedFields\":[{\"fieldsV1\":{\"f:\u2028\u2029\u202a\":{}}}]}}",
            "{\"metadata\":{\"managedFields\":[{\"fieldsV1\":{\"f:\\u2028\\u2029\u202a\":{}}}]}}"},
           {R"({"immutable":false})", R"({"metadata":{},"immutable":false})"},
           {R"({"data":{},"metadata":{"labels":null}})", R"({"metadata":{}})"},
           {" \n{ \"data\" :\t{ \"k\" : null } } ", R"({"metadata":{},"data":{"k":""}})"},
           {R"({"data":{"\u0061\ud83d\ude80":"\ud800x\/"}})",
            "{\"metadata\":{},\"data\":{\"a🚀\":\"\xEF\xBF\xBDx/\"}}"},
           {"{\"data\":{\"a\":\"\xff\"}}", "{\"metadata\":{},\"data\":{\"a\":\"\xEF\xBF\xBD\"}}"},
           {"null", R"({"metadata":{}})"},
       }) {
    EXPECT_EQ(Through<core::v1::ConfigMap>(row.in), row.out) << row.in;
  }
  for (const Row& row : std::vector<Row>{
           {R"({"limits":{"cpu":"1000m","memory":"1024Mi","x":0.5,"y":2}})",
            R"({"limits":{"cpu":"1","memory":"1Gi","x":"500m","y":"2"}})"},
           {R"({"limits":{"cpu":"0.1","memory":" 100M "}})",
            R"({"limits":{"cpu":"100m","memory":"100M"}})"},
           {R"({"limits":{"cpu":"1000","memory":"5e3","x":"007"}})",
            R"({"limits":{"cpu":"1k","memory":"5e3","x":"7"}})"},
       }) {
    EXPECT_EQ(Through<core::v1::ResourceRequirements>(row.in), row.out) << row.in;
  }
  EXPECT_EQ(Through<core::v1::ServicePort>(R"({"port":1,"targetPort":"http"})"),
            R"({"port":1,"targetPort":"http"})");
  EXPECT_EQ(Through<core::v1::ServicePort>(R"({"port":1,"targetPort":8080})"),
            R"({"port":1,"targetPort":8080})");
  EXPECT_EQ(Through<core::v1::Event>(R"({"eventTime":"2024-02-03T04:05:06.000070Z"})")
                    .substr(0, 500)
                    .find(R"("eventTime":"2024-02-03T04:05:06.000070Z")") != std::string::npos,
            true);
  EXPECT_EQ(Through<core::v1::Secret>(R"({"data":{"a":"eA==\n"},"stringData":{"b":"c"}})"),
            R"({"metadata":{},"data":{"a":"eA=="},"stringData":{"b":"c"}})");
}

TEST(JsonTest, SchemasOfCustomResources) {
  constexpr char kSchema[] =
      R"({"$ref":"x","type":"object","default":{"a":1},"maximum":1.5,"items":{"type":"string"},)"
      R"("properties":{"p":{"enum":["a",1,null]}},"additionalProperties":false,)"
      R"("dependencies":{"d":["e"],"f":{"type":"null"}},"x-kubernetes-preserve-unknown-fields":true})";
  const std::string through = Through<apiextensions::v1::JSONSchemaProps>(kSchema);
  EXPECT_EQ(Through<apiextensions::v1::JSONSchemaProps>(through), through);
  EXPECT_NE(through.find(R"("additionalProperties":false)"), std::string::npos) << through;
  EXPECT_NE(through.find(R"("enum":["a",1,null])"), std::string::npos) << through;
  EXPECT_NE(through.find(R"("dependencies":{"d":["e"],"f":{"type":"null"}})"), std::string::npos)
      << through;
}

TEST(JsonReadTest, WrongTypesAreWordedAsGoWordsThem) {
  struct Row {
    const char* in;
    const char* error;
  };
  for (
      const Row& row : std::vector<Row>{
          {R"({"spec":{"template":{"spec":{"containers":[{"ports":[{"containerPort":"80"}]}]}}}})",
           "json: cannot unmarshal string into Go struct field "
           "ContainerPort.spec.template.spec.containers.ports.containerPort of type int32"},
          {R"({"spec":{"replicas":"3"}})",
           "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of "
           "type int32"},
          {R"({"spec":{"replicas":1.5}})",
           "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of "
           "type int32"},
          {R"({"spec":{"replicas":3000000000}})",
           "json: cannot unmarshal number 3000000000 into Go struct field "
           "DeploymentSpec.spec.replicas of type int32"},
          {R"({"metadata":{"name":5}})",
           "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type "
           "string"},
          {R"({"metadata":{"labels":{"a":1}}})",
           "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type "
           "string"},
          {R"({"metadata":{"labels":"x"}})",
           "json: cannot unmarshal string into Go struct field ObjectMeta.metadata.labels of type "
           "map[string]string"},
          {R"({"metadata":{"uid":true}})",
           "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.uid of type "
           "types.UID"},
          {R"({"spec":[]})",
           "json: cannot unmarshal array into Go struct field Deployment.spec of type "
           "v1.DeploymentSpec"},
          {R"({"spec":{"template":{"spec":{"containers":{}}}}})",
           "json: cannot unmarshal object into Go struct field "
           "PodSpec.spec.template.spec.containers of type []v1.Container"},
          {R"({"spec":{"paused":"yes"}})",
           "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type "
           "bool"},
          {R"({"spec":{"strategy":{"rollingUpdate":{"maxSurge":true}}}})",
           "json: cannot unmarshal bool into Go struct field "
           "RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge of type int32"},
          {R"({"metadata":{"creationTimestamp":1}})",
           "json: cannot unmarshal number into Go struct field "
           "ObjectMeta.metadata.creationTimestamp of type string"},
          {R"({"metadata":{"creationTimestamp":"yesterday"}})",
           R"(parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006")"},
          {R"({"spec":{"template":{"spec":{"containers":[{"resources":{"limits":{"cpu":"lots"}}}]}}}})",
           "quantities must match the regular expression "
           "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"},
          {R"([])", "json: cannot unmarshal array into Go value of type v1.Deployment"},
          {R"("x")", "json: cannot unmarshal string into Go value of type v1.Deployment"},
          {R"({"spec":{"strategy":{"type":1}}})",
           "json: cannot unmarshal number into Go struct field "
           "DeploymentStrategy.spec.strategy.type of type "
           "v1.DeploymentStrategyType"},
      }) {
    EXPECT_EQ(ErrorOf<apps::v1::Deployment>(row.in), row.error) << row.in;
  }
  EXPECT_EQ(ErrorOf<core::v1::Secret>(R"({"data":{"a":"x"}})"),
            "illegal base64 data at input byte 0");
  EXPECT_EQ(ErrorOf<core::v1::Secret>(R"({"data":{"a":"eA=!"}})"),
            "illegal base64 data at input byte 3");
}

TEST(JsonReadTest, MalformedTextIsWordedAsGoWordsIt) {
  struct Row {
    const char* in;
    const char* error;
  };
  for (const Row& row : std::vector<Row>{
           {"", "unexpected end of JSON input"},
           {"{", "unexpected end of JSON input"},
           {R"({"a)", "unexpected end of JSON input"},
           {"x", "invalid character 'x' looking for beginning of value"},
           {"{x}", "invalid character 'x' looking for beginning of object key string"},
           {R"({"data" 1})", "invalid character '1' after object key"},
           {R"({"data":{} "x"})", "invalid character '\"' after object key:value pair"},
           {R"({"metadata":{"finalizers":["a" "b"]}})",
            "invalid character '\"' after array element"},
           {R"({"unknown":[1 2]})", "invalid character '2' after array element"},
           {"{}x", "invalid character 'x' after top-level value"},
           {R"({"data":nul})", "invalid character '}' in literal null (expecting 'l')"},
           {R"({"data":{"a":"\x"}})", "invalid character 'x' in string escape code"},
           {R"({"data":{"a":"\u12g4"}})",
            R"(invalid character 'g' in \u hexadecimal character escape)"},
           {"{\"data\":{\"a\":\"\n\"}}", R"(invalid character '\n' in string literal)"},
           {R"({"x":-})", "invalid character '}' in numeric literal"},
           {R"({"x":1.})", "invalid character '}' after decimal point in numeric literal"},
           {R"({"x":1e})", "invalid character '}' in exponent of numeric literal"},
           {R"({"x":01})", "invalid character '1' after object key:value pair"},
           // Malformed text goes before a wrong type that stands ahead of it.
           {R"({"metadata":{"creationTimestamp":5},})",
            "invalid character '}' looking for beginning of object key string"},
           {R"({"data":5,})", "invalid character '}' looking for beginning of object key string"},
       }) {
    EXPECT_EQ(ErrorOf<core::v1::ConfigMap>(row.in), row.error) << row.in;
  }
}

TEST(JsonReadTest, UnknownAndDuplicateFieldsAreReportedWithTheirPlace) {
  EXPECT_THAT(
      IssuesOf<core::v1::Pod>(R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}})"),
      IsEmpty());
  EXPECT_THAT(
      IssuesOf<core::v1::Pod>(
          R"({"kind":"Pod","kind":"Pod","foo":1,"Metadata":{},"spec":{"bar":{"x":[1]},)"
          R"("containers":[{"name":"a"},{"name":"b","name":"c","imag":"x","ports":[{"hostport":1}]}]},)"
          R"("metadata":{"labels":{"a":"1","a":"2"}},"spec":{"containers":[]}})"),
      ElementsAre(R"(duplicate field "kind")", R"(unknown field "foo")",
                  R"(unknown field "Metadata")", R"(unknown field "spec.bar")",
                  R"(duplicate field "spec.containers[1].name")",
                  R"(unknown field "spec.containers[1].imag")",
                  R"(unknown field "spec.containers[1].ports[0].hostport")",
                  R"(duplicate field "metadata.labels.a")", R"(duplicate field "spec")"));
  std::string many = "{";
  for (int i = 0; i < 300; ++i)
    many += (i == 0 ? "\"f" : ",\"f") + std::to_string(i) + "\":1";
  EXPECT_EQ(IssuesOf<core::v1::Pod>(many + "}").size(), 100u);
}

TEST(JsonReadTest, TheLastOfDuplicatesHolds) {
  EXPECT_EQ(Through<core::v1::ConfigMap>(
                R"({"data":{"a":"1"},"metadata":{"name":"x","name":"y"},"data":{"b":"2"}})"),
            R"({"metadata":{"name":"y"},"data":{"a":"1","b":"2"}})");
  EXPECT_EQ(
      Through<core::v1::ConfigMap>(R"({"metadata":{"finalizers":["a","b"],"finalizers":["c"]}})"),
      R"({"metadata":{"finalizers":["c"]}})");
}

TEST(JsonReadTest, WhatTheTextSaysThatItIs) {
  struct Row {
    const char* json;
    const char* named;
  };
  constexpr Row kRows[] = {
      {R"({"metadata":{"name":"a"}})", " "},
      {R"({"kind":"ControllerRevision","apiVersion":"apps/v1"})", "apps/v1 ControllerRevision"},
      {R"({"kind":null,"apiVersion":"v1"})", "v1 "},
      {R"({"k\u0069nd":"\u0041","kind":"B"})", " B"},
      // What stands further inside says nothing of the whole.
      {R"({"data":{"kind":"Other","apiVersion":"v2"}})", " "},
  };
  for (const Row& row : kRows) {
    apps::v1::ControllerRevision read;
    JsonTypeMeta named;
    EXPECT_TRUE(ReadJson(row.json, &read, nullptr, &named).ok()) << row.json;
    EXPECT_EQ(named.api_version + " " + named.kind, row.named) << row.json;
  }
}

TEST(JsonReadTest, DepthIsBounded) {
  const std::string open(100000, '[');
  EXPECT_EQ(ErrorOf<core::v1::ConfigMap>(R"({"x":)" + open), "exceeded max depth");
  std::string deep;
  for (int i = 0; i < 200; ++i)
    deep += R"({"not":)";
  EXPECT_EQ(ErrorOf<apiextensions::v1::JSONSchemaProps>(deep), "exceeded max depth");
}

TEST(JsonReadTest, RawFieldsOfBinaryMessagesAreChecked) {
  core::v1::ConfigMap map;
  auto* entry = map.mutable_metadata()->add_managed_fields();
  entry->mutable_fields_v1()->set_raw(R"({"f:data":{}})");
  EXPECT_TRUE(CheckRawJson(map).ok());
  entry->mutable_fields_v1()->set_raw(R"({"f:data":{}},"evil":1)");
  EXPECT_FALSE(CheckRawJson(map).ok());
}

}  // namespace
}  // namespace gantry::api
