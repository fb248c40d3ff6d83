#include "apiserver/openapi/openapi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/json_value.h"
#include "apiserver/openapi/gnostic.h"

namespace gantry::apiserver {
namespace {

using api::JsonValue;
using ::testing::HasSubstr;
using ::testing::IsNull;
using ::testing::Not;
using ::testing::NotNull;

std::vector<ResourceRow> Rows() {
  const std::vector<std::string> all = {"create", "delete", "deletecollection", "get",
                                        "list",   "patch",  "update",           "watch"};
  const std::vector<std::string> part = {"get", "patch", "update"};
  std::vector<ResourceRow> rows(4);
  rows[0].kind = api::FindResource("", "v1", "pods");
  rows[0].verbs = all;
  rows[0].subresources = {{"eviction", "policy", "v1", "Eviction", {"create"}},
                          {"exec", "", "v1", "PodExecOptions", {"create", "get"}},
                          {"log", "", "v1", "Pod", {"get"}},
                          {"status", "", "v1", "Pod", part}};
  rows[1].kind = api::FindResource("", "v1", "nodes");
  rows[1].verbs = all;
  rows[2].kind = api::FindResource("apps", "v1", "deployments");
  rows[2].verbs = all;
  rows[2].subresources = {{"scale", "autoscaling", "v1", "Scale", part}};
  rows[3].kind = api::FindResource("authorization.k8s.io", "v1", "selfsubjectaccessreviews");
  rows[3].verbs = {"create"};
  return rows;
}

class OpenApiTest : public ::testing::Test {
 protected:
  JsonValue Json(std::string_view path) {
    auto document = openapi_.Get(path, "application/json", false);
    EXPECT_TRUE(document.ok()) << document.status().ToString();
    auto parsed = JsonValue::Parse(*document->body);
    EXPECT_TRUE(parsed.ok()) << parsed.status().ToString();
    return *std::move(parsed);
  }
  // Goes down by names; numbers are indexes.
  static const JsonValue* At(const JsonValue& root, std::initializer_list<std::string_view> path) {
    const JsonValue* value = &root;
    for (std::string_view name : path) {
      if (!value) return nullptr;
      value =
          value->is_array() ? &value->as_array()[std::stoul(std::string(name))] : value->Find(name);
    }
    return value;
  }

