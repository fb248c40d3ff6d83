#include "net/service_proxy.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "api/core/v1/node.pb.h"
#include "client/testing/fake_client.h"
#include "net/bridge_network.h"
#include "net/netlink/route.h"
#include "net/sysctl.h"
#include "net/testing/netns.h"
#include "net/testing/objects.h"

namespace gantry::net {
namespace {

using testing::Ask;
using testing::AskFrom;
using testing::MakeService;
using testing::MakeSlice;
using testing::Reply;
using testing::TestEndpoint;
using testing::TestHost;
using testing::TestNetns;
using testing::TestPort;
using testing::TestServer;
namespace core = api::core::v1;
namespace discovery = api::discovery::v1;

// A node with three pods: "a" and "b" answer on TCP 8080 and UDP 5353, "c" asks. The API server is
// pretended; the kernel is real.
class ServiceProxyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!host_.Ready()) GTEST_SKIP() << host_.problem();
    BridgeOptions options;
    options.data_dir = host_.data_dir();
    options.cluster_cidrs = cluster_cidrs_;
    options.service_cidrs = service_cidrs_;
    network_ = std::make_unique<BridgeNetwork>(host_.env(), options);
    ASSERT_EQ(host_.Await(network_->Start()).ToString(), "OK");
    std::vector<std::string> cidrs = {"10.42.0.0/24"};
    ASSERT_EQ(host_.Await(network_->SetPodCidrs(cidrs)).ToString(), "OK");
    for (auto [name, netns] : {std::pair("a", &a_), std::pair("b", &b_), std::pair("c", &c_)}) {
      PodAttachment pod;
      pod.uid = name;
      pod.netns_path = netns->path();
      ASSERT_TRUE(host_.Await(network_->Attach(pod)).ok());
      if (netns == &c_) break;
      servers_.push_back(std::make_unique<TestServer>(netns, name, 8080));
      servers_.push_back(std::make_unique<TestServer>(netns, name, 5353, /*udp=*/true));
    }
    client_ = std::make_unique<client::FakeClient>(host_.env());
    StartProxy();
  }
  void TearDown() override { StopProxy(); }

  void StartProxy() {
    informers_ = std::make_unique<client::InformerSet>(host_.env(), *client_);
    ServiceProxyOptions options;
    options.data_dir = host_.data_dir();
    options.node_name = "node-1";
    options.cluster_cidrs = cluster_cidrs_;
    options.service_cidrs = service_cidrs_;
    proxy_ = std::make_unique<ServiceProxy>(host_.env(), *informers_, options);
    informers_->Start();
    proxy_->Start();
    EXPECT_EQ(host_.Await(proxy_->WaitForSync(CancelToken())).ToString(), "OK");
  }
  void StopProxy() {
    if (!proxy_) return;
    host_.env().RunToEnd(proxy_->Stop());
    host_.env().RunToEnd(informers_->Stop());
    proxy_.reset();
    informers_.reset();
  }

  void Put(const core::Service& service, const std::vector<TestPort>& ports,
           const std::vector<TestEndpoint>& endpoints) {
    client_->Put(service);
    client_->Put(MakeSlice(service.metadata().name(), ports, endpoints));
  }

  // Asks until `accept` likes the answer: changes reach the kernel a moment after they are made.
  template <class Accept>
  Reply Eventually(const TestNetns* from, const std::string& ip, uint16_t port, Accept accept,
                   bool udp = false, uint16_t from_port = 0) {
    Reply reply;
    for (int attempt = 0; attempt < 100; ++attempt) {
      reply =
          from ? AskFrom(*from, ip, port, udp, from_port, 300) : Ask(ip, port, udp, from_port, 300);
      if (accept(reply)) return reply;
      host_.env().RunToEnd(Pause());
    }
    return reply;
  }
  Task<> Pause() { co_await SleepFor(host_.env(), std::chrono::milliseconds(20)); }
  Task<> LongPause() { co_await SleepFor(host_.env(), std::chrono::milliseconds(1100)); }

  static bool Answered(const Reply& reply) { return reply.error == 0; }
  static bool Refused(const Reply& reply) { return reply.error == ECONNREFUSED; }

  // Who answers, over many connections.
  std::set<std::string> Answers(const TestNetns* from, const std::string& ip, uint16_t port,
                                bool udp = false) {
    std::set<std::string> names;
    for (int i = 0; i < 40; ++i) {
      Reply reply = from ? AskFrom(*from, ip, port, udp) : Ask(ip, port, udp);
      names.insert(reply.error != 0 ? "errno " + std::to_string(reply.error)
                                    : reply.text.substr(0, 1));
    }
    return names;
  }

  const std::vector<TestPort> web_ = {{"http", 80, 8080, "TCP", 0}};
  const std::vector<TestPort> web_node_port_ = {{"http", 80, 8080, "TCP", 30080}};
  const std::vector<TestPort> dns_ = {{"dns", 53, 5353, "UDP", 30053}};
  const TestEndpoint ep_a_{"10.42.0.2"}, ep_b_{"10.42.0.3"};
  const std::set<std::string> both_ = {"a", "b"}, only_a_ = {"a"}, only_b_ = {"b"};

  std::vector<Cidr> cluster_cidrs_ = {*Cidr::Parse("10.42.0.0/16")};
  std::vector<Cidr> service_cidrs_ = {*Cidr::Parse("10.43.0.0/16")};

  TestHost host_;
  TestNetns a_, b_, c_;
  std::unique_ptr<BridgeNetwork> network_;
  std::vector<std::unique_ptr<TestServer>> servers_;
  std::unique_ptr<client::FakeClient> client_;
  std::unique_ptr<client::InformerSet> informers_;
  std::unique_ptr<ServiceProxy> proxy_;
};

