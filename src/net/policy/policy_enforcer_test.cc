#include "net/policy/policy_enforcer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/networking/v1/network_policy.pb.h"
#include "client/testing/fake_client.h"
#include "net/bridge_network.h"
#include "net/policy/policed_network.h"
#include "net/testing/netns.h"

namespace gantry::net {
namespace {

using testing::AskFrom;
using testing::TestHost;
using testing::TestNetns;
using testing::TestServer;
namespace core = api::core::v1;
namespace networking = api::networking::v1;

// A node whose pods come from a pretended API server; the kernel is real.
class PolicyEnforcerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(host_.Ready()) << host_.problem();
    client_ = std::make_unique<client::FakeClient>(host_.env());
    core::Namespace ns;
    ns.mutable_metadata()->set_name("default");
    client_->Put(ns);
    StartNode();
  }
  void TearDown() override { StopNode(); }

  void StartNode() {
    BridgeOptions options;
    options.data_dir = host_.data_dir();
    options.cluster_cidrs = {*Cidr::Parse("10.42.0.0/16")};
    bridge_ = std::make_unique<BridgeNetwork>(host_.env(), options);
    ASSERT_EQ(host_.Await(bridge_->Start()).ToString(), "OK");
    std::vector<std::string> cidrs = {"10.42.0.0/24"};
    ASSERT_EQ(host_.Await(bridge_->SetPodCidrs(cidrs)).ToString(), "OK");
    informers_ = std::make_unique<client::InformerSet>(host_.env(), *client_);
    PolicyOptions policy;
    policy.data_dir = host_.data_dir();
    policy.node_name = "node-1";
    enforcer_ = std::make_unique<PolicyEnforcer>(host_.env(), *informers_, policy);
    network_ = std::make_unique<PolicedNetwork>(*bridge_, *enforcer_);
    informers_->Start();
    enforcer_->Start(bridge_->Attached());
    ASSERT_EQ(host_.Await(enforcer_->WaitForSync(CancelToken())).ToString(), "OK");
  }
  void StopNode() {
    if (!enforcer_) return;
    host_.env().RunToEnd(enforcer_->Stop());
    host_.env().RunToEnd(informers_->Stop());
    network_.reset();
    enforcer_.reset();
    informers_.reset();
    bridge_.reset();
  }

  // As the node does it: the pod is in the API, and gets its network.
  std::string Attach(const std::string& name, const TestNetns& netns) {
    core::Pod pod;
    pod.mutable_metadata()->set_namespace_("default");
    pod.mutable_metadata()->set_name(name);
    pod.mutable_metadata()->set_uid(name);
    (*pod.mutable_metadata()->mutable_labels())["app"] = name;
    pod.mutable_spec()->set_node_name("node-1");
    const auto put = client_->Put(pod);
    PodAttachment attachment;
    attachment.uid = attachment.name = name;
    attachment.ns = "default";
    attachment.revision = put.revision();
    attachment.netns_path = netns.path();
    Result<std::vector<std::string>> ips = host_.Await(network_->Attach(attachment));
    return ips.ok() ? ips->at(0) : ips.status().ToString();
  }
  networking::NetworkPolicy Policy(const std::string& selects, const std::string& from) {
    networking::NetworkPolicy policy;
    policy.mutable_metadata()->set_namespace_("default");
    policy.mutable_metadata()->set_name("policy");
    auto* spec = policy.mutable_spec();
    spec->add_policy_types("Ingress");
    (*spec->mutable_pod_selector()->mutable_match_labels())["app"] = selects;
    if (!from.empty()) {
      auto* peer = spec->add_ingress()->add_from();
      (*peer->mutable_pod_selector()->mutable_match_labels())["app"] = from;
    }
    return policy;
  }
  bool Reaches(const TestNetns& from, const std::string& ip, int timeout_ms) {
    return AskFrom(from, ip, 8080, false, 0, timeout_ms).error == 0;
  }
  // Changes of policies reach the kernel a moment after they are made.
  bool Eventually(const TestNetns& from, const std::string& ip, bool reaches) {
    for (int i = 0; i < 100; ++i) {
      if (Reaches(from, ip, 150) == reaches) return true;
    }
    return false;
  }