  std::vector<ResourceRow> rows_ = Rows();
  OpenApi openapi_{rows_, "v1.36.2"};
};

TEST_F(OpenApiTest, SwaggerDefinitions) {
  JsonValue document = Json("/openapi/v2");
  EXPECT_EQ(At(document, {"swagger"})->as_string(), "2.0");
  const JsonValue* pod = At(document, {"definitions", "io.k8s.api.core.v1.Pod"});
  ASSERT_THAT(pod, NotNull());
  EXPECT_EQ(At(*pod, {"x-kubernetes-group-version-kind"})->ToString(),
            R"([{"group":"","kind":"Pod","version":"v1"}])");
  EXPECT_EQ(At(*pod, {"properties", "spec", "$ref"})->as_string(),
            "#/definitions/io.k8s.api.core.v1.PodSpec");
  EXPECT_EQ(At(*pod, {"properties", "apiVersion", "type"})->as_string(), "string");

  const JsonValue* containers =
      At(document, {"definitions", "io.k8s.api.core.v1.PodSpec", "properties", "containers"});
  EXPECT_EQ(At(*containers, {"type"})->as_string(), "array");
  EXPECT_EQ(At(*containers, {"items", "$ref"})->as_string(),
            "#/definitions/io.k8s.api.core.v1.Container");
  EXPECT_EQ(At(*containers, {"x-kubernetes-patch-merge-key"})->as_string(), "name");
  EXPECT_EQ(At(*containers, {"x-kubernetes-patch-strategy"})->as_string(), "merge");
  EXPECT_EQ(At(*containers, {"x-kubernetes-list-type"})->as_string(), "map");
  EXPECT_EQ(At(*containers, {"x-kubernetes-list-map-keys"})->ToString(), R"(["name"])");
  EXPECT_EQ(At(document, {"definitions", "io.k8s.api.core.v1.PodSpec", "required"})->ToString(),
            R"(["containers"])");
  EXPECT_EQ(At(document, {"definitions", "io.k8s.api.core.v1.PodSpec", "properties", "volumes",
                          "x-kubernetes-patch-strategy"})
                ->as_string(),
            "merge,retainKeys");
  EXPECT_EQ(
      At(document, {"definitions", "io.k8s.apimachinery.pkg.util.intstr.IntOrString", "format"})
          ->as_string(),
      "int-or-string");
  EXPECT_EQ(At(document, {"definitions", "io.k8s.apimachinery.pkg.apis.meta.v1.Time", "format"})
                ->as_string(),
            "date-time");
  EXPECT_EQ(At(document, {"definitions", "io.k8s.apimachinery.pkg.api.resource.Quantity", "type"})
                ->as_string(),
            "string");
  EXPECT_THAT(At(document, {"definitions", "io.k8s.api.autoscaling.v1.Scale"}), NotNull());
  EXPECT_THAT(At(document, {"definitions", "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"}),
              NotNull());
}

// Every reference leads somewhere.
void CheckReferences(const JsonValue& root, const JsonValue& value) {
  if (value.is_array())
    for (const JsonValue& item : value.as_array())
      CheckReferences(root, item);
  if (!value.is_object()) return;
  for (const auto& [name, member] : value.as_object()) {
    if (name != "$ref") {
      CheckReferences(root, member);
      continue;
    }
    if (!member.is_string()) continue;  // a property of that name
    std::string_view path = member.as_string();
    bool v2 = path.starts_with("#/definitions/");
    const JsonValue* schemas =
        v2 ? root.Find("definitions") : root.Find("components")->Find("schemas");
    EXPECT_THAT(schemas->Find(path.substr(path.rfind('/') + 1)), NotNull()) << path;
  }
}

TEST_F(OpenApiTest, ReferencesAreComplete) {
  for (const char* path : {"/openapi/v2", "/openapi/v3/api/v1", "/openapi/v3/apis/apps/v1"}) {
    JsonValue document = Json(path);
    CheckReferences(document, document);
  }
}

TEST_F(OpenApiTest, SwaggerPaths) {
  JsonValue document = Json("/openapi/v2");
  const JsonValue* item =
      At(document, {"paths", "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"});
  ASSERT_THAT(item, NotNull());
  const JsonValue* patch = At(*item, {"patch"});
  EXPECT_EQ(At(*patch, {"operationId"})->as_string(), "patchAppsV1NamespacedDeployment");
  EXPECT_EQ(At(*patch, {"x-kubernetes-action"})->as_string(), "patch");
  EXPECT_EQ(At(*patch, {"x-kubernetes-group-version-kind"})->ToString(),
            R"({"group":"apps","kind":"Deployment","version":"v1"})");
  std::string parameters = At(*patch, {"parameters"})->ToString();
  for (const char* name : {"dryRun", "fieldManager", "fieldValidation", "force"})
    EXPECT_THAT(parameters, HasSubstr("\"name\":\"" + std::string(name) + "\""));
  EXPECT_EQ(At(*item, {"delete", "operationId"})->as_string(), "deleteAppsV1NamespacedDeployment");
  EXPECT_EQ(At(*item, {"parameters", "0", "name"})->as_string(), "name");
  EXPECT_EQ(At(document, {"paths", "/apis/apps/v1/deployments", "get", "operationId"})->as_string(),
            "listAppsV1DeploymentForAllNamespaces");
  EXPECT_EQ(At(document, {"paths", "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
                          "put", "x-kubernetes-group-version-kind", "kind"})
                ->as_string(),
            "Scale");
  EXPECT_EQ(At(document, {"paths", "/api/v1/nodes", "get", "operationId"})->as_string(),
            "listCoreV1Node");
  EXPECT_EQ(At(document,
               {"paths", "/api/v1/namespaces/{namespace}/pods/{name}/exec", "post", "operationId"})
                ->as_string(),
            "connectCoreV1PostNamespacedPodExec");
  EXPECT_EQ(At(document, {"paths", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "post",
                          "operationId"})
                ->as_string(),
            "createAuthorizationV1SelfSubjectAccessReview");
  EXPECT_THAT(
      At(document, {"paths", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews/{name}"}),
      IsNull());
}

TEST_F(OpenApiTest, Version3) {
  JsonValue index = Json("/openapi/v3");
  EXPECT_THAT(At(index, {"paths", "apis/apps/v1", "serverRelativeURL"})->as_string(),
              ::testing::StartsWith("/openapi/v3/apis/apps/v1?hash="));
  ASSERT_THAT(At(index, {"paths", "api/v1"}), NotNull());
  JsonValue document = Json("/openapi/v3/apis/apps/v1");
  EXPECT_EQ(At(document, {"openapi"})->as_string(), "3.0.0");
  const JsonValue* spec = At(
      document, {"components", "schemas", "io.k8s.api.apps.v1.Deployment", "properties", "spec"});
  ASSERT_THAT(spec, NotNull());
  EXPECT_EQ(At(*spec, {"allOf", "0", "$ref"})->as_string(),
            "#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec");
  EXPECT_THAT(At(*spec, {"default"}), NotNull());
  EXPECT_EQ(At(document, {"components", "schemas", "io.k8s.api.apps.v1.DeploymentSpec",
                          "properties", "strategy", "x-kubernetes-patch-strategy"})
                ->as_string(),
            "retainKeys");
  const JsonValue* patch =
      At(document, {"paths", "/apis/apps/v1/namespaces/{namespace}/deployments/{name}", "patch"});
  EXPECT_THAT(
      At(*patch, {"requestBody", "content", "application/apply-patch+yaml", "schema", "$ref"}),
      NotNull());
  EXPECT_THAT(At(*patch, {"responses", "200", "content", "application/json", "schema", "$ref"}),
              NotNull());
  EXPECT_THAT(At(document, {"components", "schemas", "io.k8s.api.core.v1.Node"}), IsNull());
}

TEST_F(OpenApiTest, FormsAndErrors) {
  auto old = openapi_.Get("/openapi/v2",
                          "application/com.github.proto-openapi.spec.v2@v1.0+protobuf", false);
  ASSERT_TRUE(old.ok());
  EXPECT_EQ(old->content_type, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
  EXPECT_EQ(old->body->substr(0, 5),
            "\x0a\x03"
            "2.0");
  auto json = openapi_.Get("/openapi/v2", "application/json", true);
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->content_encoding, "gzip");
  EXPECT_EQ(json->body->substr(0, 2), "\x1f\x8b");
  EXPECT_NE(json->etag, old->etag);
  EXPECT_EQ(openapi_.Get("/openapi/v3/apis/none/v1", "", false).code(), Code::kNotFound);
  EXPECT_EQ(openapi_.Get("/openapi/v3x", "", false).code(), Code::kNotFound);
  EXPECT_EQ(openapi_.Get("/openapi/v2", "text/html", false).code(), Code::kNotAcceptable);
}

TEST_F(OpenApiTest, GroupVersionAsProtobuf) {
  constexpr std::string_view kOld = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
  auto binary = openapi_.Get("/openapi/v3/api/v1", kOld, false);
  ASSERT_TRUE(binary.ok()) << binary.status().ToString();
  EXPECT_EQ(binary->content_type, "application/com.github.proto-openapi.spec.v3.v1.0+protobuf");
  EXPECT_EQ(binary->body->substr(0, 7),
            "\x0a\x05"
            "3.0.0");
  EXPECT_THAT(*binary->body, HasSubstr("io.k8s.api.core.v1.Pod"));
  // The index names one hash for both forms.
  auto json = openapi_.Get("/openapi/v3/api/v1", "application/json", false);
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(binary->etag, json->etag);
  EXPECT_LT(binary->body->size(), json->body->size());
  // The index itself is JSON for everybody.
  auto index = openapi_.Get("/openapi/v3", kOld, false);
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(index->content_type, "application/json");
}

TEST(Gnostic, Encodes) {
  auto document = JsonValue::Parse(
      R"({"swagger":"2.0","definitions":{"A":{"type":"object","x-k":[{"group":""}],"properties":{"b":{"$ref":"#/definitions/B"}}}}})");
  ASSERT_TRUE(document.ok());
  std::string expected;
  expected +=
      "\x0a\x03"
      "2.0";
  std::string reference = std::string("\x0a\x0f") + "#/definitions/B";
  std::string property =
      "\x0a\x01"
      "b"
      "\x12" +
      std::string(1, static_cast<char>(reference.size())) + reference;
  std::string properties = "\x0a" + std::string(1, static_cast<char>(property.size())) + property;
  std::string any =
      "\x12\x0f"
      "[{\"group\":\"\"}]\n";
  std::string extension =
      "\x0a\x03"
      "x-k"
      "\x12" +
      std::string(1, static_cast<char>(any.size())) + any;
  std::string schema =
      "\xb2\x01\x08\x0a\x06"
      "object"
      "\xca\x01" +
      std::string(1, static_cast<char>(properties.size())) + properties + "\xfa\x01" +
      std::string(1, static_cast<char>(extension.size())) + extension;
  std::string named =
      "\x0a\x01"
      "A"
      "\x12" +
      std::string(1, static_cast<char>(schema.size())) + schema;
  std::string definitions = "\x0a" + std::string(1, static_cast<char>(named.size())) + named;
  expected += "\x4a" + std::string(1, static_cast<char>(definitions.size())) + definitions;
  EXPECT_EQ(openapi::EncodeSwagger(*document), expected);
}

// A message's field as it goes over the wire; short ones only.
std::string Field(int number, std::string_view bytes) {
  std::string out;
  const int tag = number << 3 | 2;
  if (tag >= 0x80) {
    out = {static_cast<char>(tag | 0x80), static_cast<char>(tag >> 7)};
  } else {
    out = {static_cast<char>(tag)};
  }
  out.push_back(static_cast<char>(bytes.size()));
  return out.append(bytes);
}
std::string Named(std::string_view name, std::string_view value) {
  return Field(1, name) + Field(2, value);
}

TEST(Gnostic, EncodesVersion3) {
  struct Row {
    const char* schema;
    std::string encoded;
  };
  const std::string reference = Field(2, Field(1, "#/B"));
  const Row rows[] = {
      {R"({"$ref":"#/B"})", reference},
      {R"({"type":"object","required":["a","b"]})",
       Field(1, Field(23, "a") + Field(23, "b") + Field(25, "object"))},
      {R"({"allOf":[{"$ref":"#/B"}],"default":{}})",
       Field(1, Field(26, reference) + Field(33, ""))},
      {R"({"oneOf":[{"type":"string"},{"type":"number"}]})",
       Field(1,
             Field(27, Field(1, Field(25, "string"))) + Field(27, Field(1, Field(25, "number"))))},
      {R"({"items":{"$ref":"#/B"},"type":"array"})",
       Field(1, Field(25, "array") + Field(30, Field(1, reference)))},
      {R"({"additionalProperties":{"$ref":"#/B"}})", Field(1, Field(32, Field(1, reference)))},
      {R"({"additionalProperties":false})", Field(1, Field(32, std::string("\x10\0", 2)))},
      {R"({"default":"TCP"})", Field(1, Field(33, Field(3, "TCP")))},
      {R"({"default":true})", Field(1, Field(33, "\x10\x01"))},
      {R"({"default":1})", Field(1, Field(33, std::string("\x09\0\0\0\0\0\0\xf0\x3f", 9)))},
      {R"({"minLength":3,"nullable":true})", Field(1, std::string("\x08\x01\x80\x01\x03"))},
      {R"({"enum":["a"],"format":"f","description":"d"})",
       Field(1, Field(24, Field(2, "\"a\"\n")) + Field(34, "d") + Field(35, "f"))},
      {R"({"x-k":1})", Field(1, Field(36, Named("x-k", Field(2, "1\n"))))},
      {R"({"properties":{"b":{"$ref":"#/B"}}})",
       Field(1, Field(31, Field(1, Named("b", reference))))},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.schema);
    auto document = JsonValue::Parse(R"({"openapi":"3.0.0","components":{"schemas":{"A":)" +
                                     std::string(row.schema) + "}}}");
    ASSERT_TRUE(document.ok());
    EXPECT_EQ(openapi::EncodeOpenApiV3(*document),
              Field(1, "3.0.0") + Field(5, Field(1, Field(1, Named("A", row.encoded)))));
  }
  auto operation = JsonValue::Parse(
      R"({"paths":{"/p":{"post":{"tags":["t"],"operationId":"o",)"
      R"("parameters":[{"name":"n","in":"query","schema":{"type":"string"}}],)"
      R"("requestBody":{"content":{"*/*":{"schema":{"$ref":"#/B"}}},"required":true},)"
      R"("responses":{"200":{"description":"OK"}}}}}})");
  ASSERT_TRUE(operation.ok());
  const std::string parameter =
      Field(1, "n") + Field(2, "query") + Field(10, Field(1, Field(25, "string")));
  const std::string body = Field(2, Field(1, Named("*/*", Field(1, reference)))) + "\x18\x01";
  const std::string responses = Field(2, Named("200", Field(1, Field(1, "OK"))));
  EXPECT_EQ(
      openapi::EncodeOpenApiV3(*operation),
      Field(4,
            Field(1, Named("/p",
                           Field(6, Field(1, "t") + Field(5, "o") + Field(6, Field(1, parameter)) +
                                        Field(7, Field(1, body)) + Field(8, responses))))));
}

}  // namespace
}  // namespace gantry::apiserver
