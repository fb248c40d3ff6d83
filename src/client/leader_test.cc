#include "client/leader.h"

#include <gmock/gmock.h>

#include "api/coordination/v1/lease.pb.h"
#include "base/env/testing/virtual_env.h"
#include "client/testing/fake_client.h"

namespace gantry::client {
namespace {

using api::coordination::v1::Lease;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Candidate {
  Candidate(Env& env, Client& client, std::string identity)
      : elector(env, client, Options(identity), Callbacks()) {}

  static LeaderOptions Options(std::string identity) {
    LeaderOptions options;
    options.name = "controllers";
    options.identity = std::move(identity);
    return options;
  }
  LeaderElector::Callbacks Callbacks() {
    LeaderElector::Callbacks callbacks;
    callbacks.on_started_leading = [this] { ++started; };
    callbacks.on_stopped_leading = [this] { ++stopped; };
    callbacks.on_new_leader = [this](const std::string& identity) { heard += identity; };
    return callbacks;
  }

  int started = 0, stopped = 0;
  std::string heard;
  LeaderElector elector;
};

struct LeaderTest : ::testing::Test {
  ~LeaderTest() override {
    client_a.SetFault(nullptr);
    env.RunToEnd(a.elector.Stop());
    env.RunToEnd(b.elector.Stop());
  }
  void CutOff(bool cut) {
    client_a.SetFault(cut ? [](const FakeClient::Call&) { return Unavailable("no route to host"); }
                          : std::function<Status(const FakeClient::Call&)>());
  }
  api::Ref<Lease> TheLease() { return client_a.Peek<Lease>("kube-system", "controllers"); }

  VirtualEnv env;
  FakeClient client_a{env};
  Candidate a{env, client_a, "a"}, b{env, client_a, "b"};
};

TEST_F(LeaderTest, TheFirstLeadsAndTheOthersWait) {
  a.elector.Start();
  env.Advance(milliseconds(1));
  b.elector.Start();
  env.Advance(seconds(60));
  EXPECT_TRUE(a.elector.leads());
  EXPECT_FALSE(b.elector.leads());
  EXPECT_EQ(b.elector.leader(), "a");
  EXPECT_EQ(a.started, 1);
  EXPECT_EQ(a.stopped, 0);
  EXPECT_EQ(b.heard, "a");
  EXPECT_EQ(TheLease()->spec().holder_identity(), "a");
  EXPECT_EQ(TheLease()->spec().lease_duration_seconds(), 15);
  EXPECT_EQ(TheLease()->spec().lease_transitions(), 0);
  EXPECT_GT(TheLease()->spec().renew_time().seconds(),
            TheLease()->spec().acquire_time().seconds() + 50);
}

TEST_F(LeaderTest, WhoStopsLetsTheNextOneInAtOnce) {
  a.elector.Start();
  env.Advance(milliseconds(1));
  b.elector.Start();
  env.Advance(seconds(10));
  env.RunToEnd(a.elector.Stop());
  EXPECT_EQ(a.stopped, 1);
  env.Advance(seconds(5));
  EXPECT_TRUE(b.elector.leads());
  EXPECT_EQ(TheLease()->spec().lease_transitions(), 1);
}

TEST_F(LeaderTest, ALeaderWhoCannotRenewGivesUpBeforeAnyoneElseCanStart) {
  a.elector.Start();
  env.Advance(milliseconds(1));
  b.elector.Start();
  env.Advance(seconds(30));
  CutOff(true);
  SteadyTime gave_up{};
  for (int i = 0; i < 300 && gave_up == SteadyTime(); ++i) {
    env.Advance(milliseconds(100));
    if (!a.elector.leads()) gave_up = env.Steady();
  }
  ASSERT_NE(gave_up, SteadyTime());
  EXPECT_FALSE(b.elector.leads());
  CutOff(false);
  env.Advance(seconds(40));
  EXPECT_EQ(a.elector.leads() + b.elector.leads(), 1);
}

TEST_F(LeaderTest, WhoWaitsAsksForNothingAndComesWhenTheLeaseHasRunOut) {
  LeaderOptions options = Candidate::Options("c");
  options.lease_duration = milliseconds(800);
  options.renew_deadline = milliseconds(600);
  options.retry_period = milliseconds(200);
  Candidate c(env, client_a, "c");
  auto first = std::make_unique<LeaderElector>(env, client_a, options, c.Callbacks());
  first->Start();
  env.Advance(milliseconds(1));
  // A length that is no whole seconds is written in full.
  EXPECT_EQ(TheLease()->spec().lease_duration_seconds(), 1);
  EXPECT_EQ(TheLease()->metadata().annotations().at("gantry/lease-duration-ms"), "800");
  a.elector.Start();
  env.Advance(seconds(1));
  int reads = 0;
  client_a.SetFault([&reads](const FakeClient::Call& call) {
    if (call.verb == "get" || call.verb == "list") ++reads;
    return Status();
  });
  env.Advance(seconds(10));
  EXPECT_EQ(reads, 0);
  EXPECT_TRUE(first->leads());
  // The leader is cut off; nobody lets go of the lease.
  client_a.SetFault([](const FakeClient::Call& call) {
    return call.verb == "update" ? Unavailable("no route to host") : Status();
  });
  env.Advance(milliseconds(700));
  EXPECT_FALSE(first->leads());
  EXPECT_FALSE(a.elector.leads());
  client_a.SetFault(nullptr);
  env.Advance(milliseconds(200));
  EXPECT_TRUE(first->leads() || a.elector.leads());
  env.RunToEnd(first->Stop());
}

TEST_F(LeaderTest, ALeaseOfOneWhoIsGoneRunsOutByOurOwnClock) {
  // Its renewal lies in the future by its own clock.
  Lease lease;
  lease.mutable_metadata()->set_namespace_("kube-system");
  lease.mutable_metadata()->set_name("controllers");
  lease.mutable_spec()->set_holder_identity("gone");
  lease.mutable_spec()->set_lease_duration_seconds(15);
  lease.mutable_spec()->mutable_renew_time()->set_seconds(4'000'000'000);
  client_a.Put(std::move(lease));
  a.elector.Start();
  env.Advance(seconds(14));
  EXPECT_FALSE(a.elector.leads());
  env.Advance(seconds(6));
  EXPECT_TRUE(a.elector.leads());
}

}  // namespace
}  // namespace gantry::client
