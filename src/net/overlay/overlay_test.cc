#include "net/overlay/overlay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "net/cleanup.h"
#include "net/testing/netns.h"

namespace gantry::net {
namespace {

using testing::Ask;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TestHost;
using testing::TestServer;

// This host (192.168.77.1) is node "a"; the machine outside (192.168.77.2) plays node "b", with
// addresses that pods would have and a tunnel made by hand.
class OverlayTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(host_.Ready()) << host_.problem();
    std::filesystem::create_directories(host_.data_dir() + "/net");
    names_ = InstanceNames::ForDataDir(host_.data_dir());
    overlay_ = Make(OverlayMode::kVxlan);
  }

  Overlay::Options Options(OverlayMode mode) {
    Overlay::Options options;
    options.settings.mode = mode;
    options.settings.vni = 77;
    options.names = names_;
    options.node_name = "a";
    options.underlay = *IpAddress::Parse("192.168.77.1");
    options.routes_file = Overlay::RoutesFile(host_.data_dir());
    return options;
  }
  std::unique_ptr<Overlay> Make(OverlayMode mode) {
    return std::make_unique<Overlay>(Options(mode));
  }
  Status Apply(const std::string& addresses_of_b, OverlayMode mode = OverlayMode::kVxlan,
               uint32_t mtu = 1450) {
    OverlayNodes nodes;
    nodes["a"].name = "a";
    nodes["a"].pod_cidrs = own_;
    if (!addresses_of_b.empty()) {
      nodes["b"].name = "b";
      nodes["b"].pod_cidrs = *ParseCidrs("10.42.1.0/24,fd42:0:0:1::/64");
      nodes["b"].addresses = *ParseAddresses(addresses_of_b);
    }
    const Overlay::Options options = Options(mode);
    return overlay_->Apply(PlanOverlay(options.settings, "a", options.underlay, nodes), own_, mtu);
  }
  static std::string Hex(const MacAddress& mac) {
    char text[18];
    std::snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
                  mac[3], mac[4], mac[5]);
    return text;
  }
  void SetUpPeer() {
    const std::string script =
        "set -e; ip link set lo up; ip link add tun type vxlan id 77 dstport 8472 local "
        "192.168.77.2 "
        "nolearning; ip link set tun address " +
        Hex(MacOfNode("b")) +
        "; ip link set tun up mtu 1450; "
        "ip address add 10.42.1.1/32 dev tun; ip address add 10.42.1.9/32 dev lo; "
        "ip -6 address add fd42:0:0:1::9/128 dev lo nodad; "
        "ip route add 10.42.0.0/24 via 10.42.0.1 dev tun onlink; "
        "ip -6 route add fd42::/64 via fd42::1 dev tun onlink; "
        "ip neighbour add 10.42.0.1 lladdr " +
        Hex(MacOfNode("a")) +
        " dev tun nud permanent; "
        "ip -6 neighbour add fd42::1 lladdr " +
        Hex(MacOfNode("a")) +
        " dev tun nud permanent; "
        "bridge fdb append " +
        Hex(MacOfNode("a")) + " dev tun dst 192.168.77.1";
    int failed = -1;
    host_.outside().Run([&] { failed = std::system(("sh -c '" + script + "'").c_str()); });
    ASSERT_EQ(failed, 0);
  }
  std::vector<std::string> RoutesTo(const std::string& network) {
    std::vector<std::string> lines;
    Result<RouteSocket> route = RouteSocket::Open();
    const std::vector<Route> routes = *route->Routes();
    for (const Route& there : routes) {
      if (there.to == *Cidr::Parse(network))
        lines.push_back(there.gateway ? there.gateway->ToString() : "on link");
    }
    return lines;
  }

  TestHost host_;
  InstanceNames names_;
  const std::vector<Cidr> own_ = *ParseCidrs("10.42.0.0/24,fd42::/64");
  std::unique_ptr<Overlay> overlay_;
};

