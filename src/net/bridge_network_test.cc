#include "net/bridge_network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "net/netlink/route.h"
#include "net/testing/netns.h"

namespace gantry::net {
namespace {

using testing::Ask;
using testing::AskFrom;
using testing::Reply;
using testing::TestHost;
using testing::TestNetns;
using testing::TestServer;

class BridgeNetworkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!host_.Ready()) GTEST_SKIP() << host_.problem();
    network_ = Make();
    ASSERT_EQ(host_.Await(network_->Start()).ToString(), "OK");
  }

  std::unique_ptr<BridgeNetwork> Make() {
    BridgeOptions options;
    options.data_dir = host_.data_dir();
    options.cluster_cidrs = cluster_cidrs_;
    options.service_cidrs = {*Cidr::Parse("10.43.0.0/16"), *Cidr::Parse("fd43::/112")};
    options.node_ip = *IpAddress::Parse("192.168.77.1");
    options.overhead = 50;
    return std::make_unique<BridgeNetwork>(host_.env(), options);
  }
  // As a cluster with both families has it, the outside too.
  void UseBothFamilies() {
    cluster_cidrs_ = *ParseCidrs("10.42.0.0/16,fd42::/56");
    network_ = Make();
    ASSERT_EQ(host_.Await(network_->Start()).ToString(), "OK");
    UseSubnet("10.42.0.0/24", "fd42::/64");
    ASSERT_EQ(std::system("ip address add fd77::1/64 dev uplink nodad"), 0);
    host_.outside().Run([] {
      ASSERT_EQ(std::system("ip address add fd77::2/64 dev eth0 nodad && "
                            "ip route add default via fd77::1"),
                0);
    });
  }
  void UseSubnet(const std::string& cidr, const std::string& other = {}) {
    std::vector<std::string> cidrs = {cidr};
    if (!other.empty()) cidrs.push_back(other);
    ASSERT_EQ(host_.Await(network_->SetPodCidrs(cidrs)).ToString(), "OK");
  }
  PodAttachment Pod(const std::string& uid, const TestNetns& netns,
                    std::vector<HostPort> ports = {}) {
    PodAttachment pod;
    pod.uid = uid;
    pod.ns = "default";
    pod.name = "pod-" + uid;
    pod.netns_path = netns.path();
    pod.host_ports = std::move(ports);
    return pod;
  }
  std::string Attach(PodAttachment pod) {
    Result<std::vector<std::string>> ips = host_.Await(network_->Attach(std::move(pod)));
    if (!ips.ok()) return ips.status().ToString();
    std::string text;
    for (const std::string& ip : *ips)
      text += (text.empty() ? "" : " ") + ip;
    return text;
  }
  std::vector<std::string> PodLinks() {
    std::vector<std::string> names;
    Result<RouteSocket> route = RouteSocket::Open();
    Result<std::vector<Link>> links = route->Links();
    for (const Link& link : *links) {
      if (link.name.starts_with(network_->names().veth_prefix)) names.push_back(link.name);
    }
    return names;
  }

  // The MTU of the pod's interface.
  static std::string MtuIn(const TestNetns& netns) {
    Result<RouteSocket> inside = RouteSocket::OpenIn(netns.path());
    Result<Link> eth = inside->FindLink("eth0");
    return eth.ok() ? std::to_string(eth->mtu) : eth.status().message();
  }

  TestHost host_;
  std::vector<Cidr> cluster_cidrs_ = *ParseCidrs("10.42.0.0/16");
  std::unique_ptr<BridgeNetwork> network_;
};

TEST_F(BridgeNetworkTest, IsNotReadyBeforeItHasASubnet) {
  TestNetns a;
  EXPECT_EQ(network_->NotReadyReason(), "the node has no pod CIDR yet");
  EXPECT_EQ(host_.Await(network_->Attach(Pod("a", a))).code(), Code::kUnavailable);
  UseSubnet("10.42.3.0/24");
  EXPECT_EQ(network_->NotReadyReason(), "");
  EXPECT_EQ(Attach(Pod("a", a)), "10.42.3.2");
}