  TestHost host_;
  std::unique_ptr<client::FakeClient> client_;
  std::unique_ptr<BridgeNetwork> bridge_;
  std::unique_ptr<client::InformerSet> informers_;
  std::unique_ptr<PolicyEnforcer> enforcer_;
  std::unique_ptr<PolicedNetwork> network_;
  TestNetns web_, friend_, stranger_;
};

// No packet comes through before the policies, however late the node may hear of them: the policy
// is made immediately before the pod, and asked for immediately after.
TEST_F(PolicyEnforcerTest, GuardsFromTheFirstPacket) {
  for (int round = 0; round < 10; ++round) {
    const std::string name = "web" + std::to_string(round);
    TestNetns netns;
    const std::string stranger = Attach("stranger" + std::to_string(round), stranger_);
    client_->Put(Policy(name, ""));
    const std::string ip = Attach(name, netns);
    TestServer server(&netns, name, 8080);
    EXPECT_FALSE(Reaches(stranger_, ip, 60)) << ip;
    EXPECT_EQ(host_.Await(network_->Detach(name)).ToString(), "OK");
    EXPECT_EQ(host_.Await(network_->Detach("stranger" + std::to_string(round))).ToString(), "OK");
    client_->Remove<core::Pod>("default", name);
    client_->Remove<core::Pod>("default", "stranger" + std::to_string(round));
  }
}

TEST_F(PolicyEnforcerTest, FollowsPoliciesLabelsAndPods) {
  const std::string web = Attach("web", web_);
  Attach("friend", friend_);
  Attach("stranger", stranger_);
  TestServer server(&web_, "web", 8080);
  EXPECT_TRUE(Reaches(friend_, web, 5000));
  client_->Put(Policy("web", "friend"));
  EXPECT_TRUE(Eventually(stranger_, web, false));
  EXPECT_TRUE(Reaches(friend_, web, 5000));
  // Whoever gets the label gets in.
  core::Pod pod = *client_->Peek<core::Pod>("default", "stranger");
  (*pod.mutable_metadata()->mutable_labels())["app"] = "friend";
  client_->Put(pod);
  EXPECT_TRUE(Eventually(stranger_, web, true));
  (*pod.mutable_metadata()->mutable_labels())["app"] = "stranger";
  client_->Put(pod);
  EXPECT_TRUE(Eventually(stranger_, web, false));
  // A pod that is deleted by force is guarded until it has lost its network.
  client_->Remove<core::Pod>("default", "web");
  EXPECT_TRUE(Reaches(friend_, web, 5000));
  EXPECT_FALSE(Reaches(stranger_, web, 150));
  client_->Remove<networking::NetworkPolicy>("default", "policy");
  EXPECT_TRUE(Eventually(stranger_, web, true));
}

// The rules outlive the node's program; the next one takes them over without a gap, also for pods
// of which the API server has no address yet.
TEST_F(PolicyEnforcerTest, RulesOutliveTheProgram) {
  const std::string web = Attach("web", web_);
  Attach("friend", friend_);
  Attach("stranger", stranger_);
  TestServer server(&web_, "web", 8080);
  client_->Put(Policy("web", "friend"));
  EXPECT_TRUE(Eventually(stranger_, web, false));
  StopNode();
  EXPECT_FALSE(Reaches(stranger_, web, 150));
  EXPECT_TRUE(Reaches(friend_, web, 5000));
  StartNode();
  EXPECT_FALSE(Reaches(stranger_, web, 150));
  EXPECT_TRUE(Reaches(friend_, web, 5000));
  StopNode();
  client_->Remove<networking::NetworkPolicy>("default", "policy");
  StartNode();
  EXPECT_TRUE(Reaches(stranger_, web, 5000));
}

}  // namespace
}  // namespace gantry::net
