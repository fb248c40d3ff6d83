#include "apiserver/discovery/discovery.h"

#include <gtest/gtest.h>

namespace gantry::apiserver {
namespace {

const std::vector<std::string> kAll = {"create", "delete", "deletecollection", "get",
                                       "list",   "patch",  "update",           "watch"};
const std::vector<std::string> kStatus = {"get", "patch", "update"};

ResourceRow Row(std::string_view group, std::string_view version, std::string_view plural,
                std::vector<ResourceRow::Sub> subresources = {}) {
  ResourceRow row;
  row.kind = api::FindResource(group, version, plural);
  row.verbs = kAll;
  row.subresources = std::move(subresources);
  return row;
}

std::vector<ResourceRow> Rows() {
  return {
      Row("", "v1", "pods",
          {{"eviction", "policy", "v1", "Eviction", {"create"}},
           {"status", "", "v1", "Pod", kStatus}}),
      Row("", "v1", "configmaps"),
      Row("apps", "v1", "deployments",
          {{"scale", "autoscaling", "v1", "Scale", kStatus},
           {"status", "apps", "v1", "Deployment", kStatus}}),
      Row("autoscaling", "v2", "horizontalpodautoscalers"),
      Row("autoscaling", "v1", "horizontalpodautoscalers"),
  };
}

constexpr std::string_view kV2 =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
constexpr std::string_view kV2Beta1 =
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

class DiscoveryTest : public ::testing::Test {
 protected:
  std::string Body(std::string_view path, std::string_view accept = "application/json, */*") {
    auto document = discovery_.Get(path, accept);
    return document.ok() ? *document->body : document.status().ToString();
  }

  std::vector<ResourceRow> rows_ = Rows();
  Discovery discovery_{rows_, "10.0.0.1:6443"};
};

TEST_F(DiscoveryTest, LegacyDocuments) {
  EXPECT_EQ(Body("/api"), R"({"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":)"
                          R"([{"clientCIDR":"0.0.0.0/0","serverAddress":"10.0.0.1:6443"}]})"
                          "\n");
  EXPECT_EQ(Body("/apis/"),
            R"({"kind":"APIGroupList","apiVersion":"v1","groups":[)"
            R"({"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],)"
            R"("preferredVersion":{"groupVersion":"apps/v1","version":"v1"}},)"
            R"({"name":"autoscaling","versions":[{"groupVersion":"autoscaling/v2","version":"v2"},)"
            R"({"groupVersion":"autoscaling/v1","version":"v1"}],)"
            R"("preferredVersion":{"groupVersion":"autoscaling/v2","version":"v2"}}]})"
            "\n");
  EXPECT_EQ(Body("/apis/apps"), R"({"kind":"APIGroup","apiVersion":"v1","name":"apps","versions":)"
                                R"([{"groupVersion":"apps/v1","version":"v1"}],)"
                                R"("preferredVersion":{"groupVersion":"apps/v1","version":"v1"}})"
                                "\n");
  EXPECT_EQ(
      Body("/api/v1"),
      R"({"kind":"APIResourceList","groupVersion":"v1","resources":[)"
      R"({"name":"configmaps","singularName":"configmap","namespaced":true,"kind":"ConfigMap",)"
      R"("verbs":["create","delete","deletecollection","get","list","patch","update","watch"],)"
      R"("shortNames":["cm"],"storageVersionHash":"qFsyl6wFWjQ="},)"
      R"({"name":"pods","singularName":"pod","namespaced":true,"kind":"Pod",)"
      R"("verbs":["create","delete","deletecollection","get","list","patch","update","watch"],)"
      R"("shortNames":["po"],"categories":["all"],"storageVersionHash":"xPOwRZ+Yhw8="},)"
      R"({"name":"pods/eviction","singularName":"","namespaced":true,"group":"policy","version":"v1",)"
      R"("kind":"Eviction","verbs":["create"]},)"
      R"({"name":"pods/status","singularName":"","namespaced":true,"kind":"Pod",)"
      R"("verbs":["get","patch","update"]}]})"
      "\n");
}

// Both versions of a kind name the one that is stored.
TEST_F(DiscoveryTest, StorageVersionHashIsOfTheStoredKind) {
  const std::string hash = R"("storageVersionHash":"qwQve8ut294=")";
  EXPECT_NE(Body("/apis/autoscaling/v1").find(hash), std::string::npos);
  EXPECT_NE(Body("/apis/autoscaling/v2").find(hash), std::string::npos);
}

TEST_F(DiscoveryTest, Aggregated) {
  auto document = discovery_.Get("/apis", kV2);
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->content_type, kV2);
  EXPECT_EQ(document->etag.size(), 130u);
  EXPECT_TRUE(document->body->starts_with(
      R"({"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},"items":[)"
      R"({"metadata":{"name":"apps"},"versions":[{"version":"v1","resources":[{"resource":"deployments",)"
      R"("responseKind":{"group":"apps","version":"v1","kind":"Deployment"},"scope":"Namespaced",)"
      R"("singularResource":"deployment","verbs":["create","delete","deletecollection","get","list",)"
      R"("patch","update","watch"],"shortNames":["deploy"],"categories":["all"],"subresources":[)"
      R"({"subresource":"scale","responseKind":{"group":"autoscaling","version":"v1","kind":"Scale"},)"
      R"("verbs":["get","patch","update"]})"))
      << *document->body;
  EXPECT_TRUE(Body("/api", kV2).find(R"({"metadata":{},"versions":[{"version":"v1")") !=
              std::string::npos);
  EXPECT_TRUE(Body("/api", kV2Beta1).find(R"("apiVersion":"apidiscovery.k8s.io/v2beta1")") !=
              std::string::npos);
}

TEST_F(DiscoveryTest, AcceptChoosesTheForm) {
  auto kind = [&](std::string accept) {
    auto document = discovery_.Get("/apis", accept);
    return document.ok() ? document->content_type : document.status().ToString();
  };
  std::string all = std::string(kV2) + "," + std::string(kV2Beta1) + ",application/json";
  EXPECT_EQ(kind(all), kV2);
  EXPECT_EQ(kind(std::string(kV2Beta1) + ",application/json"), kV2Beta1);
  EXPECT_EQ(kind("application/json;q=0.5," + std::string(kV2) + ";q=0.1"), "application/json");
  EXPECT_EQ(kind("application/json;as=APIGroupDiscoveryList;v=v3;g=apidiscovery.k8s.io, */*"),
            "application/json");
  EXPECT_EQ(kind("application/vnd.kubernetes.protobuf,application/json"), "application/json");
  EXPECT_EQ(kind(""), "application/json");
  EXPECT_EQ(kind("text/html"),
            "NotAcceptable: only the following media types are accepted: application/json");
  // What has one form only answers with it to whoever takes JSON at all.
  EXPECT_TRUE(Body("/apis/apps/v1", all).starts_with(R"({"kind":"APIResourceList")"));
}

TEST_F(DiscoveryTest, UnknownPath) {
  EXPECT_EQ(discovery_.Get("/apis/none", "").code(), Code::kNotFound);
  EXPECT_EQ(discovery_.Get("/apis/apps/v2", "").code(), Code::kNotFound);
}

}  // namespace
}  // namespace gantry::apiserver