TEST_F(BridgeNetworkTest, PodsReachEachOtherTheHostAndTheOutside) {
  TestNetns a, b;
  UseSubnet("10.42.0.0/24");
  ASSERT_EQ(Attach(Pod("a", a)), "10.42.0.2");
  ASSERT_EQ(Attach(Pod("b", b)), "10.42.0.3");
  TestServer in_b(&b, "b", 8080);
  TestServer on_host(nullptr, "host", 9090);
  TestServer outside(&host_.outside(), "outside", 7070);

  Reply first = AskFrom(a, "10.42.0.3", 8080);
  EXPECT_EQ(first.text, "b 10.42.0.2");
  RecordProperty("first_connection_ms", std::to_string(first.milliseconds));
  std::printf("first connection between new pods: %.2f ms\n", first.milliseconds);
  EXPECT_EQ(Ask("10.42.0.3", 8080).text, "b 10.42.0.1");
  EXPECT_EQ(AskFrom(a, "10.42.0.1", 9090).text, "host 10.42.0.2");
  // Leaving the cluster, a pod looks like its node.
  EXPECT_EQ(AskFrom(a, "192.168.77.2", 7070).text, "outside 192.168.77.1");
}

TEST_F(BridgeNetworkTest, PodsHaveAnAddressOfEachFamily) {
  TestNetns a, b;
  UseBothFamilies();
  ASSERT_EQ(Attach(Pod("a", a)), "10.42.0.2 fd42::2");
  HostPort port, bound;
  port.protocol = "TCP", port.host_port = 18080, port.container_port = 8080;
  bound = port;
  bound.host_port = 18081, bound.host_ip = "fd77::1";
  ASSERT_EQ(Attach(Pod("b", b, {port, bound})), "10.42.0.3 fd42::3");
  TestServer v4(&b, "b", 8080), v6(&b, "b", 8080, false, "fd42::3");
  TestServer on_host(nullptr, "host", 9090, false, "fd42::1");
  TestServer outside(&host_.outside(), "outside", 7070, false, "fd77::2");

  struct Row {
    const char* what;
    const TestNetns* from;
    const char* ip;
    uint16_t port;
    const char* want;
  };
  const Row rows[] = {
      {"IPv4 between pods", &a, "10.42.0.3", 8080, "b 10.42.0.2"},
      {"between pods", &a, "fd42::3", 8080, "b fd42::2"},
      {"from the host", nullptr, "fd42::3", 8080, "b fd42::1"},
      {"to the host", &a, "fd42::1", 9090, "host fd42::2"},
      {"leaving the cluster, a pod looks like its node", &a, "fd77::2", 7070, "outside fd77::1"},
      {"host port from outside", &host_.outside(), "fd77::1", 18080, "b fd77::2"},
      {"host port of one address", &host_.outside(), "fd77::1", 18081, "b fd77::2"},
      {"host port in IPv4", &host_.outside(), "192.168.77.1", 18080, "b 192.168.77.2"},
      {"a pod reaches itself by its host port", &b, "fd77::1", 18080, "b fd42::1"},
  };
  for (const Row& row : rows) {
    Reply reply = row.from ? AskFrom(*row.from, row.ip, row.port) : Ask(row.ip, row.port, false, 0);
    EXPECT_EQ(reply.text, row.want) << row.what << " errno " << reply.error;
  }

  // What a crash leaves is found again, both addresses of it.
  network_ = Make();
  ASSERT_EQ(host_.Await(network_->Start()).ToString(), "OK");
  EXPECT_EQ(network_->NotReadyReason(), "");
  EXPECT_EQ(Attach(Pod("b", b, {port, bound})), "10.42.0.3 fd42::3");
  EXPECT_EQ(network_->NamespaceOf(*IpAddress::Parse("fd42::3")), "default");
  ASSERT_TRUE(host_.Await(network_->Detach("b")).ok());
  EXPECT_EQ(AskFrom(host_.outside(), "fd77::1", 18080).error, ECONNREFUSED);
}

