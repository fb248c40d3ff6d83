// The rules in a real kernel: pods in network namespaces, real connections, and the meaning of the
// policies (testing/policy_cluster.h) to compare with.

#include "net/policy/policy_rules.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "net/bridge_network.h"
#include "net/netlink/route.h"
#include "net/policy/policy_index.h"
#include "net/policy/testing/policy_cluster.h"
#include "net/sysctl.h"
#include "net/testing/netns.h"

namespace gantry::net {
namespace {

using testing::Flow;
using testing::PolicyCluster;
using testing::RandomPolicies;
using testing::TestHost;
using testing::TestNetns;
namespace networking = api::networking::v1;
using Clock = std::chrono::steady_clock;

constexpr uint16_t kPorts[] = {80, 81, 82, 443};
constexpr int kPods = 5;

struct SocketAddress {
  SocketAddress(const IpAddress& ip, uint16_t port) {
    if (ip.is_v4()) {
      auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
      v4->sin_family = AF_INET;
      v4->sin_port = htons(port);
      std::copy_n(ip.bytes.begin(), 4, reinterpret_cast<uint8_t*>(&v4->sin_addr));
      size = sizeof(*v4);
    } else {
      auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
      v6->sin6_family = AF_INET6;
      v6->sin6_port = htons(port);
      std::copy_n(ip.bytes.begin(), 16, reinterpret_cast<uint8_t*>(&v6->sin6_addr));
      size = sizeof(*v6);
    }
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// Accepts on every port, and echoes datagrams, in one namespace, for both families.
class Echo {
 public:
  explicit Echo(const TestNetns& netns) {
    netns.Run([&] {
      for (uint16_t port : kPorts) {
        for (int type : {SOCK_STREAM, SOCK_DGRAM}) {
          UniqueFd fd(socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
          SocketAddress any(*IpAddress::Parse("::"), port);
          int one = 1;
          setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
          if (bind(fd.get(), any.get(), any.size) != 0) ADD_FAILURE() << "bind " << port;
          if (type == SOCK_STREAM && listen(fd.get(), 512) != 0) ADD_FAILURE() << "listen";
          sockets_.push_back(std::move(fd));
        }
      }
    });
    thread_ = std::thread([this] { Serve(); });
  }
  ~Echo() {
    stop_ = true;
    thread_.join();
  }

 private:
  void Serve() {
    std::vector<pollfd> polled;
    for (const UniqueFd& fd : sockets_)
      polled.push_back({fd.get(), POLLIN, 0});
    while (!stop_) {
      poll(polled.data(), polled.size(), 20);
      for (size_t i = 0; i < polled.size(); ++i) {
        if (polled[i].revents == 0) continue;
        if (i % 2 == 0) {
          UniqueFd taken(accept4(polled[i].fd, nullptr, nullptr, SOCK_CLOEXEC));
          continue;
        }
        char byte;
        sockaddr_storage peer;
        socklen_t size = sizeof(peer);
        while (recvfrom(polled[i].fd, &byte, 1, 0, reinterpret_cast<sockaddr*>(&peer), &size) >= 0)
          sendto(polled[i].fd, "!", 1, 0, reinterpret_cast<sockaddr*>(&peer), size);
      }
    }
  }

  std::vector<UniqueFd> sockets_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class PolicyRulesTest : public ::testing::Test {
 protected:
  struct Pod {
    std::unique_ptr<TestNetns> netns;
    IpAddress v4, v6;
    std::unique_ptr<Echo> echo;
  };

  void SetUp() override {
    ASSERT_TRUE(host_.Ready()) << host_.problem();
    BridgeOptions options;
    options.data_dir = host_.data_dir();
    options.cluster_cidrs = {*Cidr::Parse("10.42.0.0/16")};
    network_ = std::make_unique<BridgeNetwork>(host_.env(), options);
    ASSERT_EQ(host_.Await(network_->Start()).ToString(), "OK");
    std::vector<std::string> cidrs = {"10.42.0.0/24"};
    ASSERT_EQ(host_.Await(network_->SetPodCidrs(cidrs)).ToString(), "OK");
    rules_ = std::make_unique<PolicyRules>(network_->names());
    gateway6_ = *IpAddress::Parse("fd42::ff");
    Result<RouteSocket> route = RouteSocket::Open();
    const int bridge = route->FindLink(network_->names().bridge)->index;
    ASSERT_TRUE(SetNetSysctl("ipv6/conf/all/forwarding", "1").ok());
    ASSERT_TRUE(SetNetSysctl("ipv6/conf/" + network_->names().bridge + "/accept_dad", "0").ok());
    ASSERT_TRUE(route->EnsureAddress(bridge, gateway6_, 64).ok());
    // A node's services have connections of both families tracked, policies or not.
    NftBatch tracked(NftFamily::kIp6);
    tracked.AddTable("tracked");
    tracked.AddFilterChain("tracked", "prerouting", NftHook::kPrerouting, -100);
    NftRule rule(NftFamily::kIp6);
    rule.ConnectionIsInvalid().Accept();
    tracked.AddRule("tracked", "prerouting", rule);
    Result<NetlinkSocket> nft = OpenNftSocket();
    ASSERT_EQ(tracked.Commit(*nft).ToString(), "OK");
    for (int i = 0; i < kPods; ++i)
      AddPod(i);
  }

  void AddPod(int number) {
    Pod pod;
    pod.netns = std::make_unique<TestNetns>();
    PodAttachment attachment;
    attachment.uid = "pod" + std::to_string(number);
    attachment.netns_path = pod.netns->path();
    Result<std::vector<std::string>> ips = host_.Await(network_->Attach(attachment));
    ASSERT_TRUE(ips.ok()) << ips.status().ToString();
    pod.v4 = *IpAddress::Parse(ips->at(0));
    pod.v6 = *IpAddress::Parse("fd42::" + std::to_string(number + 1));
    Result<RouteSocket> inside = RouteSocket::OpenIn(pod.netns->path());
    const int eth = inside->FindLink("eth0")->index;
    pod.netns->Run([&] {
      EXPECT_TRUE(SetNetSysctl("ipv6/conf/eth0/accept_dad", "0").ok());
      EXPECT_TRUE(SetNetSysctl("ipv6/conf/eth0/disable_ipv6", "0").ok());
    });
    ASSERT_TRUE(inside->EnsureAddress(eth, pod.v6, 128).ok());
    ASSERT_TRUE(inside->EnsureRoute(Route(eth, *Cidr::Parse("fd42::ff/128"))).ok());
    ASSERT_TRUE(inside->EnsureRoute(Route(eth, *Cidr::Parse("::/0"), gateway6_)).ok());
    pod.echo = std::make_unique<Echo>(*pod.netns);
    pods_.push_back(std::move(pod));
  }

  void Describe(int number, const std::string& ns, const std::map<std::string, std::string>& labels,
                const std::vector<std::pair<std::string, uint16_t>>& names) {
    auto made = PolicyCluster::MakePod(ns, "pod" + std::to_string(number), labels,
                                       {pods_[static_cast<size_t>(number)].v4.ToString(),
                                        pods_[static_cast<size_t>(number)].v6.ToString()});
    auto* container = made.mutable_spec()->add_containers();
    for (const auto& [name, port] : names) {
      auto* added = container->add_ports();
      added->set_name(name);
      added->set_container_port(port);
    }
    const std::string uid = made.metadata().uid();
    cluster_.pods[uid] = std::move(made);
    cluster_.PutPod(uid, &index_);
  }
  void Put(const networking::NetworkPolicy& policy) {
    const PolicyKey key(policy.metadata().namespace_(), policy.metadata().name());
    cluster_.policies[key] = policy;
    cluster_.PutPolicy(key, &index_);
  }
  static networking::NetworkPolicy Deny(const std::string& type) {
    networking::NetworkPolicy policy;
    policy.mutable_metadata()->set_namespace_("shop");
    policy.mutable_metadata()->set_name("deny");
    policy.mutable_spec()->mutable_pod_selector();
    policy.mutable_spec()->add_policy_types(type);
    return policy;
  }
  void Apply() {
    const RulesetChange change = index_.TakeChange();
    Status status = rules_->Apply(index_.ruleset(), change);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }

  struct Probe {
    Flow flow;
    UniqueFd fd;
    bool expected = false, passed = false;
  };

  // One probe for each flow; waits until those that should pass have, then a moment for the others.
  void Check(const std::vector<Flow>& flows, const std::string& what) {
    std::vector<Probe> probes(flows.size());
    for (size_t i = 0; i < flows.size(); ++i) {
      probes[i].flow = flows[i];
      probes[i].expected = cluster_.Allows(flows[i]);
    }
    for (const Pod& pod : pods_) {
      pod.netns->Run([&] {
        for (Probe& probe : probes) {
          if (probe.flow.client != pod.v4 && probe.flow.client != pod.v6) continue;
          const bool udp = probe.flow.protocol == IPPROTO_UDP;
          probe.fd =
              UniqueFd(socket(probe.flow.client.is_v4() ? AF_INET : AF_INET6,
                              (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
          SocketAddress from(probe.flow.client, 0), to(probe.flow.server, probe.flow.port);
          bind(probe.fd.get(), from.get(), from.size);
          connect(probe.fd.get(), to.get(), to.size);
          if (udp) send(probe.fd.get(), "?", 1, 0);
        }
      });
    }
    std::optional<Clock::time_point> settled;
    const auto give_up = Clock::now() + std::chrono::seconds(20);
    while (true) {
      bool waiting = false;
      for (Probe& probe : probes) {
        if (!probe.passed) {
          pollfd polled{probe.fd.get(),
                        static_cast<short>(probe.flow.protocol == IPPROTO_UDP ? POLLIN : POLLOUT),
                        0};
          probe.passed = poll(&polled, 1, 0) == 1 && (polled.revents & (POLLERR | POLLHUP)) == 0;
        }
        waiting |= probe.expected && !probe.passed;
      }
      const auto now = Clock::now();
      if (!waiting && !settled) settled = now + std::chrono::milliseconds(30);
      if ((settled && now > *settled) || now > give_up) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    for (const Probe& probe : probes)
      EXPECT_EQ(probe.passed, probe.expected) << what << ": " << probe.flow.ToString();
  }

  std::vector<Flow> AllFlows() const {
    std::vector<Flow> flows;
    for (const Pod& client : pods_) {
      for (const Pod& server : pods_) {
        for (uint16_t port : kPorts) {
          for (uint8_t protocol : {IPPROTO_TCP, IPPROTO_UDP}) {
            flows.push_back({client.v4, server.v4, protocol, port});
            flows.push_back({client.v6, server.v6, protocol, port});
          }
        }
      }
    }
    return flows;
  }

  // A connected pair of sockets: from pod 0 to pod 1.
  UniqueFd Connect(const IpAddress& from, const IpAddress& to, uint16_t port) {
    UniqueFd fd;
    pods_[0].netns->Run([&] {
      fd = UniqueFd(socket(from.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
      SocketAddress address(to, port);
      if (connect(fd.get(), address.get(), address.size) != 0) fd = UniqueFd();
    });
    return fd;
  }

  TestHost host_;
  std::unique_ptr<BridgeNetwork> network_;
  std::unique_ptr<PolicyRules> rules_;
  IpAddress gateway6_;
  std::vector<Pod> pods_;
  PolicyCluster cluster_;
  PolicyIndex index_;
};

TEST_F(PolicyRulesTest, MeansWhatThePoliciesMean) {
  RandomPolicies random(7, {kPorts[0], kPorts[1], kPorts[2], kPorts[3]});
  cluster_.namespaces["shop"] = {{"team", "red"}};
  cluster_.namespaces["bank"] = {{"team", "blue"}};
  for (const auto& [name, labels] : cluster_.namespaces)
    cluster_.PutNamespace(name, &index_);
  for (int i = 0; i < kPods; ++i)
    Describe(i, i < 3 ? "shop" : "bank", random.Labels(), {{"one", kPorts[i % 4]}, {"two", 82}});
  const std::vector<Flow> flows = AllFlows();
  for (int round = 0; round < 25; ++round) {
    const PolicyKey key(random.Below(2) == 0 ? "shop" : "bank",
                        "policy" + std::to_string(random.Below(3)));
    if (random.Below(5) == 0) {
      cluster_.policies.erase(key);
      cluster_.PutPolicy(key, &index_);
    } else {
      Put(random.Policy(cluster_, key));
    }
    if (random.Below(3) == 0) {
      const int number = static_cast<int>(random.Below(kPods));
      Describe(number, number < 3 ? "shop" : "bank", random.Labels(),
               {{"one", kPorts[random.Below(4)]}, {"two", kPorts[random.Below(4)]}});
    }
    Apply();
    Check(flows, "round " + std::to_string(round));
    if (HasFailure()) return;
  }
  // A table that is written at once is no different from one that has grown.
  Status replaced = rules_->Replace(index_.ruleset());
  ASSERT_TRUE(replaced.ok()) << replaced.ToString();
  Check(flows, "replaced");
}

TEST_F(PolicyRulesTest, NobodyIsInTheWayWithoutPolicies) {
  cluster_.namespaces["shop"] = {};
  cluster_.PutNamespace("shop", &index_);
  for (int i = 0; i < kPods; ++i)
    Describe(i, "shop", {}, {});
  Put(Deny("Ingress"));
  Apply();
  Result<NetlinkSocket> socket = OpenNftSocket();
  for (NftFamily family : {NftFamily::kIp, NftFamily::kIp6}) {
    std::vector<std::string> tables = *ListNftTables(*socket, family);
    EXPECT_EQ(std::count(tables.begin(), tables.end(), network_->names().policy_table), 1);
  }
  cluster_.policies.clear();
  index_.RemovePolicy({"shop", "deny"});
  Apply();
  for (NftFamily family : {NftFamily::kIp, NftFamily::kIp6}) {
    std::vector<std::string> tables = *ListNftTables(*socket, family);
    EXPECT_EQ(std::count(tables.begin(), tables.end(), network_->names().policy_table), 0);
  }
}

// A connection that a new policy forbids is cut in both directions; one that it allows goes on.
TEST_F(PolicyRulesTest, CutsConnectionsThatAreForbiddenNow) {
  cluster_.namespaces["shop"] = {};
  cluster_.PutNamespace("shop", &index_);
  for (int i = 0; i < kPods; ++i)
    Describe(i, "shop", {{"pod", std::to_string(i)}}, {});
  Apply();
  for (const bool v4 : {true, false}) {
    const IpAddress client = v4 ? pods_[0].v4 : pods_[0].v6;
    const IpAddress server = v4 ? pods_[1].v4 : pods_[1].v6;
    UniqueFd listener;
    pods_[1].netns->Run([&] {
      listener = UniqueFd(::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
      SocketAddress any(server, 9000);
      ASSERT_EQ(bind(listener.get(), any.get(), any.size), 0);
      ASSERT_EQ(listen(listener.get(), 8), 0);
    });
    UniqueFd asking = Connect(client, server, 9000);
    ASSERT_TRUE(asking);
    UniqueFd answering(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    auto arrives = [](const UniqueFd& from, const UniqueFd& to, int timeout_ms) {
      if (send(from.get(), "x", 1, MSG_NOSIGNAL) != 1) return false;
      pollfd polled{to.get(), POLLIN, 0};
      char byte;
      return poll(&polled, 1, timeout_ms) == 1 && recv(to.get(), &byte, 1, 0) == 1;
    };
    EXPECT_TRUE(arrives(asking, answering, 5000)) << (v4 ? "v4" : "v6");
    EXPECT_TRUE(arrives(answering, asking, 5000)) << (v4 ? "v4" : "v6");

    // The server's answers need no policy of their own; its egress is closed.
    networking::NetworkPolicy policy = Deny("Egress");
    (*policy.mutable_spec()->mutable_pod_selector()->mutable_match_labels())["pod"] = "1";
    Put(policy);
    Apply();
    EXPECT_TRUE(arrives(answering, asking, 5000)) << (v4 ? "v4" : "v6");
    EXPECT_TRUE(arrives(asking, answering, 5000)) << (v4 ? "v4" : "v6");

    policy.mutable_spec()->clear_policy_types();
    policy.mutable_spec()->add_policy_types("Ingress");
    Put(policy);
    Apply();
    EXPECT_FALSE(arrives(answering, asking, 150));
    EXPECT_FALSE(arrives(asking, answering, 150));

    cluster_.policies.clear();
    index_.RemovePolicy({"shop", "deny"});
    Apply();
    // What was not acknowledged comes again.
    EXPECT_TRUE(arrives(asking, answering, 10000)) << (v4 ? "v4" : "v6");
  }
}

// The node reaches its pods whatever their policies; they reach it only where egress allows.
TEST_F(PolicyRulesTest, TheNodeItself) {
  cluster_.namespaces["shop"] = {};
  cluster_.PutNamespace("shop", &index_);
  for (int i = 0; i < kPods; ++i)
    Describe(i, "shop", {}, {});
  networking::NetworkPolicy policy = Deny("Ingress");
  policy.mutable_spec()->add_policy_types("Egress");
  Put(policy);
  Apply();
  for (const Pod& pod : pods_) {
    for (const IpAddress& ip : {pod.v4, pod.v6}) {
      UniqueFd fd(::socket(ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
      SocketAddress to(ip, 80);
      EXPECT_EQ(connect(fd.get(), to.get(), to.size), 0) << ip.ToString();
    }
  }
  testing::TestServer on_node(nullptr, "node", 7000);
  EXPECT_NE(testing::AskFrom(*pods_[0].netns, "192.168.77.1", 7000, false, 0, 200).error, 0);
  policy.mutable_spec()->add_egress()->add_to()->mutable_ip_block()->set_cidr("192.168.77.0/24");
  Put(policy);
  Apply();
  EXPECT_EQ(testing::AskFrom(*pods_[0].netns, "192.168.77.1", 7000, false, 0, 5000).error, 0);
  // Out of the cluster the pod is masqueraded: its policy still knows it.
  testing::TestServer outside(&host_.outside(), "outside", 7000);
  EXPECT_EQ(testing::AskFrom(*pods_[0].netns, "192.168.77.2", 7000, false, 0, 5000).error, 0);
}

uint32_t Crc32c(const std::vector<uint8_t>& data) {
  uint32_t crc = ~0u;
  for (uint8_t byte : data) {
    crc ^= byte;
    for (int i = 0; i < 8; ++i)
      crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

// This kernel may have no SCTP sockets; the packets are made by hand.
TEST_F(PolicyRulesTest, Sctp) {
  cluster_.namespaces["shop"] = {};
  cluster_.PutNamespace("shop", &index_);
  for (int i = 0; i < kPods; ++i)
    Describe(i, "shop", {{"pod", std::to_string(i)}}, {});
  networking::NetworkPolicy policy = Deny("Ingress");
  auto* port = policy.mutable_spec()->add_ingress()->add_ports();
  port->set_protocol("SCTP");
  port->mutable_port()->set_int_val(3868);
  Put(policy);
  Apply();
  UniqueFd listening;
  pods_[1].netns->Run([&] { listening = UniqueFd(::socket(AF_INET, SOCK_RAW, IPPROTO_SCTP)); });
  ASSERT_TRUE(listening);
  auto send_init = [&](uint16_t to_port) {
    std::vector<uint8_t> packet = {0x30,
                                   0x39,
                                   static_cast<uint8_t>(to_port >> 8),
                                   static_cast<uint8_t>(to_port),
                                   0,
                                   0,
                                   0,
                                   0,  // no tag yet
                                   0,
                                   0,
                                   0,
                                   0,  // checksum
                                   1,
                                   0,
                                   0,
                                   20,  // INIT
                                   1,
                                   2,
                                   3,
                                   4,
                                   0,
                                   1,
                                   0,
                                   0,
                                   0,
                                   1,
                                   0,
                                   1,
                                   0,
                                   0,
                                   0,
                                   1};
    const uint32_t crc = Crc32c(packet);
    for (size_t i = 0; i < 4; ++i)
      packet[8 + i] = static_cast<uint8_t>(crc >> (8 * i));
    pods_[0].netns->Run([&] {
      UniqueFd fd(::socket(AF_INET, SOCK_RAW, IPPROTO_SCTP));
      SocketAddress to(pods_[1].v4, 0);
      EXPECT_EQ(sendto(fd.get(), packet.data(), packet.size(), 0, to.get(), to.size),
                static_cast<ssize_t>(packet.size()));
    });
  };
  send_init(3869);  // forbidden
  send_init(3868);
  uint8_t buffer[256];
  pollfd polled{listening.get(), POLLIN, 0};
  ASSERT_EQ(poll(&polled, 1, 10000), 1);
  const ssize_t size = recv(listening.get(), buffer, sizeof(buffer), 0);
  ASSERT_GT(size, 24);
  // The first that came is not the first that was sent.
  EXPECT_EQ(buffer[20 + 2] << 8 | buffer[20 + 3], 3868);
}

}  // namespace
}  // namespace gantry::net
