#include "controllers/serviceaccount/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Secret;
using api::core::v1::ServiceAccount;
using api::testing::FromYaml;
using ::testing::IsEmpty;

constexpr char kAccount[] = "{metadata: {name: robot, namespace: a, uid: u1}}";
constexpr char kSecret[] =
    "{metadata: {name: s, namespace: a, annotations: {kubernetes.io/service-account.name: robot}}, "
    "type: kubernetes.io/service-account-token}";

std::unique_ptr<client::Reconciler> Make(std::string ca = "PEM") {
  return MakeTokenController(
      [](const ServiceAccount& account, const Secret& secret) -> Result<std::string> {
        return account.metadata().name() + "@" + secret.metadata().name();
      },
      std::move(ca));
}

TEST(Tokens, ASecretGetsItsTokenTheCaAndTheNamespace) {
  client::ReconcilerHarness harness(Make());
  harness.Put(FromYaml<ServiceAccount>(kAccount));
  harness.Put(FromYaml<Secret>(kSecret));
  harness.Settle();
  auto secret = harness.client().Peek<Secret>("a", "s");
  EXPECT_EQ(secret->data().at("token"), "robot@s");
  EXPECT_EQ(secret->data().at("ca.crt"), "PEM");
  EXPECT_EQ(secret->data().at("namespace"), "a");
  EXPECT_EQ(secret->metadata().annotations().at("kubernetes.io/service-account.uid"), "u1");
  EXPECT_THAT(harness.Restless(), IsEmpty());
}

TEST(Tokens, WhatIsThereIsKeptAndAnotherCaIsReplaced) {
  client::ReconcilerHarness harness(Make());
  harness.Put(FromYaml<ServiceAccount>(kAccount));
  auto secret = FromYaml<Secret>(kSecret);
  (*secret.mutable_data())["token"] = "mine";
  (*secret.mutable_data())["ca.crt"] = "old";
  harness.Put(std::move(secret));
  harness.Settle();
  auto filled = harness.client().Peek<Secret>("a", "s");
  EXPECT_EQ(filled->data().at("token"), "mine");
  EXPECT_EQ(filled->data().at("ca.crt"), "PEM");
}

TEST(Tokens, OtherSecretsAreLeftAlone) {
  client::ReconcilerHarness harness(Make());
  harness.Put(FromYaml<Secret>(
      "{metadata: {name: s, namespace: a, annotations: {kubernetes.io/service-account.name: "
      "robot}}, type: Opaque}"));
  harness.Settle();
  EXPECT_THAT(harness.client().writes(), IsEmpty());
}

TEST(Tokens, GoWithTheirAccount) {
  client::ReconcilerHarness harness(Make());
  harness.Put(FromYaml<ServiceAccount>(kAccount));
  harness.Put(FromYaml<Secret>(kSecret));
  harness.Settle();
  // Another account of that name is not the one that the token stands for.
  harness.Put(FromYaml<ServiceAccount>("{metadata: {name: robot, namespace: a, uid: u2}}"));
  harness.Settle();
  EXPECT_FALSE(harness.client().Peek<Secret>("a", "s"));
}

TEST(Tokens, WithoutAnAccountASecretIsDeleted) {
  client::ReconcilerHarness harness(Make());
  harness.Put(FromYaml<Secret>(kSecret));
  harness.Settle();
  EXPECT_FALSE(harness.client().Peek<Secret>("a", "s"));
}

TEST(Tokens, AnAccountForgetsADeletedToken) {
  client::ReconcilerHarness harness(Make());
  harness.Put(FromYaml<ServiceAccount>(
      "{metadata: {name: robot, namespace: a, uid: u1}, secrets: [{name: s}, {name: later}]}"));
  harness.Put(FromYaml<Secret>(kSecret));
  harness.Settle();
  harness.Remove<Secret>("a", "s");
  harness.Settle();
  auto account = harness.client().Peek<ServiceAccount>("a", "robot");
  ASSERT_EQ(account->secrets_size(), 1);
  EXPECT_EQ(account->secrets(0).name(), "later") << "a secret that is yet to come";
}

}  // namespace
}  // namespace gantry::controllers