TEST_F(ServiceProxyTest, ClusterAddressFromPodsAndFromTheHost) {
  Put(MakeService("web", "10.43.0.5", web_), web_, {ep_a_, ep_b_});
  ASSERT_EQ(Eventually(&c_, "10.43.0.5", 80, Answered).error, 0);
  EXPECT_EQ(Answers(&c_, "10.43.0.5", 80), both_);
  EXPECT_EQ(Answers(nullptr, "10.43.0.5", 80), both_);
  // The sender is kept inside the cluster, and masqueraded for clients outside of it.
  EXPECT_EQ(AskFrom(c_, "10.43.0.5", 80).text.substr(2), "10.42.0.4");
  EXPECT_EQ(AskFrom(host_.outside(), "10.43.0.5", 80).text.substr(2), "10.42.0.1");
}

TEST_F(ServiceProxyTest, APodReachesItselfThroughItsService) {
  Put(MakeService("web", "10.43.0.5", web_), web_, {ep_a_});
  EXPECT_EQ(Eventually(&a_, "10.43.0.5", 80, Answered).text, "a 10.42.0.1");
}

TEST_F(ServiceProxyTest, TheHostItselfMayBeTheEndpoint) {
  // As for the API server: the endpoint is the node's own address.
  TestServer api(nullptr, "api", 6443);
  const std::vector<TestPort> https = {{"https", 443, 6443, "TCP", 30443}};
  Put(MakeService("kubernetes", "10.43.0.1", https), https, {{"192.168.77.1"}});
  EXPECT_EQ(Eventually(&c_, "10.43.0.1", 443, Answered).text, "api 10.42.0.4");
  EXPECT_EQ(Ask("10.43.0.1", 443).text.substr(0, 3), "api");
  EXPECT_EQ(Ask("127.0.0.1", 30443).text.substr(0, 3), "api");
  EXPECT_EQ(AskFrom(host_.outside(), "192.168.77.1", 30443).text.substr(0, 3), "api");
}

TEST_F(ServiceProxyTest, RefusesWithoutEndpointsAtOnce) {
  Put(MakeService("web", "10.43.0.5", web_node_port_), web_node_port_, {});
  const TestPort udp{"dns", 53, 5353, "UDP", 0};
  Put(MakeService("dns", "10.43.0.6", {udp}), {udp}, {});
  EXPECT_EQ(Eventually(&host_.outside(), "192.168.77.1", 30080, Refused).error, ECONNREFUSED);
  EXPECT_EQ(AskFrom(c_, "10.43.0.5", 80).error, ECONNREFUSED);
  EXPECT_EQ(Ask("10.43.0.5", 80).error, ECONNREFUSED);
  EXPECT_EQ(AskFrom(c_, "10.43.0.6", 53, true).error, ECONNREFUSED);
  EXPECT_EQ(AskFrom(c_, "10.43.0.5", 81).error, ECONNREFUSED)
      << "another port of the service's address";
  EXPECT_EQ(AskFrom(c_, "10.43.9.9", 80).error, ECONNREFUSED) << "an address that no service has";
}

