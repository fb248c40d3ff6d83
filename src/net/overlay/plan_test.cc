#include "net/overlay/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/core/v1/node.pb.h"
#include "api/core/v1/node_status.pb.h"
#include "net/names.h"

namespace gantry::net {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

OverlayNode Node(const std::string& name, int64_t created, const std::string& cidrs,
                 const std::string& addresses) {
  OverlayNode node;
  node.name = name;
  node.created = created;
  node.pod_cidrs = *ParseCidrs(cidrs);
  node.addresses = *ParseAddresses(addresses);
  return node;
}

OverlayPlan Plan(OverlayMode mode, const std::string& self, const std::vector<OverlayNode>& nodes) {
  OverlaySettings settings;
  settings.mode = mode;
  OverlayNodes by_name;
  for (const OverlayNode& node : nodes)
    by_name[node.name] = node;
  return PlanOverlay(settings, self, UnderlayOf(by_name[self].addresses), by_name);
}

// One line for each route, as "network via gateway".
std::vector<std::string> Routes(const OverlayPlan& plan) {
  std::vector<std::string> lines;
  for (const auto& [cidr, gateway] : plan.routes)
    lines.push_back(cidr.ToString() + " via " + gateway.ToString());
  return lines;
}

TEST(OverlayPlan, LeadsToEveryOtherNodeThroughTheTunnel) {
  OverlayPlan plan = Plan(OverlayMode::kVxlan, "a",
                          {Node("a", 1, "10.42.0.0/24,fd42::/64", "192.0.2.1,2001:db8::1"),
                           Node("b", 2, "10.42.1.0/24,fd42:0:0:1::/64", "2001:db8::2,192.0.2.2"),
                           Node("new", 3, "", "192.0.2.3")});
  EXPECT_THAT(Routes(plan),
              ElementsAre("10.42.1.0/24 via 10.42.1.1", "fd42:0:0:1::/64 via fd42:0:0:1::1"));
  EXPECT_EQ(plan.neighbours.size(), 2u) << "both gateways are the same device";
  ASSERT_EQ(plan.forwarding.size(), 1u);
  EXPECT_EQ(plan.forwarding.at(MacOfNode("b")).ToString(), "192.0.2.2")
      << "of the family that this node sends by";
  EXPECT_THAT(plan.unreachable, IsEmpty());
}

TEST(OverlayPlan, HostRoutesGoThroughTheAddressOfTheSameFamily) {
  OverlayPlan plan = Plan(OverlayMode::kHostRoutes, "a",
                          {Node("a", 1, "10.42.0.0/24", "192.0.2.1"),
                           Node("b", 2, "10.42.1.0/24,fd42:0:0:1::/64", "192.0.2.2,2001:db8::2"),
                           Node("c", 2, "10.42.2.0/24,fd42:0:0:2::/64", "192.0.2.3")});
  EXPECT_THAT(Routes(plan), ElementsAre("10.42.1.0/24 via 192.0.2.2", "10.42.2.0/24 via 192.0.2.3",
                                        "fd42:0:0:1::/64 via 2001:db8::2"));
  EXPECT_THAT(plan.forwarding, IsEmpty());
  EXPECT_THAT(plan.unreachable,
              ElementsAre("node c has no IPv6 address to reach its pods in fd42:0:0:2::/64 "
                          "through"));
}

TEST(OverlayPlan, WithoutAnOverlayThereIsNothingToDo) {
  OverlayPlan plan =
      Plan(OverlayMode::kNone, "a",
           {Node("a", 1, "10.42.0.0/24", "192.0.2.1"), Node("b", 2, "10.42.1.0/24", "192.0.2.2")});
  EXPECT_THAT(Routes(plan), IsEmpty());
}

TEST(OverlayPlan, TheOlderOfTwoNodesWithOneSubnetKeepsIt) {
  const std::vector<OverlayNode> nodes = {Node("a", 2, "10.42.1.0/24", "192.0.2.1"),
                                          Node("b", 1, "10.42.0.0/23", "192.0.2.2"),
                                          Node("c", 3, "10.42.2.0/24", "192.0.2.3")};
  const std::string why =
      "pod CIDR 10.42.1.0/24 of node a overlaps with 10.42.0.0/23 of node b, which was there first";
  OverlayPlan younger = Plan(OverlayMode::kVxlan, "a", nodes);
  EXPECT_EQ(younger.conflict, why + ": delete node a and let it join again");
  OverlayPlan older = Plan(OverlayMode::kVxlan, "b", nodes);
  EXPECT_EQ(older.conflict, "");
  EXPECT_THAT(older.unreachable, ElementsAre(why));
  OverlayPlan other = Plan(OverlayMode::kVxlan, "c", nodes);
  EXPECT_THAT(Routes(other), ElementsAre("10.42.0.0/23 via 10.42.0.1"));
  EXPECT_THAT(other.unreachable, ElementsAre(why));
}

TEST(OverlayPlan, ReadsNodes) {
  api::core::v1::Node node;
  node.mutable_metadata()->set_name("n");
  node.mutable_metadata()->mutable_creation_timestamp()->set_seconds(7);
  node.mutable_spec()->set_pod_cidr("10.42.1.0/24");
  for (const auto& [type, address] :
       {std::pair("Hostname", "n"), std::pair("InternalIP", "192.0.2.1"),
        std::pair("ExternalIP", "198.51.100.1"), std::pair("InternalIP", "2001:db8::1")}) {
    auto* added = node.mutable_status()->add_addresses();
    added->set_type(type);
    added->set_address(address);
  }
  EXPECT_EQ(OverlayNode::Of(node), Node("n", 7, "10.42.1.0/24", "192.0.2.1,2001:db8::1"));
}

TEST(OverlaySettings, NamesAndOverheads) {
  EXPECT_EQ(*OverlaySettings::ParseMode("host-routes"), OverlayMode::kHostRoutes);
  EXPECT_EQ(OverlaySettings::ParseMode("wireguard").status().message(),
            "overlay \"wireguard\" is not one of vxlan, host-routes and none");
  OverlaySettings settings;
  EXPECT_EQ(settings.Overhead(*IpAddress::Parse("192.0.2.1")), 50u);
  EXPECT_EQ(settings.Overhead(*IpAddress::Parse("2001:db8::1")), 70u);
  settings.mode = OverlayMode::kHostRoutes;
  EXPECT_EQ(settings.Overhead(*IpAddress::Parse("192.0.2.1")), 0u);
}

TEST(Cidr, CountsInBothFamilies) {
  struct Row {
    const char* cidr;
    uint64_t offset;
    const char* want;
  };
  for (const Row& row :
       {Row{"10.42.0.0/16", 1, "10.42.0.1"}, Row{"10.42.0.0/16", 511, "10.42.1.255"},
        Row{"fd42::/64", 1, "fd42::1"}, Row{"fd42::/64", 0x1ffff, "fd42::1:ffff"}})
    EXPECT_EQ(Cidr::Parse(row.cidr)->At(row.offset).ToString(), row.want);
  EXPECT_EQ(Cidr::Parse("10.42.0.0/24")->Size(), 256u);
  EXPECT_TRUE(Cidr::Parse("10.42.0.0/16")->Overlaps(*Cidr::Parse("10.42.9.0/24")));
  EXPECT_TRUE(Cidr::Parse("10.42.9.0/24")->Overlaps(*Cidr::Parse("10.42.0.0/16")));
  EXPECT_FALSE(Cidr::Parse("10.42.0.0/16")->Overlaps(*Cidr::Parse("10.43.0.0/16")));
  EXPECT_FALSE(Cidr::Parse("::/0")->Overlaps(*Cidr::Parse("0.0.0.0/0")));
}

}  // namespace
}  // namespace gantry::net
