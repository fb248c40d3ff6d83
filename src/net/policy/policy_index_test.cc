#include "net/policy/policy_index.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include "net/policy/testing/policy_cluster.h"

namespace gantry::net {
namespace {

using testing::Flow;
using testing::PolicyCluster;
using testing::RandomPolicies;
namespace networking = api::networking::v1;

IpAddress Ip(const char* text) { return *IpAddress::Parse(text); }

TEST(AddressRange, WhatIsLeftOfABlock) {
  struct Row {
    const char* block;
    std::vector<const char*> except;
    std::vector<std::pair<const char*, const char*>> left;
  };
  const Row rows[] = {
      {"10.0.0.0/8", {}, {{"10.0.0.0", "10.255.255.255"}}},
      {"0.0.0.0/0",
       {"10.0.0.0/8"},
       {{"0.0.0.0", "9.255.255.255"}, {"11.0.0.0", "255.255.255.255"}}},
      {"10.0.0.0/24", {"10.0.0.0/25"}, {{"10.0.0.128", "10.0.0.255"}}},
      {"10.0.0.0/24", {"10.0.0.128/25"}, {{"10.0.0.0", "10.0.0.127"}}},
      {"10.0.0.0/24", {"10.0.0.0/25", "10.0.0.128/25"}, {}},
      {"10.0.0.0/24",
       {"10.0.0.7/32", "10.0.0.6/32", "10.0.0.6/31"},
       {{"10.0.0.0", "10.0.0.5"}, {"10.0.0.8", "10.0.0.255"}}},
      {"0.0.0.0/0", {"255.255.255.255/32"}, {{"0.0.0.0", "255.255.255.254"}}},
      {"fd00::/16",
       {"fd00:1::/32"},
       {{"fd00::", "fd00:0:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"fd00:2::", "fd00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}}},
  };
  for (const Row& row : rows) {
    std::vector<AddressRange> holes, left;
    for (const char* except : row.except)
      holes.push_back(AddressRange::Of(*Cidr::Parse(except)));
    for (const auto& [first, last] : row.left)
      left.push_back({Ip(first), Ip(last)});
    EXPECT_EQ(Subtract(AddressRange::Of(*Cidr::Parse(row.block)), holes), left) << row.block;
  }
}

networking::NetworkPolicy Deny(const char* ns, const char* name) {
  networking::NetworkPolicy policy;
  policy.mutable_metadata()->set_namespace_(ns);
  policy.mutable_metadata()->set_name(name);
  policy.mutable_spec()->mutable_pod_selector();
  policy.mutable_spec()->add_policy_types("Ingress");
  return policy;
}

class PolicyIndexTest : public ::testing::Test {
 protected:
  void AddPod(const char* ns, const char* name, const std::map<std::string, std::string>& labels,
              const char* address) {
    cluster_.pods[name] = PolicyCluster::MakePod(ns, name, labels, {address});
    cluster_.PutPod(name, &index_);
  }
  void Add(const networking::NetworkPolicy& policy) {
    const PolicyKey key(policy.metadata().namespace_(), policy.metadata().name());
    cluster_.policies[key] = policy;
    cluster_.PutPolicy(key, &index_);
  }

