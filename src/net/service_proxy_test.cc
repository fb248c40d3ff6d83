#include "net/service_proxy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "client/testing/fake_client.h"
#include "net/bridge_network.h"
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
    options.cluster_cidrs = {*Cidr::Parse("10.42.0.0/16")};
    options.service_cidrs = {*Cidr::Parse("10.43.0.0/16")};
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
    options.cluster_cidrs = {*Cidr::Parse("10.42.0.0/16")};
    options.service_cidrs = {*Cidr::Parse("10.43.0.0/16")};
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

}  // namespace
}  // namespace gantry::net