TEST_F(BridgeNetworkTest, ClustersOfOneFamilyHaveNothingOfTheOther) {
  cluster_cidrs_ = *ParseCidrs("fd42::/56");
  network_ = Make();
  ASSERT_EQ(host_.Await(network_->Start()).ToString(), "OK");
  UseSubnet("fd42:0:0:7::/64");
  TestNetns a, b;
  ASSERT_EQ(Attach(Pod("a", a)), "fd42:0:0:7::2");
  ASSERT_EQ(Attach(Pod("b", b)), "fd42:0:0:7::3");
  TestServer v6(&b, "b", 8080, false, "::");
  EXPECT_EQ(AskFrom(a, "fd42:0:0:7::3", 8080).text, "b fd42:0:0:7::2");
  std::vector<std::string> v4 = {"10.42.0.0/24"};
  EXPECT_EQ(host_.Await(network_->SetPodCidrs(v4)).message(),
            "the node's pod CIDR 10.42.0.0/24 is of another IP family than all of --cluster-cidr");
}

TEST_F(BridgeNetworkTest, TheMtuFollowsTheUplink) {
  TestNetns a, b;
  UseSubnet("10.42.0.0/24");
  ASSERT_EQ(Attach(Pod("a", a)), "10.42.0.2");
  EXPECT_EQ(MtuIn(a), "1450") << "what the uplink leaves";
  ASSERT_EQ(std::system("ip link set uplink mtu 1400"), 0);
  ASSERT_EQ(host_.Await(network_->FollowUplink()).ToString(), "OK");
  EXPECT_EQ(network_->mtu(), 1350u);
  EXPECT_EQ(MtuIn(a), "1350");
  ASSERT_EQ(Attach(Pod("b", b)), "10.42.0.3");
  EXPECT_EQ(MtuIn(b), "1350");
}

TEST_F(BridgeNetworkTest, AnObstacleKeepsPodsOut) {
  TestNetns a;
  UseSubnet("10.42.0.0/24");
  network_->SetObstacle("the subnet is another node's");
  EXPECT_EQ(network_->NotReadyReason(), "the subnet is another node's");
  EXPECT_EQ(host_.Await(network_->Attach(Pod("a", a))).code(), Code::kUnavailable);
  network_->SetObstacle("");
  EXPECT_EQ(Attach(Pod("a", a)), "10.42.0.2");
}

TEST_F(BridgeNetworkTest, AttachTwiceGivesTheSameAnswer) {
  TestNetns a, replaced;
  UseSubnet("10.42.0.0/24");
  EXPECT_EQ(Attach(Pod("a", a)), "10.42.0.2");
  EXPECT_EQ(Attach(Pod("a", a)), "10.42.0.2");
  EXPECT_EQ(PodLinks().size(), 1u);
  // After a reboot the same pod comes with a new namespace.
  EXPECT_EQ(Attach(Pod("a", replaced)), "10.42.0.2");
  TestServer server(&replaced, "again", 8080);
  EXPECT_EQ(Ask("10.42.0.2", 8080).text, "again 10.42.0.1");
}

TEST_F(BridgeNetworkTest, HostPortsReachThePod) {
  TestNetns a;
  UseSubnet("10.42.0.0/24");
  HostPort tcp, udp, bound;
  tcp.protocol = "TCP", tcp.host_port = 18080, tcp.container_port = 8080;
  udp.protocol = "UDP", udp.host_port = 18053, udp.container_port = 53;
  bound.protocol = "TCP", bound.host_port = 18081, bound.container_port = 8080,
  bound.host_ip = "192.168.77.1";
  ASSERT_EQ(Attach(Pod("a", a, {tcp, udp, bound})), "10.42.0.2");
  TestServer web(&a, "web", 8080);
  TestServer dns(&a, "dns", 53, /*udp=*/true);

  struct Row {
    const char* what;
    const TestNetns* from;
    const char* ip;
    uint16_t port;
    bool udp;
    const char* want;  // "": refused
  };
  const Row rows[] = {
      {"from outside", &host_.outside(), "192.168.77.1", 18080, false, "web 192.168.77.2"},
      {"udp from outside", &host_.outside(), "192.168.77.1", 18053, true, "dns 192.168.77.2"},
      {"bound address", &host_.outside(), "192.168.77.1", 18081, false, "web 192.168.77.2"},
      {"from the host", nullptr, "192.168.77.1", 18080, false, "web 192.168.77.1"},
      {"localhost", nullptr, "127.0.0.1", 18080, false, "web 10.42.0.1"},
      {"bound elsewhere", nullptr, "127.0.0.1", 18081, false, ""},
      {"from the pod itself", &a, "192.168.77.1", 18080, false, "web 10.42.0.1"},
  };
  for (const Row& row : rows) {
    Reply reply =
        row.from ? AskFrom(*row.from, row.ip, row.port, row.udp) : Ask(row.ip, row.port, row.udp);
    EXPECT_EQ(reply.text, row.want) << row.what << " errno " << reply.error;
  }

  TestNetns b;
  Result<std::vector<std::string>> taken = host_.Await(network_->Attach(Pod("b", b, {tcp})));
  EXPECT_FALSE(taken.ok());
  EXPECT_EQ(PodLinks().size(), 1u) << "a failed attach leaves nothing";

  ASSERT_TRUE(host_.Await(network_->Detach("a")).ok());
  EXPECT_EQ(AskFrom(host_.outside(), "192.168.77.1", 18080).error, ECONNREFUSED);
}