  PolicyCluster cluster_;
  PolicyIndex index_;
};

TEST_F(PolicyIndexTest, PoliciesThatSelectNoPodHereCostNothing) {
  AddPod("other", "a", {{"app", "web"}}, "10.42.0.2");
  networking::NetworkPolicy policy = Deny("shop", "p");
  policy.mutable_spec()->add_ingress()->add_from()->mutable_pod_selector();
  Add(policy);
  EXPECT_TRUE(index_.TakeChange().empty());
}

TEST_F(PolicyIndexTest, ANewPeerIsOneElement) {
  AddPod("shop", "server", {{"app", "web"}}, "10.42.0.2");
  for (int i = 0; i < 10; ++i) {
    networking::NetworkPolicy policy = Deny("shop", ("p" + std::to_string(i)).c_str());
    auto* selector = policy.mutable_spec()->add_ingress()->add_from()->mutable_pod_selector();
    (*selector->mutable_match_labels())["app"] = "client";
    policy.mutable_spec()->mutable_ingress(0)->add_ports()->mutable_port()->set_int_val(80 + i);
    Add(policy);
  }
  index_.TakeChange();
  AddPod("shop", "client", {{"app", "client"}}, "10.42.1.9");
  // The new pod is on this node too, and so gets the rules of all pods of the namespace.
  RulesetChange change = index_.TakeChange();
  ASSERT_EQ(change.elements.size(), 1u);
  EXPECT_EQ(change.elements.begin()->second.added.size(), 1u);
  EXPECT_TRUE(change.policy_chains.empty());
  EXPECT_TRUE(change.pod_chains.empty());
  EXPECT_EQ(change.pods.size(), 1u);
}

TEST_F(PolicyIndexTest, AnAddressFollowsItsNewPod) {
  AddPod("shop", "old", {{"app", "web"}}, "10.42.0.2");
  Add(Deny("shop", "deny"));
  AddPod("shop", "new", {{"app", "web"}}, "10.42.0.2");
  cluster_.pods.erase("old");
  cluster_.PutPod("old", &index_);
  EXPECT_TRUE(index_.ruleset().ingress.contains(Ip("10.42.0.2")));
  cluster_.pods.erase("new");
  cluster_.PutPod("new", &index_);
  EXPECT_TRUE(index_.ruleset().ingress.empty());
  EXPECT_TRUE(index_.ruleset().policy_chains.empty());
}

TEST_F(PolicyIndexTest, NamesThatAreTooLongForTheKernelStayApart) {
  AddPod("shop", "a", {}, "10.42.0.2");
  Add(Deny("shop", (std::string(240, 'x') + "1").c_str()));
  Add(Deny("shop", (std::string(240, 'x') + "2").c_str()));
  ASSERT_EQ(index_.ruleset().policy_chains.size(), 2u);
  for (const auto& [chain, matches] : index_.ruleset().policy_chains)
    EXPECT_LT(chain.size(), 250u);
}

// Policies, pods and namespaces come, change and go; after each step the rules let pass what the
// policies mean, and the differences that were handed out add up to the rules.
TEST(PolicyIndex, MeansWhatThePoliciesMean) {
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    const std::vector<uint16_t> ports = {80, 81, 82, 443};
    RandomPolicies random(seed, ports);
    PolicyCluster cluster;
    PolicyIndex index;
    Ruleset mirror;
    std::vector<IpAddress> addresses;
    for (int i = 1; i <= 9; ++i) {
      addresses.push_back(Ip(("10.42.0." + std::to_string(i)).c_str()));
      addresses.push_back(Ip(("fd42::" + std::to_string(i)).c_str()));
    }
    for (int step = 0; step < 30; ++step) {
      const std::string ns = "ns" + std::to_string(random.Below(3));
      switch (random.Below(4)) {
        case 0: {
          if (random.Below(4) == 0) {
            cluster.namespaces.erase(ns);
          } else {
            cluster.namespaces[ns] = random.Labels();
          }
          cluster.PutNamespace(ns, &index);
          break;
        }
        case 1: {
          const uint32_t number = 1 + random.Below(8);
          const std::string uid = "pod" + std::to_string(number);
          if (random.Below(5) == 0) {
            cluster.pods.erase(uid);
          } else {
            // A pod keeps its namespace as long as it lives.
            auto found = cluster.pods.find(uid);
            auto pod = PolicyCluster::MakePod(
                found == cluster.pods.end() ? ns : found->second.metadata().namespace_(), uid,
                random.Labels(),
                {"10.42.0." + std::to_string(number), "fd42::" + std::to_string(number)});
            auto* container = pod.mutable_spec()->add_containers();
            for (const char* name : {"one", "two"}) {
              auto* port = container->add_ports();
              port->set_name(name);
              port->set_container_port(ports[random.Below(4)]);
              port->set_protocol(random.Below(2) == 0 ? "TCP" : "UDP");
            }
            cluster.pods[uid] = pod;
          }
          cluster.PutPod(uid, &index);
          break;
        }
        default: {
          const PolicyKey key(ns, "policy" + std::to_string(random.Below(4)));
          if (random.Below(4) == 0) {
            cluster.policies.erase(key);
          } else {
            cluster.policies[key] = random.Policy(cluster, key);
          }
          cluster.PutPolicy(key, &index);
        }
      }
      if (random.Below(3) == 0) continue;  // several changes at once
      testing::ApplyTo(index.TakeChange(), index.ruleset(), &mirror);
      for (const IpAddress& client : addresses) {
        for (const IpAddress& server : addresses) {
          if (client.size != server.size) continue;
          for (uint8_t protocol : {IPPROTO_TCP, IPPROTO_UDP}) {
            for (uint16_t port : {80, 82, 84}) {
              const Flow flow{client, server, protocol, port};
              ASSERT_EQ(testing::Passes(mirror, flow), cluster.Allows(flow))
                  << "seed " << seed << " step " << step << ": " << flow.ToString();
            }
          }
        }
      }
    }
    // Everything goes.
    for (const auto& [key, policy] : std::map(cluster.policies))
      index.RemovePolicy(key);
    EXPECT_TRUE(index.ruleset().sets.empty());
    EXPECT_TRUE(index.ruleset().policy_chains.empty());
    EXPECT_TRUE(index.ruleset().pod_chains.empty());
    EXPECT_TRUE(index.ruleset().ingress.empty() && index.ruleset().egress.empty());
  }
}

}  // namespace
}  // namespace gantry::net
