#include "controllers/nodeipam/node_ipam.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/core/v1/node.pb.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"
#include "controllers/nodeipam/subnets.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Node;
using api::testing::FromYaml;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::unique_ptr<client::Reconciler> Make(const std::string& cluster_cidr, int v4 = 24,
                                         int v6 = 64) {
  NodeIpamOptions options;
  options.cluster_cidr = cluster_cidr;
  options.node_prefix_v4 = v4;
  options.node_prefix_v6 = v6;
  return std::move(*MakeNodeIpamController(options));
}

TEST(NodeIpam, GivesTheLowestFreeSubnetAndNoneThatOverlaps) {
  client::ReconcilerHarness harness(Make("10.244.0.0/16"));
  harness.Put(FromYaml<Node>(
      "{metadata: {name: wide}, spec: {podCIDR: 10.244.0.0/23, podCIDRs: [10.244.0.0/23]}}"));
  harness.Put(FromYaml<Node>("{metadata: {name: far}, spec: {podCIDR: 192.168.0.0/24}}"));
  harness.Put(FromYaml<Node>("{metadata: {name: a}}"));
  harness.Put(FromYaml<Node>("{metadata: {name: b}}"));
  harness.Settle();
  auto node = harness.client().Peek<Node>("", "a");
  EXPECT_EQ(node->spec().pod_cidr(), "10.244.2.0/24");
  EXPECT_THAT(node->spec().pod_cidrs(), ElementsAre("10.244.2.0/24"));
  EXPECT_EQ(harness.client().Peek<Node>("", "b")->spec().pod_cidr(), "10.244.3.0/24");
  EXPECT_THAT(harness.Restless(), IsEmpty());
}

TEST(NodeIpam, SaysWhenThereIsNoneAndUsesWhatIsFreed) {
  client::ReconcilerHarness harness(Make("10.0.0.0/25", 25));
  harness.Put(FromYaml<Node>("{metadata: {name: a}}"));
  harness.Settle();
  harness.Put(FromYaml<Node>("{metadata: {name: b}}"));
  harness.Settle();
  EXPECT_THAT(harness.events(),
              ElementsAre("Normal CIDRNotAvailable Node b status is now: CIDRNotAvailable"));
  harness.Remove<Node>("", "a");
  harness.Advance(seconds(31));
  EXPECT_EQ(harness.client().Peek<Node>("", "b")->spec().pod_cidr(), "10.0.0.0/25");
}

TEST(NodeIpam, GivesOneSubnetOfEachFamilyThePrimaryFirst) {
  client::ReconcilerHarness harness(Make("fd42:0:0:100::/56,10.42.0.0/16"));
  harness.Put(FromYaml<Node>(
      "{metadata: {name: old}, spec: {podCIDR: 10.42.0.0/24, podCIDRs: [10.42.0.0/24]}}"));
  harness.Put(FromYaml<Node>("{metadata: {name: a}}"));
  harness.Put(FromYaml<Node>("{metadata: {name: b}}"));
  harness.Settle();
  EXPECT_THAT(harness.client().Peek<Node>("", "a")->spec().pod_cidrs(),
              ElementsAre("fd42:0:0:100::/64", "10.42.1.0/24"));
  auto b = harness.client().Peek<Node>("", "b");
  EXPECT_EQ(b->spec().pod_cidr(), "fd42:0:0:101::/64");
  EXPECT_THAT(b->spec().pod_cidrs(), ElementsAre("fd42:0:0:101::/64", "10.42.2.0/24"));
}

TEST(NodeIpam, GivesNothingWhenOneFamilyIsUsedUp) {
  client::ReconcilerHarness harness(Make("10.0.0.0/24,fd42::/64", 25, 64));
  harness.Put(FromYaml<Node>("{metadata: {name: a}}"));
  harness.Put(FromYaml<Node>("{metadata: {name: b}}"));
  harness.Settle();
  EXPECT_THAT(harness.client().Peek<Node>("", "a")->spec().pod_cidrs(),
              ElementsAre("10.0.0.0/25", "fd42::/64"));
  EXPECT_THAT(harness.client().Peek<Node>("", "b")->spec().pod_cidrs(), IsEmpty());
}

TEST(NodeIpam, RefusesRangesThatAreNone) {
  struct Row {
    const char* range;
    const char* says;
  };
  for (const Row& row : {
           Row{"", "is not a network"},
           Row{"10.0.0.0", "is not a network"},
           Row{"10.0.0/8", "is not a network"},
           Row{"10.0.0.0/33", "is not a network"},
           Row{"10.0.0.0/25", "has no room for a /24 for each node"},
           Row{"fd00::/32", "the node CIDR size is too big"},
           Row{"10.0.0.0/16,10.1.0.0/16", "one of IPv4 and one of IPv6"},
           Row{"10.0.0.0/16,fd00::/56,fd01::/56", "one of IPv4 and one of IPv6"},
       }) {
    NodeIpamOptions options;
    options.cluster_cidr = row.range;
    Status status = MakeNodeIpamController(options).status();
    EXPECT_EQ(status.code(), Code::kBadRequest) << row.range;
    EXPECT_THAT(status.message(), HasSubstr(row.says)) << row.range;
  }
}

TEST(Subnets, TakesWhatOverlapsAtTheEdges) {
  struct Row {
    const char* range;
    int prefix;
    const char* taken;
    const char* next;
  };
  for (const Row& row : {
           Row{"10.0.0.0/22", 24, "10.0.0.255/32", "10.0.1.0/24"},
           Row{"10.0.0.0/22", 24, "0.0.0.0/0", ""},
           Row{"10.0.0.0/22", 24, "9.255.255.0/24", "10.0.0.0/24"},
           Row{"255.255.255.0/24", 25, "255.255.255.0/25", "255.255.255.128/25"},
           Row{"fd00::/62", 64, "fd00::1/128", "fd00:0:0:1::/64"},
           Row{"fd00::/62", 64, "::/0", ""},
           Row{"fd00::/62", 64, "10.0.0.0/8", "fd00::/64"},
           Row{"::/0", 0, "nothing", "::/0"},
       }) {
    Result<Subnets> subnets = Subnets::Cut(row.range, row.prefix);
    ASSERT_TRUE(subnets.ok()) << row.range;
    subnets->Take(row.taken);
    EXPECT_EQ(subnets->Next().value_or(""), row.next) << row.range << " without " << row.taken;
  }
}

}  // namespace
}  // namespace gantry::controllers