TEST_F(BridgeNetworkTest, DetachIsIdempotentAndFreesTheAddressLast) {
  TestNetns a, b;
  UseSubnet("10.42.0.0/29");  // .2 to .6
  EXPECT_EQ(Attach(Pod("a", a)), "10.42.0.2");
  EXPECT_TRUE(host_.Await(network_->Detach("a")).ok());
  EXPECT_TRUE(host_.Await(network_->Detach("a")).ok());
  EXPECT_TRUE(host_.Await(network_->Detach("never seen")).ok());
  EXPECT_EQ(PodLinks().size(), 0u);
  EXPECT_EQ(Attach(Pod("b", b)), "10.42.0.3") << "an address rests before it is used again";
}

TEST_F(BridgeNetworkTest, RunsOutOfAddressesWithAClearError) {
  UseSubnet("10.42.0.0/29");
  std::vector<std::unique_ptr<TestNetns>> pods;
  for (int i = 0; i < 5; ++i) {
    pods.push_back(std::make_unique<TestNetns>());
    EXPECT_EQ(Attach(Pod(std::to_string(i), *pods.back())), "10.42.0." + std::to_string(2 + i));
  }
  TestNetns more;
  Result<std::vector<std::string>> none = host_.Await(network_->Attach(Pod("more", more)));
  EXPECT_EQ(none.status().message(), "no free address in pod CIDR 10.42.0.0/29");
}

TEST_F(BridgeNetworkTest, FindsEverythingAgainAfterACrash) {
  UseSubnet("10.42.0.0/24");
  TestNetns live;
  auto dead = std::make_unique<TestNetns>();
  HostPort port;
  port.protocol = "TCP", port.host_port = 18080, port.container_port = 8080;
  ASSERT_EQ(Attach(Pod("live", live, {port})), "10.42.0.2");
  ASSERT_EQ(Attach(Pod("dead", *dead)), "10.42.0.3");
  TestServer server(&live, "live", 8080);

  network_ = Make();  // what a new process would do
  ASSERT_TRUE(host_.Await(network_->Start()).ok());
  EXPECT_EQ(network_->NotReadyReason(), "") << "the subnet is remembered";
  EXPECT_EQ(AskFrom(host_.outside(), "192.168.77.1", 18080).text, "live 192.168.77.2");
  dead.reset();
  std::vector<std::string> live_uids = {"live"};
  EXPECT_EQ(host_.Await(network_->ReleaseAllBut(live_uids)).ToString(), "OK");
  EXPECT_EQ(PodLinks().size(), 1u);
  EXPECT_EQ(Attach(Pod("live", live, {port})), "10.42.0.2");
  EXPECT_EQ(AskFrom(host_.outside(), "192.168.77.1", 18080).text, "live 192.168.77.2");
}

TEST_F(BridgeNetworkTest, AttachIsQuick) {
  UseSubnet("10.42.0.0/24");
  std::vector<std::unique_ptr<TestNetns>> pods;
  std::vector<double> took;
  for (int i = 0; i < 50; ++i) {
    pods.push_back(std::make_unique<TestNetns>());
    SteadyTime begin = host_.env().Steady();
    Attach(Pod(std::to_string(i), *pods.back()));
    took.push_back(std::chrono::duration<double, std::milli>(host_.env().Steady() - begin).count());
  }
  std::sort(took.begin(), took.end());
  std::printf("attach: p50 %.2f ms, p98 %.2f ms\n", took[25], took[48]);
  EXPECT_EQ(PodLinks().size(), 50u);
}

}  // namespace
}  // namespace gantry::net