TEST_F(OverlayTest, PacketsOfBothFamiliesGoThroughATunnelThatLearnsNothing) {
  SetUpPeer();
  TestServer v4(&host_.outside(), "b", 8080, false, "10.42.1.9");
  TestServer v6(&host_.outside(), "b", 8080, false, "fd42:0:0:1::9");
  ASSERT_EQ(Apply("192.168.77.2").ToString(), "OK");
  EXPECT_EQ(Ask("10.42.1.9", 8080).text, "b 10.42.0.1");
  EXPECT_EQ(Ask("fd42:0:0:1::9", 8080).text, "b fd42::1");

  // Its address changes: the next packet goes there.
  ASSERT_EQ(Apply("192.168.77.3").ToString(), "OK");
  EXPECT_NE(Ask("10.42.1.9", 8080, false, 0, 200).error, 0);
  host_.outside().Run([] { ASSERT_EQ(std::system("ip address add 192.168.77.3/24 dev eth0"), 0); });
  EXPECT_EQ(Ask("10.42.1.9", 8080, false, 0, 5000).text, "b 10.42.0.1");

  // The node goes: so do all traces of it.
  ASSERT_EQ(Apply("").ToString(), "OK");
  EXPECT_THAT(RoutesTo("10.42.1.0/24"), IsEmpty());
  EXPECT_THAT(RoutesTo("fd42:0:0:1::/64"), IsEmpty());
  Result<RouteSocket> route = RouteSocket::Open();
  const int link = route->FindLink(names_.overlay)->index;
  EXPECT_THAT(*route->Forwarding(link), IsEmpty());
  const std::vector<Neighbour> neighbours = *route->Neighbours(link);
  for (const Neighbour& neighbour : neighbours)
    EXPECT_FALSE(neighbour.permanent) << neighbour.ip.ToString();
}

TEST_F(OverlayTest, AfterACrashOnlyTheDifferenceIsChanged) {
  ASSERT_EQ(Apply("192.168.77.2").ToString(), "OK");
  Result<RouteSocket> route = RouteSocket::Open();
  const int link = route->FindLink(names_.overlay)->index;
  overlay_ = Make(OverlayMode::kVxlan);
  ASSERT_EQ(Apply("192.168.77.2").ToString(), "OK");
  EXPECT_EQ(route->FindLink(names_.overlay)->index, link) << "the device is the same";
  overlay_ = Make(OverlayMode::kVxlan);
  ASSERT_EQ(Apply("192.168.77.3").ToString(), "OK");
  std::vector<ForwardingEntry> entries = *route->Forwarding(link);
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].to.ToString(), "192.168.77.3");

  // Whatever somebody else broke is mended at the next change.
  ASSERT_TRUE(route->DeleteLink(names_.overlay).ok());
  ASSERT_EQ(Apply("192.168.77.2").ToString(), "OK");
  EXPECT_THAT(RoutesTo("10.42.1.0/24"), ElementsAre("10.42.1.1"));
}

TEST_F(OverlayTest, TheDeviceFollowsItsSettings) {
  ASSERT_EQ(Apply("192.168.77.2").ToString(), "OK");
  Result<RouteSocket> route = RouteSocket::Open();
  ASSERT_EQ(Apply("192.168.77.2", OverlayMode::kVxlan, 1300).ToString(), "OK");
  EXPECT_EQ(route->FindLink(names_.overlay)->mtu, 1300u);
  Overlay::Options other = Options(OverlayMode::kVxlan);
  other.settings.vni = 78;
  overlay_ = std::make_unique<Overlay>(other);
  ASSERT_EQ(Apply("192.168.77.2").ToString(), "OK");
  EXPECT_EQ(route->FindVxlan(names_.overlay)->vni, 78u);
}

TEST_F(OverlayTest, ATakenNumberIsSaid) {
  ASSERT_EQ(std::system("ip link add other type vxlan id 77 dstport 8472 nolearning"), 0);
  EXPECT_THAT(Apply("192.168.77.2").message(),
              HasSubstr("another network on this machine has VXLAN 77 on UDP port 8472; choose "
                        "another number with --vxlan-vni"));
}

TEST_F(OverlayTest, ModesReplaceEachOtherAndCleanUpRemovesAll) {
  ASSERT_EQ(Apply("192.168.77.2").ToString(), "OK");
  overlay_ = Make(OverlayMode::kHostRoutes);
  Status status = Apply("192.168.77.2,2001:db8::2", OverlayMode::kHostRoutes);
  EXPECT_THAT(status.message(), HasSubstr("their node 2001:db8::2 is on none"));
  EXPECT_THAT(RoutesTo("10.42.1.0/24"), ElementsAre("192.168.77.2"));
  Result<RouteSocket> route = RouteSocket::Open();
  EXPECT_EQ(route->FindLink(names_.overlay).code(), Code::kNotFound);

  // A crash later, with the node gone meanwhile.
  overlay_ = Make(OverlayMode::kHostRoutes);
  ASSERT_EQ(Apply("", OverlayMode::kHostRoutes).ToString(), "OK");
  EXPECT_THAT(RoutesTo("10.42.1.0/24"), IsEmpty());

  status = Apply("192.168.77.2,2001:db8::2", OverlayMode::kHostRoutes);
  EXPECT_THAT(RoutesTo("10.42.1.0/24"), ElementsAre("192.168.77.2"));
  ASSERT_EQ(CleanUpNetwork(host_.data_dir()).ToString(), "OK");
  EXPECT_THAT(RoutesTo("10.42.1.0/24"), IsEmpty());
}

}  // namespace
}  // namespace gantry::net
