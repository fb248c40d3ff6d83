#include "controllers/namespace/namespace_controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "api/apps/v1/deployment.pb.h"
#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/service_account.pb.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"
#include "controllers/serviceaccount/service_accounts.h"

namespace gantry::controllers {
namespace {

using api::core::v1::ConfigMap;
using api::core::v1::Namespace;
using api::core::v1::Pod;
using api::testing::FromYaml;
using ::testing::IsEmpty;

constexpr char kLeaving[] =
    "{metadata: {name: gone, deletionTimestamp: 2020-01-01T00:00:00Z}, spec: {finalizers: "
    "[kubernetes]}, status: {phase: Terminating}}";

std::string Condition(const Namespace& home, const std::string& type) {
  for (const auto& condition : home.status().conditions()) {
    if (condition.type() == type)
      return condition.status() + " " + condition.reason() + ": " + condition.message();
  }
  return "";
}

TEST(NamespaceEnd, PodsFirstThenTheRestThenTheNamespace) {
  client::ReconcilerHarness harness(MakeNamespaceController());
  harness.Put(FromYaml<ConfigMap>("{metadata: {name: a, namespace: gone}}"));
  harness.Put(FromYaml<api::apps::v1::Deployment>(
      "{metadata: {name: d, namespace: gone, finalizers: [example.com/hold]}}"));
  harness.Put(FromYaml<ConfigMap>("{metadata: {name: a, namespace: stays}}"));
  harness.Put(FromYaml<Pod>("{metadata: {name: p, namespace: gone}, spec: {nodeName: n1}}"));
  harness.Put(FromYaml<Namespace>(kLeaving));
  harness.Settle();
  auto home = harness.client().Peek<Namespace>("", "gone");
  ASSERT_TRUE(home);
  EXPECT_EQ(
      Condition(*home, "NamespaceContentRemaining"),
      "True SomeResourcesRemain: Some resources are remaining: pods. has 1 resource instances");
  EXPECT_TRUE(harness.client().Peek<ConfigMap>("gone", "a")) << "the pod is still running";
  EXPECT_THAT(harness.Restless(), IsEmpty());

  harness.Remove<Pod>("gone", "p");
  harness.Settle();
  EXPECT_FALSE(harness.client().Peek<ConfigMap>("gone", "a"));
  home = harness.client().Peek<Namespace>("", "gone");
  ASSERT_TRUE(home);
  EXPECT_EQ(Condition(*home, "NamespaceContentRemaining"),
            "True SomeResourcesRemain: Some resources are remaining: deployments.apps has 1 "
            "resource instances");
  EXPECT_EQ(Condition(*home, "NamespaceFinalizersRemaining"),
            "True SomeFinalizersRemain: Some content in the namespace has finalizers remaining: "
            "example.com/hold in 1 resource instances");
  EXPECT_EQ(Condition(*home, "NamespaceDeletionDiscoveryFailure"),
            "False ResourcesDiscovered: All resources successfully discovered");
  EXPECT_THAT(harness.Restless(), IsEmpty());
  EXPECT_TRUE(harness.client().Peek<ConfigMap>("stays", "a"));
}

TEST(NamespaceEnd, IsPromptThoughNothingElseChanges) {
  client::ReconcilerHarness harness(MakeNamespaceController());
  harness.Put(FromYaml<Namespace>("{metadata: {name: stays}}"));
  const SteadyTime before = harness.env().Steady();
  harness.Put(FromYaml<Namespace>(kLeaving));
  harness.Settle();
  EXPECT_EQ(harness.env().Steady(), before);
  ASSERT_FALSE(harness.client().writes().empty());
  EXPECT_EQ(harness.client().writes().back().subresource, "finalize");
}

TEST(NamespaceEnd, SaysWhatCannotBeDeletedAndGoesOnWithTheRest) {
  client::ReconcilerHarness harness(MakeNamespaceController());
  bool stuck = true;
  harness.client().SetFault([&stuck](const client::FakeClient::Call& call) {
    return stuck && call.verb == "delete" && call.name == "a"
               ? Status(Code::kForbidden, "configmaps \"a\" is forbidden: kept")
               : Status();
  });
  harness.Put(FromYaml<ConfigMap>("{metadata: {name: a, namespace: gone}}"));
  harness.Put(FromYaml<ConfigMap>("{metadata: {name: b, namespace: gone}}"));
  harness.Put(FromYaml<Namespace>(kLeaving));
  harness.Advance(std::chrono::seconds(1));
  EXPECT_FALSE(harness.client().Peek<ConfigMap>("gone", "b"));
  const auto home = harness.client().Peek<Namespace>("", "gone");
  ASSERT_TRUE(home);
  std::map<std::string, std::string> shown;
  for (const auto& condition : home->status().conditions())
    shown[condition.type()] = condition.reason() + ": " + condition.message();
  EXPECT_EQ(shown["NamespaceDeletionContentFailure"],
            "ContentDeletionFailed: Failed to delete all resource types, 1 remaining: configmaps "
            "\"a\" is forbidden: kept");
  stuck = false;
  harness.Advance(std::chrono::seconds(10));
  EXPECT_FALSE(harness.client().Peek<ConfigMap>("gone", "a"));
}

TEST(NamespaceEnd, LeavesNamespacesAloneThatAreNotItsToEnd) {
  client::ReconcilerHarness harness(MakeNamespaceController());
  harness.Put(FromYaml<Namespace>("{metadata: {name: stays}, spec: {finalizers: [kubernetes]}}"));
  harness.Put(FromYaml<ConfigMap>("{metadata: {name: a, namespace: stays}}"));
  harness.Settle();
  EXPECT_THAT(harness.client().writes(), IsEmpty());
}

TEST(ServiceAccounts, DefaultAccountInEveryActiveNamespaceAndAgainWhenItIsDeleted) {
  using api::core::v1::ServiceAccount;
  client::ReconcilerHarness harness(MakeServiceAccountController());
  harness.Put(FromYaml<Namespace>("{metadata: {name: a}}"));
  harness.Put(FromYaml<Namespace>(kLeaving));
  harness.Settle();
  EXPECT_TRUE(harness.client().Peek<ServiceAccount>("a", "default"));
  EXPECT_FALSE(harness.client().Peek<ServiceAccount>("gone", "default"));
  harness.Remove<ServiceAccount>("a", "default");
  harness.Settle();
  EXPECT_TRUE(harness.client().Peek<ServiceAccount>("a", "default"));
  EXPECT_THAT(harness.Restless(), IsEmpty());
}

TEST(RootCa, IsPublishedAndRepaired) {
  client::ReconcilerHarness harness(MakeRootCaPublisher("PEM"));
  harness.Put(FromYaml<Namespace>("{metadata: {name: a}}"));
  harness.Settle();
  ConfigMap map = *harness.client().Peek<ConfigMap>("a", "kube-root-ca.crt");
  EXPECT_EQ(map.data().at("ca.crt"), "PEM");
  EXPECT_TRUE(map.metadata().annotations().contains("kubernetes.io/description"));
  (*map.mutable_data())["ca.crt"] = "forged";
  (*map.mutable_data())["more"] = "x";
  harness.Put(std::move(map));
  harness.Settle();
  map = *harness.client().Peek<ConfigMap>("a", "kube-root-ca.crt");
  EXPECT_EQ(map.data().at("ca.crt"), "PEM");
  EXPECT_EQ(map.data_size(), 1);
  EXPECT_THAT(harness.Restless(), IsEmpty());
}

}  // namespace
}  // namespace gantry::controllers