TEST_F(ServiceProxyTest, NodePortsOnEveryAddress) {
  Put(MakeService("web", "10.43.0.5", web_node_port_), web_node_port_, {ep_a_, ep_b_});
  Put(MakeService("dns", "10.43.0.6", dns_), dns_, {ep_a_, ep_b_});
  ASSERT_EQ(Eventually(&host_.outside(), "192.168.77.1", 30080, Answered).error, 0);
  ASSERT_EQ(Eventually(&host_.outside(), "192.168.77.1", 30053, Answered, true).error, 0);
  EXPECT_EQ(Answers(&host_.outside(), "192.168.77.1", 30080), both_);
  EXPECT_EQ(Answers(&host_.outside(), "192.168.77.1", 30053, true), both_);
  EXPECT_EQ(Answers(nullptr, "127.0.0.1", 30080), both_);
  EXPECT_EQ(Answers(nullptr, "192.168.77.1", 30080), both_);
  EXPECT_EQ(Answers(&c_, "192.168.77.1", 30080), both_);
  EXPECT_EQ(Answers(&c_, "10.43.0.6", 53, true), both_);
}

TEST_F(ServiceProxyTest, ExternalPolicyLocalKeepsTheSender) {
  core::Service service = MakeService("web", "10.43.0.5", web_node_port_);
  service.mutable_spec()->set_external_traffic_policy("Local");
  TestEndpoint elsewhere = ep_b_;
  elsewhere.node = "node-2";
  Put(service, web_node_port_, {ep_a_, elsewhere});
  ASSERT_EQ(Eventually(&host_.outside(), "192.168.77.1", 30080, Answered).text, "a 192.168.77.2");
  EXPECT_EQ(Answers(&host_.outside(), "192.168.77.1", 30080), only_a_);
  EXPECT_EQ(Answers(nullptr, "192.168.77.1", 30080), both_) << "the node itself may use all";
  EXPECT_EQ(Answers(&c_, "192.168.77.1", 30080), both_) << "and so may pods";
  Put(service, web_node_port_, {elsewhere});
  EXPECT_EQ(Eventually(&host_.outside(), "192.168.77.1", 30080,
                       [](const Reply& r) { return r.error == EINPROGRESS; })
                .error,
            EINPROGRESS)
      << "no local endpoint: dropped, so that a load balancer looks elsewhere";
}

TEST_F(ServiceProxyTest, InternalPolicyLocal) {
  core::Service service = MakeService("web", "10.43.0.5", web_);
  service.mutable_spec()->set_internal_traffic_policy("Local");
  TestEndpoint elsewhere = ep_b_;
  elsewhere.node = "node-2";
  Put(service, web_, {ep_a_, elsewhere});
  ASSERT_EQ(Eventually(&c_, "10.43.0.5", 80, Answered).error, 0);
  EXPECT_EQ(Answers(&c_, "10.43.0.5", 80), only_a_);
}

TEST_F(ServiceProxyTest, ExternalAndLoadBalancerAddresses) {
  core::Service service = MakeService("web", "10.43.0.5", web_);
  service.mutable_spec()->set_type("LoadBalancer");
  service.mutable_spec()->add_external_ips("192.0.2.1");
  service.mutable_status()->mutable_load_balancer()->add_ingress()->set_ip("192.0.2.2");
  Put(service, web_, {ep_a_, ep_b_});
  ASSERT_EQ(Eventually(&host_.outside(), "192.0.2.1", 80, Answered).error, 0);
  EXPECT_EQ(Answers(&host_.outside(), "192.0.2.2", 80), both_);
  EXPECT_EQ(Answers(&c_, "192.0.2.1", 80), both_);
}

TEST_F(ServiceProxyTest, SessionAffinityHoldsUntilTheEndpointGoes) {
  core::Service service = MakeService("web", "10.43.0.5", web_node_port_);
  service.mutable_spec()->set_session_affinity("ClientIP");
  Put(service, web_node_port_, {ep_a_, ep_b_});
  Reply first = Eventually(&c_, "10.43.0.5", 80, Answered);
  ASSERT_EQ(first.error, 0);
  const std::string chosen = first.text.substr(0, 1);
  EXPECT_EQ(Answers(&c_, "10.43.0.5", 80), std::set<std::string>{chosen});
  EXPECT_EQ(Answers(&host_.outside(), "192.168.77.1", 30080).size(), 1u);

  const TestEndpoint& other = chosen == "a" ? ep_b_ : ep_a_;
  Put(service, web_node_port_, {other});
  const std::string now = chosen == "a" ? "b" : "a";
  Reply moved =
      Eventually(&c_, "10.43.0.5", 80, [&](const Reply& r) { return r.text.substr(0, 1) == now; });
  EXPECT_EQ(moved.text.substr(0, 1), now);
  EXPECT_EQ(Answers(&c_, "10.43.0.5", 80), std::set<std::string>{now});
}

