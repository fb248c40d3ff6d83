#include "node/registration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/coordination/v1/lease.pb.h"
#include "api/duration.h"
#include "api/testing/from_yaml.h"
#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "base/env/testing/virtual_env.h"
#include "client/testing/fake_client.h"
#include "node/lease.h"

namespace gantry::node {
namespace {

using api::coordination::v1::Lease;
using api::core::v1::Node;
using api::testing::FromYaml;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(NodeLabels, AreReadAsTheKubeletReadsThem) {
  EXPECT_THAT(
      ParseNodeLabels("a=b,topology.kubernetes.io/zone=north,empty=").value(),
      ElementsAre(Pair("a", "b"), Pair("empty", ""), Pair("topology.kubernetes.io/zone", "north")));
  EXPECT_TRUE(ParseNodeLabels("").value().empty());
  EXPECT_TRUE(ParseNodeLabels("node.kubernetes.io/pool=a,x.kubelet.kubernetes.io/b=c").ok());
  const struct {
    const char *text, *problem;
  } rows[] = {
      {"a", "not of the form key=value"},
      {"a b=c", "name part must consist of"},
      {"a=b c", "a valid label must be"},
      {"node-role.kubernetes.io/master=", "may not give itself node-role.kubernetes.io/master"},
      {"x.node-restriction.kubernetes.io/a=b,k8s.io/c=d",
       "may not give itself x.node-restriction.kubernetes.io/a, k8s.io/c"},
  };
  for (const auto& row : rows)
    EXPECT_THAT(ParseNodeLabels(row.text).status().message(), HasSubstr(row.problem)) << row.text;
}

TEST(NodeTaints, AreReadAsTheKubeletReadsThem) {
  const auto taints = ParseNodeTaints("dedicated=db:NoSchedule,gpu:NoExecute").value();
  ASSERT_EQ(taints.size(), 2u);
  EXPECT_EQ(taints[0].key() + "|" + taints[0].value() + "|" + taints[0].effect(),
            "dedicated|db|NoSchedule");
  EXPECT_EQ(taints[1].key() + "|" + taints[1].value() + "|" + taints[1].effect(), "gpu||NoExecute");
  const struct {
    const char *text, *problem;
  } rows[] = {
      {"a=b", "not of the form key=value:effect"},
      {"a=b:Sometimes", "the effect must be"},
      {":NoSchedule", "name part must be non-empty"},
      {"a=1:NoSchedule,a=2:NoSchedule", "another taint with this key and effect"},
  };
  for (const auto& row : rows)
    EXPECT_THAT(ParseNodeTaints(row.text).status().message(), HasSubstr(row.problem)) << row.text;
}

class Registration : public ::testing::Test {
 protected:
  NodeInputs Inputs(const std::string& ip) {
    NodeInputs inputs;
    inputs.name = "n1";
    inputs.ips = {ip};
    inputs.machine.architecture = "amd64";
    inputs.machine.machine_id = "one machine id, as the machines of a test have it";
    inputs.now = env_.Now();
    return inputs;
  }
  void Begin(const std::string& agent, const std::string& ip = "10.0.0.1") {
    NodeInputs inputs = Inputs(ip);
    RegistrationOptions options;
    options.agent_id = agent;
    options.labels = {{"disk", "fast"}};
    options.taints = ParseNodeTaints("only=me:NoSchedule").value();
    result_.reset();
    auto run = [](Registration* self, NodeInputs inputs, RegistrationOptions options) -> Task<> {
      self->result_ = co_await RegisterNode(self->env_, self->client_, std::move(inputs),
                                            std::move(options), CancelToken());
    };
    Spawn(env_.executor(), gate_, "register", run(this, std::move(inputs), std::move(options)));
    env_.RunUntilIdle();
  }
  void Advance(Duration duration) { env_.Advance(duration); }
  void RenewLease() {
    Lease lease = FromYaml<Lease>(
        "{metadata: {namespace: kube-node-lease, name: n1}, spec: {leaseDurationSeconds: 40}}");
    api::SetTime(env_.Now(), lease.mutable_spec()->mutable_renew_time());
    client_.Put(std::move(lease));
  }
  // The agent that has registered lives.
  void Live() {
    Node node = *client_.Peek<Node>("", "n1");
    SetNodeStatus(Inputs("10.0.0.1"), &node);
    client_.Put(std::move(node));
    RenewLease();
  }
  std::string Owner() {
    return client_.Peek<Node>("", "n1")->metadata().annotations().at(kAgentAnnotation);
  }

