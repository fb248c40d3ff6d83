#include "net/node_network.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <thread>

#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/node.pb.h"
#include "client/testing/fake_client.h"
#include "net/cleanup.h"
#include "net/names.h"
#include "net/netlink/route.h"
#include "net/nft/batch.h"
#include "net/testing/netns.h"
#include "net/testing/objects.h"

namespace gantry::net {
namespace {

using testing::Ask;
using testing::AskFrom;
using testing::MakeService;
using testing::MakeSlice;
using testing::TestHost;
using testing::TestNetns;
using testing::TestPort;
using testing::TestServer;

// All of a node's network together, from a Node object to a page fetched by name, and back to
// nothing.
TEST(NodeNetwork, FromNodeObjectToNameAndBackToNothing) {
  TestHost host;
  if (!host.Ready()) GTEST_SKIP() << host.problem();
  client::FakeClient client(host.env());
  client::InformerSet informers(host.env(), client);
  NodeNetworkOptions options;
  options.data_dir = host.data_dir();
  options.node_name = "node-1";
  options.node_ips = {"192.168.77.1"};
  options.resolv_conf = host.data_dir() + "/resolv.conf";
  std::ofstream(options.resolv_conf) << "";
  Result<std::unique_ptr<NodeNetwork>> made = NodeNetwork::Make(host.env(), informers, options);
  ASSERT_TRUE(made.ok());
  NodeNetwork& network = **made;
  informers.Start();
  ASSERT_EQ(host.Await(network.Start()).ToString(), "OK");
  EXPECT_EQ(network.pods().NotReadyReason(), "the node has no pod CIDR yet");

  api::core::v1::Node node;
  node.mutable_metadata()->set_name("node-1");
  node.mutable_spec()->set_pod_cidr("10.42.7.0/24");
  node.mutable_spec()->add_pod_cidrs("10.42.7.0/24");
  client.Put(node);
  api::core::v1::Namespace ns;
  ns.mutable_metadata()->set_name("default");
  client.Put(ns);
  auto pause = [](Env& env) -> Task<> { co_await SleepFor(env, std::chrono::milliseconds(10)); };
  for (int i = 0; i < 200 && !network.pods().NotReadyReason().empty(); ++i)
    host.env().RunToEnd(pause(host.env()));
  ASSERT_EQ(network.pods().NotReadyReason(), "");

  TestNetns a, b;
  for (auto [name, netns] : {std::pair("a", &a), std::pair("b", &b)}) {
    PodAttachment pod;
    pod.uid = name, pod.ns = "default", pod.name = name;
    pod.netns_path = netns->path();
    ASSERT_TRUE(host.Await(network.pods().Attach(pod)).ok());
  }
  EXPECT_EQ(network.NamespaceOf(*IpAddress::Parse("10.42.7.2")), "default");
  TestServer web(&a, "a", 8080);
  const std::vector<TestPort> ports = {{"http", 80, 8080, "TCP", 30080}};
  // The DNS service's address is the node's own, whatever the Service says.
  client.Put(MakeService("kube-dns", "10.43.0.10",
                         {{"dns", 53, 53, "UDP", 0}, {"dns-tcp", 53, 53, "TCP", 0}}));
  client.Put(MakeService("web", "10.43.0.5", ports));
  client.Put(MakeSlice("web", ports, {{"10.42.7.2"}}));
  testing::Reply reply;
  for (int i = 0; i < 500 && reply.text.empty(); ++i) {
    reply = AskFrom(b, "10.43.0.5", 80, false, 0, 200);
    if (reply.text.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(reply.text, "a 10.42.7.3");
  EXPECT_EQ(Ask("127.0.0.1", 30080).text, "a 10.42.7.1");
  if (std::system("command -v dig > /dev/null") == 0) {
    auto dig = [&](const TestNetns* from, const char* extra) {
      std::string out;
      auto run = [&] {
        std::string command = std::string("dig +short +time=2 +tries=1 ") + extra +
                              " @10.43.0.10 web.default.svc.cluster.local";
        FILE* pipe = popen(command.c_str(), "r");
        char buffer[256];
        while (fgets(buffer, sizeof(buffer), pipe) != nullptr)
          out += buffer;
        pclose(pipe);
      };
      from ? from->Run(run) : run();
      return out;
    };
    EXPECT_EQ(dig(&b, ""), "10.43.0.5\n");
    EXPECT_EQ(dig(&b, "+tcp"), "10.43.0.5\n");
    EXPECT_EQ(dig(nullptr, ""), "10.43.0.5\n") << "from the host";
  }

  host.env().RunToEnd(network.Stop());
  host.env().RunToEnd(informers.Stop());
  EXPECT_EQ(AskFrom(b, "10.43.0.5", 80).text, "a 10.42.7.3") << "the kernel goes on without us";
  EXPECT_EQ(CleanUpNetwork(host.data_dir()).ToString(), "OK");
  EXPECT_EQ(CleanUpNetwork(host.data_dir()).ToString(), "OK");
  const InstanceNames names = InstanceNames::ForDataDir(host.data_dir());
  Result<RouteSocket> route = RouteSocket::Open();
  Result<std::vector<Link>> links = route->Links();
  for (const Link& link : *links) {
    EXPECT_NE(link.name, names.bridge);
    EXPECT_FALSE(link.name.starts_with(names.veth_prefix)) << link.name;
  }
  Result<NetlinkSocket> socket = OpenNftSocket();
  EXPECT_EQ(ListNftTables(*socket)->size(), 0u);
}

TEST(NodeNetwork, RefusesNonsense) {
  RealEnv env(1, 1);
  client::FakeClient client(env);
  client::InformerSet informers(env, client);
  NodeNetworkOptions options;
  EXPECT_EQ(NodeNetwork::Make(env, informers, options).status().message(),
            "the node has no address among the nodes; give it one");
  options.node_ips = {"192.0.2.1"};
  options.cluster_dns = "dns";
  EXPECT_EQ(NodeNetwork::Make(env, informers, options).status().message(),
            "cluster DNS: \"dns\" is not an IP address");
  options.cluster_dns = "";
  options.cluster_cidrs = {"10.42.0.0"};
  EXPECT_EQ(NodeNetwork::Make(env, informers, options).status().message(),
            "\"10.42.0.0\" is not a network such as 10.42.0.0/16");
}

}  // namespace
}  // namespace gantry::net