TEST_F(ServiceProxyTest, SessionAffinityRunsOut) {
  core::Service service = MakeService("web", "10.43.0.5", web_);
  service.mutable_spec()->set_session_affinity("ClientIP");
  service.mutable_spec()
      ->mutable_session_affinity_config()
      ->mutable_client_ip()
      ->set_timeout_seconds(1);
  Put(service, web_, {ep_a_, ep_b_});
  std::set<std::string> seen;
  for (int i = 0; i < 30 && seen.size() < 2; ++i) {
    Reply reply = Eventually(&c_, "10.43.0.5", 80, Answered);
    seen.insert(reply.text.substr(0, 1));
    host_.env().RunToEnd(LongPause());
  }
  EXPECT_EQ(seen, both_);
}

TEST_F(ServiceProxyTest, UdpFlowsLeaveARemovedEndpoint) {
  Put(MakeService("dns", "10.43.0.6", dns_), dns_, {ep_a_});
  // One client port all the time: to the kernel this is one flow.
  ASSERT_EQ(Eventually(&c_, "10.43.0.6", 53, Answered, true, 40000).text.substr(0, 1), "a");
  ASSERT_EQ(
      Eventually(&host_.outside(), "192.168.77.1", 30053, Answered, true, 40000).text.substr(0, 1),
      "a");
  Put(MakeService("dns", "10.43.0.6", dns_), dns_, {ep_b_});
  auto by_b = [](const Reply& r) { return r.text.substr(0, 1) == "b"; };
  EXPECT_EQ(Eventually(&c_, "10.43.0.6", 53, by_b, true, 40000).text.substr(0, 1), "b");
  EXPECT_EQ(
      Eventually(&host_.outside(), "192.168.77.1", 30053, by_b, true, 40000).text.substr(0, 1),
      "b");
}

// The kernel keeps a flow that nobody answers for two minutes. A client that has given up and comes
// back from the same port must not be sent to the dead endpoint again, neither after a restart.
TEST_F(ServiceProxyTest, UnansweredFlowsLeaveARemovedEndpoint) {
  const TestEndpoint dead{"192.168.77.99"};
  auto by = [](const char* name) {
    return [name](const Reply& r) { return r.text.substr(0, 1) == name; };
  };
  auto unanswered = [](const Reply& r) { return r.error == EINPROGRESS || r.error == EAGAIN; };
  Put(MakeService("web", "10.43.0.5", web_node_port_), web_node_port_, {dead});
  ASSERT_TRUE(unanswered(Eventually(&c_, "10.43.0.5", 80, unanswered, false, 40000)));
  ASSERT_TRUE(
      unanswered(Eventually(&host_.outside(), "192.168.77.1", 30080, unanswered, false, 40000)));
  client_->Put(MakeSlice("web", web_node_port_, {ep_a_}));
  EXPECT_TRUE(by("a")(Eventually(&c_, "10.43.0.5", 80, by("a"), false, 40000)));
  EXPECT_TRUE(by("a")(Eventually(&host_.outside(), "192.168.77.1", 30080, by("a"), false, 40000)));

  client_->Put(MakeSlice("web", web_node_port_, {dead}));
  ASSERT_TRUE(unanswered(Eventually(&c_, "10.43.0.5", 80, unanswered, false, 40001)));
  StopProxy();
  client_->Put(MakeSlice("web", web_node_port_, {ep_b_}));
  StartProxy();
  EXPECT_TRUE(by("b")(Eventually(&c_, "10.43.0.5", 80, by("b"), false, 40001)));
}