  VirtualEnv env_;
  client::FakeClient client_{env_};
  Gate gate_;
  std::optional<Result<api::Ref<Node>>> result_;
};

TEST_F(Registration, ANewNodeGetsLabelsAndTaintsAndAnOldOneKeepsWhatItHas) {
  Begin("first");
  ASSERT_TRUE(result_ && result_->ok());
  Node node = *client_.Peek<Node>("", "n1");
  EXPECT_EQ(node.metadata().labels().at("disk"), "fast");
  EXPECT_EQ(node.metadata().labels().at("kubernetes.io/hostname"), "n1");
  EXPECT_EQ(node.spec().taints(0).key(), "only");
  node.mutable_spec()->clear_taints();
  (*node.mutable_metadata()->mutable_labels())["disk"] = "slow";
  client_.Put(std::move(node));
  Begin("first");
  ASSERT_TRUE(result_ && result_->ok());
  EXPECT_EQ(client_.Peek<Node>("", "n1")->metadata().labels().at("disk"), "slow");
  EXPECT_EQ(client_.Peek<Node>("", "n1")->spec().taints_size(), 0);
}

TEST_F(Registration, ANameIsRefusedWhileItsMachineLives) {
  Begin("first");
  Live();
  Begin("second", "10.0.0.2");
  EXPECT_FALSE(result_);
  Advance(seconds(9));
  EXPECT_FALSE(result_);
  RenewLease();
  Advance(seconds(1));
  ASSERT_TRUE(result_);
  EXPECT_EQ(result_->code(), Code::kConflict);
  EXPECT_THAT(result_->status().message(),
              HasSubstr("node \"n1\" is another machine of this cluster (10.0.0.1) that is alive"));
  EXPECT_EQ(Owner(), "first");
}

TEST_F(Registration, ANameIsFreeWhenItsMachineSaysNothingForALease) {
  Begin("first");
  Live();
  Begin("second", "10.0.0.2");
  Advance(seconds(39));
  EXPECT_FALSE(result_);
  Advance(seconds(2));
  ASSERT_TRUE(result_ && result_->ok());
  EXPECT_EQ(Owner(), "second");
}

TEST_F(Registration, ANameIsFreeAtOnceWhenTheClusterHasGivenTheMachineUp) {
  Begin("first");
  Live();
  Node node = *client_.Peek<Node>("", "n1");
  for (auto& condition : *node.mutable_status()->mutable_conditions()) {
    if (condition.type() == "Ready") condition.set_status("Unknown");
  }
  client_.Put(std::move(node));
  Begin("second", "10.0.0.2");
  ASSERT_TRUE(result_ && result_->ok());
  EXPECT_EQ(Owner(), "second");
}

TEST_F(Registration, TheSameMachineWithAnotherDirectoryIsTaken) {
  Begin("first");
  Live();
  Begin("second");
  ASSERT_TRUE(result_ && result_->ok());
  EXPECT_EQ(Owner(), "second");
}

TEST_F(Registration, ANodeFromBeforeAgentsHadIdsIsTaken) {
  client_.Put(FromYaml<Node>("{metadata: {name: n1}}"));
  Begin("first");
  ASSERT_TRUE(result_ && result_->ok());
  EXPECT_EQ(Owner(), "first");
}

class LeaseTest : public Registration {
 protected:
  Status Renew(NodeLease& lease) {
    std::optional<Status> done;
    auto run = [](NodeLease& lease, std::optional<Status>* done) -> Task<> {
      std::string uid = "uid-1";
      *done = co_await lease.Renew(std::move(uid));
    };
    Spawn(env_.executor(), gate_, "renew", run(lease, &done));
    env_.RunUntilIdle();
    return *done;
  }
};

TEST_F(LeaseTest, IsMadeRenewedAndTakenUpAfterAConflict) {
  NodeLease lease(env_, client_, "n1", LeaseTimes(),
                  std::make_unique<RenewalFile>("/nonexistent/renewed"));
  EXPECT_FALSE(lease.renewed());
  ASSERT_TRUE(Renew(lease).ok());
  const auto made = client_.Peek<Lease>("kube-node-lease", "n1");
  EXPECT_EQ(made->spec().lease_duration_seconds(), 40);
  EXPECT_EQ(made->spec().holder_identity(), "n1");
  EXPECT_EQ(made->metadata().owner_references(0).uid(), "uid-1");
  EXPECT_EQ(lease.renewed(), env_.Steady());

  RenewLease();  // somebody else has written it
  Advance(seconds(10));
  lease.SetTimes({seconds(1), seconds(3)});
  EXPECT_EQ(lease.granted().duration, seconds(40));
  ASSERT_TRUE(Renew(lease).ok());
  EXPECT_EQ(client_.Peek<Lease>("kube-node-lease", "n1")->spec().lease_duration_seconds(), 3);
  EXPECT_EQ(lease.granted().duration, seconds(3));
  EXPECT_EQ(lease.renewed(), env_.Steady());

  client_.Remove<Lease>("kube-node-lease", "n1");
  ASSERT_TRUE(Renew(lease).ok());

  const SteadyTime last = *lease.renewed();
  Advance(seconds(1));
  client_.SetFault([](const client::FakeClient::Call&) { return Unavailable("no server"); });
  EXPECT_EQ(Renew(lease).code(), Code::kUnavailable);
  EXPECT_EQ(lease.renewed(), last);
}

}  // namespace
}  // namespace gantry::node
