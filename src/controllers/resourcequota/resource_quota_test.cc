#include "controllers/resourcequota/resource_quota.h"

#include <gtest/gtest.h>

#include "api/core/v1/pod.pb.h"
#include "api/core/v1/resource_quota.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Pod;
using api::core::v1::ResourceQuota;
using api::core::v1::Service;
using api::testing::FromYaml;

class ResourceQuotaTest : public ::testing::Test {
 protected:
  void PutPod(const std::string& name, const std::string& status = "{phase: Running}") {
    harness_.Put(FromYaml<Pod>("{metadata: {name: " + name +
                               ", namespace: default}, spec: {containers: [{name: c, resources: "
                               "{requests: {cpu: 250m, memory: 64Mi}}}]}, status: " +
                               status + "}"));
    harness_.Settle();
  }
  std::string Used(const std::string& name) {
    api::Ref<ResourceQuota> quota = harness_.client().Peek<ResourceQuota>("default", "q");
    auto found = quota->status().used().find(name);
    return found == quota->status().used().end() ? "none" : found->second.string();
  }

  client::ReconcilerHarness harness_{MakeResourceQuotaController()};
};

TEST_F(ResourceQuotaTest, CountsWhatIsThereAndGivesBackWhatWent) {
  PutPod("a");
  harness_.Put(FromYaml<ResourceQuota>(
      "{metadata: {name: q, namespace: default}, spec: {hard: {pods: 3, requests.cpu: 1, memory: "
      "1Gi, services.nodeports: 2, count/configmaps: 5}}}"));
  harness_.Settle();
  EXPECT_EQ(Used("pods"), "1");
  EXPECT_EQ(Used("requests.cpu"), "250m");
  EXPECT_EQ(Used("memory"), "64Mi");
  EXPECT_EQ(Used("services.nodeports"), "0");
  EXPECT_EQ(Used("count/configmaps"), "0");
  EXPECT_EQ(Used("secrets"), "none");
  EXPECT_EQ(
      harness_.client().Peek<ResourceQuota>("default", "q")->status().hard().at("memory").string(),
      "1Gi");

  PutPod("b");
  EXPECT_EQ(Used("requests.cpu"), "500m");
  PutPod("b", "{phase: Succeeded}");
  EXPECT_EQ(Used("pods"), "1");
  harness_.Remove<Pod>("default", "a");
  harness_.Settle();
  EXPECT_EQ(Used("pods"), "0");
  harness_.Put(FromYaml<Service>(
      "{metadata: {name: s, namespace: default}, spec: {type: NodePort, ports: [{port: 1}, {port: "
      "2}]}}"));
  harness_.Settle();
  EXPECT_EQ(Used("services.nodeports"), "2");
  EXPECT_TRUE(harness_.Restless().empty());
}

TEST_F(ResourceQuotaTest, CountsOnlyWhatIsInItsScopes) {
  PutPod("a");
  harness_.Put(FromYaml<ResourceQuota>(
      "{metadata: {name: q, namespace: default}, spec: {hard: {pods: 3}, scopes: [BestEffort]}}"));
  harness_.Settle();
  EXPECT_EQ(Used("pods"), "0");
  harness_.Put(
      FromYaml<Pod>("{metadata: {name: e, namespace: default}, spec: {containers: [{name: c}]}}"));
  harness_.Settle();
  EXPECT_EQ(Used("pods"), "1");
}

}  // namespace
}  // namespace gantry::controllers