TEST_F(ServiceProxyTest, DrainReturnsWhenNobodyIsSentThere) {
  Put(MakeService("web", "10.43.0.5", web_), web_, {ep_a_, ep_b_});
  ASSERT_EQ(Eventually(&c_, "10.43.0.5", 80, Answered).error, 0);

  std::vector<std::string> unknown = {"10.42.0.99"};
  SteadyTime far = host_.env().Steady() + std::chrono::seconds(60);
  host_.env().RunToEnd(proxy_->AwaitDrained(unknown, far));  // at once

  std::vector<std::string> ips = {"10.42.0.2"};
  SteadyTime near = host_.env().Steady() + std::chrono::milliseconds(100);
  host_.env().RunToEnd(proxy_->AwaitDrained(ips, near));
  EXPECT_GE(host_.env().Steady(), near) << "still an endpoint: waits to the deadline";

  TestEndpoint ending = ep_a_;
  ending.ready = false, ending.terminating = true;
  client_->Put(MakeSlice("web", web_, {ending, ep_b_}));
  host_.env().RunToEnd(proxy_->AwaitDrained(ips, far));
  EXPECT_LT(host_.env().Steady(), far);
  EXPECT_EQ(Answers(&c_, "10.43.0.5", 80), only_b_);
}

TEST_F(ServiceProxyTest, ARestartReplacesWhatIsThereWithoutAGap) {
  Put(MakeService("web", "10.43.0.5", web_), web_, {ep_a_});
  Put(MakeService("old", "10.43.0.7", web_), web_, {ep_a_});
  ASSERT_EQ(Eventually(&c_, "10.43.0.7", 80, Answered).error, 0);
  StopProxy();
  EXPECT_EQ(AskFrom(c_, "10.43.0.5", 80).text.substr(0, 1), "a")
      << "services work while the proxy is away";
  client_->Remove<core::Service>("default", "old");
  client_->Remove<discovery::EndpointSlice>("default", "old-1");
  client_->Put(MakeSlice("web", web_, {ep_b_}));
  StartProxy();
  EXPECT_EQ(Answers(&c_, "10.43.0.5", 80), only_b_);
  EXPECT_EQ(AskFrom(c_, "10.43.0.7", 80).error, ECONNREFUSED);
}

TEST_F(ServiceProxyTest, HealsWhenSomebodyRemovesItsTable) {
  Put(MakeService("web", "10.43.0.5", web_), web_, {ep_a_});
  ASSERT_EQ(Eventually(&c_, "10.43.0.5", 80, Answered).error, 0);
  NftBatch batch;
  batch.DeleteTable(network_->names().service_table);
  Result<NetlinkSocket> socket = OpenNftSocket();
  ASSERT_TRUE(batch.Commit(*socket).ok());
  Put(MakeService("other", "10.43.0.8", web_), web_, {ep_a_});  // the next change notices
  EXPECT_EQ(Eventually(&c_, "10.43.0.5", 80, Answered).error, 0);
}

TEST_F(ServiceProxyTest, TwoServicesMayNotShareAnAddress) {
  core::Service first = MakeService("first", "10.43.0.5", web_),
                second = MakeService("second", "10.43.0.6", web_);
  first.mutable_spec()->add_external_ips("192.0.2.1");
  second.mutable_spec()->add_external_ips("192.0.2.1");
  Put(first, web_, {ep_a_});
  ASSERT_EQ(Eventually(&c_, "192.0.2.1", 80, Answered).text.substr(0, 1), "a");
  Put(second, web_, {ep_b_});
  ASSERT_EQ(Eventually(&c_, "10.43.0.6", 80, Answered).text.substr(0, 1), "b");
  EXPECT_EQ(Answers(&c_, "192.0.2.1", 80), only_a_) << "who came first keeps it";
  client_->Remove<core::Service>("default", "first");
  auto by_b = [](const Reply& r) { return r.text.substr(0, 1) == "b"; };
  EXPECT_EQ(Eventually(&c_, "192.0.2.1", 80, by_b).text.substr(0, 1), "b");
}

