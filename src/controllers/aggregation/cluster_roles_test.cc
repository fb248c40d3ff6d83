#include "controllers/aggregation/cluster_roles.h"

#include <gtest/gtest.h>

#include "api/rbac/v1/rbac.pb.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"

namespace gantry::controllers {
namespace {

using api::rbac::v1::ClusterRole;
using api::testing::FromYaml;

TEST(ClusterRoleAggregation, RulesFollowTheLabels) {
  client::ReconcilerHarness harness(MakeClusterRoleAggregationController());
  auto rules = [&](const char* name) {
    std::string text;
    for (const auto& rule : harness.client().Peek<ClusterRole>("", name)->rules())
      text += (text.empty() ? "" : " ") + rule.resources(0);
    return text;
  };
  harness.Put(FromYaml<ClusterRole>(
      "{metadata: {name: view}, aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: "
      "view}}]}, rules: [{verbs: [get], resources: [forgotten]}]}"));
  harness.Put(FromYaml<ClusterRole>(
      "{metadata: {name: b, labels: {to: view}}, rules: [{verbs: [get], resources: [pods]}]}"));
  harness.Put(FromYaml<ClusterRole>(
      "{metadata: {name: a, labels: {to: view}}, rules: [{verbs: [get], resources: [things]}, "
      "{verbs: [get], resources: [pods]}]}"));
  harness.Settle();
  EXPECT_EQ(rules("view"), "things pods");
  harness.Remove<ClusterRole>("", "a");
  harness.Settle();
  EXPECT_EQ(rules("view"), "pods");
  EXPECT_EQ(rules("b"), "pods");
  EXPECT_TRUE(harness.Restless().empty());
}

}  // namespace
}  // namespace gantry::controllers