TEST_F(ServiceProxyTest, SourceRangesGuardTheBalancersAddressAlone) {
  core::Service service = MakeService("web", "10.43.0.5", web_node_port_);
  service.mutable_spec()->set_type("LoadBalancer");
  service.mutable_spec()->add_load_balancer_source_ranges("10.42.0.0/16");
  service.mutable_status()->mutable_load_balancer()->add_ingress()->set_ip("192.0.2.2");
  Put(service, web_node_port_, {ep_a_});
  ASSERT_EQ(Eventually(&c_, "192.0.2.2", 80, Answered).text.substr(0, 1), "a");
  EXPECT_EQ(AskFrom(host_.outside(), "192.0.2.2", 80, false, 0, 300).error, EINPROGRESS)
      << "dropped, not refused";
  EXPECT_EQ(AskFrom(host_.outside(), "192.168.77.1", 30080).text.substr(0, 1), "a");
  EXPECT_EQ(AskFrom(host_.outside(), "10.43.0.5", 80).text.substr(0, 1), "a");

  service.mutable_spec()->add_load_balancer_source_ranges("192.168.77.2/32");
  Put(service, web_node_port_, {ep_a_});
  EXPECT_EQ(Eventually(&host_.outside(), "192.0.2.2", 80, Answered).text.substr(0, 1), "a");
  service.mutable_spec()->clear_load_balancer_source_ranges();
  service.mutable_spec()->add_load_balancer_source_ranges("198.51.100.0/24");
  Put(service, web_node_port_, {ep_a_});
  auto dropped = [](const Reply& reply) { return reply.error == EINPROGRESS; };
  EXPECT_EQ(Eventually(&c_, "192.0.2.2", 80, dropped).error, EINPROGRESS);
  service.mutable_spec()->clear_load_balancer_source_ranges();
  Put(service, web_node_port_, {ep_a_});
  EXPECT_EQ(Eventually(&host_.outside(), "192.0.2.2", 80, Answered).text.substr(0, 1), "a");
}

TEST_F(ServiceProxyTest, HintsOfTheZoneThatTheNodeIsIn) {
  TestEndpoint near = ep_a_, far = ep_b_;
  near.for_zones = {"z1"}, far.for_zones = {"z2"};
  Put(MakeService("web", "10.43.0.5", web_), web_, {near, far});
  ASSERT_EQ(Eventually(&c_, "10.43.0.5", 80, Answered).error, 0);
  EXPECT_EQ(Answers(&c_, "10.43.0.5", 80), both_) << "the node has no zone";
  core::Node node;
  node.mutable_metadata()->set_name("node-1");
  auto& labels = *node.mutable_metadata()->mutable_labels();
  for (auto [zone, want] : {std::pair("z2", &only_b_), std::pair("z1", &only_a_)}) {
    labels["topology.kubernetes.io/zone"] = zone;
    client_->Put(node);
    for (int attempt = 0; attempt < 100 && Answers(&c_, "10.43.0.5", 80) != *want; ++attempt)
      host_.env().RunToEnd(Pause());
    EXPECT_EQ(Answers(&c_, "10.43.0.5", 80), *want) << zone;
  }
}

// What a load balancer reads on the health check port.
std::string Checked(const TestNetns& from, uint16_t port) {
  std::string text;
  from.Run([&] {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    timeval timeout{1, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    inet_pton(AF_INET, "192.168.77.1", &to.sin_addr);
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
      text = "errno " + std::to_string(errno);
      return;
    }
    constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    if (send(fd.get(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL) < 0) return;
    char buffer[1024];
    ssize_t got;
    while ((got = recv(fd.get(), buffer, sizeof(buffer), 0)) > 0)
      text.append(buffer, static_cast<size_t>(got));
  });
  return text;
}

TEST_F(ServiceProxyTest, BalancersAskOnTheHealthCheckPort) {
  core::Service service = MakeService("web", "10.43.0.5", web_node_port_);
  service.mutable_spec()->set_type("LoadBalancer");
  service.mutable_spec()->set_external_traffic_policy("Local");
  service.mutable_spec()->set_health_check_node_port(31999);
  auto eventually = [&](std::string_view wanted) {
    std::string text;
    for (int attempt = 0; attempt < 100 && text.find(wanted) == std::string::npos; ++attempt) {
      text = Checked(host_.outside(), 31999);
      host_.env().RunToEnd(Pause());
    }
    return text;
  };
  Put(service, web_node_port_, {ep_a_, ep_b_});
  const std::string good = eventually("\"localEndpoints\": 2");
  EXPECT_TRUE(good.starts_with("HTTP/1.1 200 OK\r\n")) << good;
  EXPECT_NE(good.find("Content-Type: application/json\r\n"), std::string::npos) << good;
  EXPECT_EQ(good.substr(good.find("\r\n\r\n") + 4),
            "{\n\t\"service\": {\n\t\t\"namespace\": \"default\",\n\t\t\"name\": \"web\"\n\t},\n"
            "\t\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": true\n}");
  TestEndpoint elsewhere = ep_b_;
  elsewhere.node = "node-2";
  Put(service, web_node_port_, {elsewhere});
  EXPECT_TRUE(eventually("\"localEndpoints\": 0").starts_with("HTTP/1.1 503 Service Unavailable"));
  client_->Remove<core::Service>("default", "web");
  EXPECT_EQ(eventually("errno"), "errno " + std::to_string(ECONNREFUSED));
}

// IPv6: pods "a", "b" and "c" with addresses fd42::2 to fd42::4, an outside at fd77::2.
class ServiceProxyIp6Test : public ServiceProxyTest {
 protected:
  void SetUp() override {
    ServiceProxyTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    StopProxy();
    service_cidrs_.push_back(*Cidr::Parse("fd43::/112"));
    cluster_cidrs_.push_back(*Cidr::Parse("fd42::/64"));
    ASSERT_TRUE(SetNetSysctl("ipv6/conf/all/forwarding", "1").ok());
    Give(nullptr, network_->names().bridge, "fd42::1");
    Give(nullptr, "uplink", "fd77::1");
    Give(&a_, "eth0", "fd42::2", "fd42::1");
    Give(&b_, "eth0", "fd42::3", "fd42::1");
    Give(&c_, "eth0", "fd42::4", "fd42::1");
    Give(&host_.outside(), "eth0", "fd77::2", "fd77::1");
    for (auto [name, netns] : {std::pair("a", &a_), std::pair("b", &b_)}) {
      servers_.push_back(std::make_unique<TestServer>(netns, name, 8081, false, "::"));
      servers_.push_back(std::make_unique<TestServer>(netns, name, 5354, true, "::"));
    }
    StartProxy();
  }
  static void Give(const TestNetns* netns, const std::string& link, const std::string& ip,
                   const std::string& gateway = "") {
    auto give = [&] {
      EXPECT_TRUE(SetNetSysctl("ipv6/conf/" + link + "/accept_dad", "0").ok());
      Result<RouteSocket> route = RouteSocket::Open();
      const int index = route->FindLink(link)->index;
      EXPECT_EQ(route->EnsureAddress(index, *IpAddress::Parse(ip), 64).ToString(), "OK");
      if (gateway.empty()) return;
      const Cidr everywhere{*IpAddress::Parse("::"), 0};
      const Route way(index, everywhere, IpAddress::Parse(gateway));
      EXPECT_EQ(route->EnsureRoute(way).ToString(), "OK");
    };
    if (netns != nullptr) {
      netns->Run(give);
    } else {
      give();
    }
  }
  const std::vector<TestPort> web6_ = {{"http", 80, 8081, "TCP", 30080}};
  const std::vector<TestPort> dns6_ = {{"dns", 53, 5354, "UDP", 30053}};
  const TestEndpoint ep6_a_{"fd42::2"}, ep6_b_{"fd42::3"};
};

TEST_F(ServiceProxyIp6Test, EveryWayIn) {
  core::Service service = MakeService("web", "fd43::5", web6_);
  service.mutable_spec()->add_external_ips("2001:db8::1");
  Put(service, web6_, {ep6_a_, ep6_b_});
  ASSERT_EQ(Eventually(&c_, "fd43::5", 80, Answered).error, 0);
  EXPECT_EQ(Answers(&c_, "fd43::5", 80), both_);
  EXPECT_EQ(Answers(&c_, "fd77::1", 30080), both_);
  EXPECT_EQ(Answers(&host_.outside(), "fd77::1", 30080), both_);
  EXPECT_EQ(Answers(&host_.outside(), "2001:db8::1", 80), both_);
  EXPECT_EQ(Answers(nullptr, "fd77::1", 30080), both_) << "from the node";
  EXPECT_EQ(AskFrom(c_, "fd43::5", 80).text.substr(2), "fd42::4") << "the sender is kept";
  EXPECT_EQ(AskFrom(host_.outside(), "fd43::5", 80).text.substr(2), "fd42::1") << "masqueraded";
  EXPECT_EQ(Ask("::1", 30080).error, ECONNREFUSED) << "::1 cannot be led elsewhere";
  EXPECT_EQ(AskFrom(c_, "fd43::5", 81).error, ECONNREFUSED);
  EXPECT_EQ(AskFrom(c_, "fd43::99", 80).error, ECONNREFUSED) << "an address that no service has";

  Put(service, web6_, {ep6_a_});
  auto by_a = [](const Reply& r) { return r.text == "a fd42::1"; };
  EXPECT_EQ(Eventually(&a_, "fd43::5", 80, by_a).text, "a fd42::1") << "a pod reaches itself";
}

TEST_F(ServiceProxyIp6Test, PoliciesAffinityAndSources) {
  core::Service service = MakeService("web", "fd43::5", web6_);
  service.mutable_spec()->set_type("LoadBalancer");
  service.mutable_spec()->set_external_traffic_policy("Local");
  service.mutable_spec()->set_session_affinity("ClientIP");
  service.mutable_status()->mutable_load_balancer()->add_ingress()->set_ip("2001:db8::2");
  TestEndpoint elsewhere = ep6_b_;
  elsewhere.node = "node-2";
  Put(service, web6_, {ep6_a_, elsewhere});
  ASSERT_EQ(Eventually(&host_.outside(), "fd77::1", 30080, Answered).text, "a fd77::2");
  EXPECT_EQ(Answers(&host_.outside(), "2001:db8::2", 80), only_a_);
  Reply first = AskFrom(c_, "fd43::5", 80);
  const std::string chosen = first.text.substr(0, 1);
  EXPECT_EQ(Answers(&c_, "fd43::5", 80), std::set<std::string>{chosen});
  Put(service, web6_, {chosen == "a" ? elsewhere : ep6_a_});
  const std::string now = chosen == "a" ? "b" : "a";
  Eventually(&c_, "fd43::5", 80, [&](const Reply& r) { return r.text.substr(0, 1) == now; });
  EXPECT_EQ(Answers(&c_, "fd43::5", 80), std::set<std::string>{now});

  service.mutable_spec()->set_external_traffic_policy("Cluster");
  service.mutable_spec()->add_load_balancer_source_ranges("fd42::/64");
  Put(service, web6_, {ep6_a_});
  auto by_a = [](const Reply& r) { return r.text.substr(0, 1) == "a"; };
  EXPECT_EQ(Eventually(&c_, "2001:db8::2", 80, by_a).text.substr(0, 1), "a");
  auto dropped = [](const Reply& r) { return r.error == EINPROGRESS; };
  EXPECT_EQ(Eventually(&host_.outside(), "2001:db8::2", 80, dropped).error, EINPROGRESS);
}

TEST_F(ServiceProxyIp6Test, UdpFlowsLeaveARemovedEndpoint) {
  Put(MakeService("dns", "fd43::6", dns6_), dns6_, {ep6_a_});
  ASSERT_EQ(Eventually(&c_, "fd43::6", 53, Answered, true, 40000).text.substr(0, 1), "a");
  Put(MakeService("dns", "fd43::6", dns6_), dns6_, {ep6_b_});
  auto by_b = [](const Reply& r) { return r.text.substr(0, 1) == "b"; };
  EXPECT_EQ(Eventually(&c_, "fd43::6", 53, by_b, true, 40000).text.substr(0, 1), "b");
  Put(MakeService("dns", "fd43::6", dns6_), dns6_, {});
  EXPECT_EQ(Eventually(&c_, "fd43::6", 53, Refused, true).error, ECONNREFUSED);
}

TEST_F(ServiceProxyIp6Test, BothFamiliesSideBySide) {
  core::Service service = MakeService("web", "10.43.0.5", web_node_port_);
  service.mutable_spec()->add_cluster_ips("fd43::5");
  client_->Put(service);
  client_->Put(MakeSlice("web", web_node_port_, {ep_a_}));
  auto six = MakeSlice("web", web6_, {ep6_b_});
  six.mutable_metadata()->set_name("web-6");
  client_->Put(six);
  EXPECT_EQ(Eventually(&host_.outside(), "192.168.77.1", 30080, Answered).text.substr(0, 1), "a");
  EXPECT_EQ(Eventually(&host_.outside(), "fd77::1", 30080, Answered).text.substr(0, 1), "b");
  std::vector<std::string> ips = {"fd42::3"};
  client_->Remove<discovery::EndpointSlice>("default", "web-6");
  const SteadyTime far = host_.env().Steady() + std::chrono::seconds(60);
  host_.env().RunToEnd(proxy_->AwaitDrained(ips, far));
  EXPECT_LT(host_.env().Steady(), far);
  EXPECT_EQ(AskFrom(host_.outside(), "fd77::1", 30080).error, ECONNREFUSED);
  EXPECT_EQ(AskFrom(host_.outside(), "192.168.77.1", 30080).text.substr(0, 1), "a");
}

}  // namespace
}  // namespace gantry::net
