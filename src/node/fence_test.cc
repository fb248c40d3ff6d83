#include "node/fence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <optional>

#include "api/core/v1/event.pb.h"
#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/testing/from_yaml.h"
#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "base/env/testing/virtual_env.h"
#include "client/testing/fake_client.h"
#include "node/testing/fake_runtime.h"

namespace gantry::node {
namespace {

using api::core::v1::Pod;
using api::testing::FromYaml;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class NoRecord final : public RenewalRecord {
 public:
  explicit NoRecord(std::optional<Renewal> kept = {}) : kept_(kept) {}
  std::optional<Renewal> Read() override { return kept_; }
  void Write(const Renewal&) override {}

 private:
  std::optional<Renewal> kept_;
};

// A server that may take its time to tell of pods.
class SlowClient final : public client::FakeClient {
 public:
  explicit SlowClient(Env& env) : FakeClient(env), env_(env) {}
  Duration answers_after{};
  Task<Result<api::ObjectPtr>> Get(const api::KindInfo& kind, std::string ns,
                                   std::string name) override {
    if (answers_after > Duration::zero()) co_await SleepFor(env_, answers_after);
    co_return co_await FakeClient::Get(kind, std::move(ns), std::move(name));
  }

 private:
  Env& env_;
};

// A node with two pods, one of which has an identity, and a server that may be away.
class FenceTest : public ::testing::Test, public FencedNode {
 protected:
  void SetUp() override {
    db_ = client_.Put(FromYaml<Pod>(
        "{metadata: {name: db-0, namespace: default, uid: db, ownerReferences: [{kind: "
        "StatefulSet, controller: true, name: db, uid: s}]}}"));
    web_ = client_.Put(FromYaml<Pod>("{metadata: {name: web, namespace: default, uid: web}}"));
    runtime_.ends_at = {{"/b/db", SIGTERM}, {"/b/web", SIGTERM}};
  }
  void TearDown() override {
    stop_.Cancel();
    env_.RunToEnd(gate_.Close(env_));
    env_.RunToEnd(events_.Stop());
  }

  void Begin(std::optional<Renewal> kept = {}) {
    lease_.emplace(env_, client_, "n1", LeaseTimes(), std::make_unique<NoRecord>(kept));
    fence_.emplace(env_, client_, runtime_, events_, *lease_, *this);
    lease_->OnGranted([this] { fence_->LeaseGranted(); });
    Spawn(env_.executor(), gate_, "fence", fence_->Keep(stop_.token()));
    Spawn(env_.executor(), gate_, "release", fence_->KeepReleasing(stop_.token()));
    Spawn(env_.executor(), gate_, "lease", lease_->Keep([] { return "uid"; }, stop_.token()));
    env_.RunUntilIdle();
  }
  void LoseServer() {
    client_.SetFault([](const client::FakeClient::Call&) { return Unavailable("no server"); });
  }
  void FindServer() { client_.SetFault({}); }

  std::vector<PodHere> PodsHere() override {
    std::vector<PodHere> here(2);
    here[0].pod = db_;
    here[1].pod = web_;
    for (PodHere& entry : here) {
      const std::string& name = entry.pod->metadata().uid();
      if (runtime_.RunningPid("/b/" + name)) entry.running.push_back({name, "/b/" + name, SIGTERM});
    }
    return here;
  }
  void OnReleased(const std::string& uid) override { released_.push_back(uid); }
  bool Forbids(const api::Ref<Pod>& pod) { return fence_->Forbids(pod); }

  VirtualEnv env_;
  SlowClient client_{env_};
  client::EventRecorder events_{env_, client_, "kubelet"};
  FakeRuntime runtime_;
  api::Ref<Pod> db_, web_;
  std::vector<std::string> released_;
  std::optional<NodeLease> lease_;
  std::optional<Fence> fence_;
  CancelSource stop_;
  Gate gate_;
};

TEST_F(FenceTest, StopsWhatHasAnIdentityWithinTheLease) {
  Begin();
  env_.Advance(seconds(120));
  EXPECT_FALSE(Forbids(db_));
  const SteadyTime renewed = *lease_->renewed();
  LoseServer();
  env_.Advance(renewed + seconds(26) - env_.Steady());
  EXPECT_THAT(runtime_.signals, IsEmpty());
  env_.Advance(seconds(1));
  EXPECT_THAT(runtime_.signals, ElementsAre("db:15"));
  EXPECT_TRUE(Forbids(db_));
  EXPECT_FALSE(Forbids(web_));

  // Back: it is still wanted here.
  FindServer();
  env_.Advance(seconds(20));
  EXPECT_FALSE(Forbids(db_));
  EXPECT_THAT(released_, ElementsAre("db"));
  EXPECT_EQ(client_.All<api::core::v1::Event>().at(0)->reason(), "Fenced");
}

TEST_F(FenceTest, LetsNothingGoOnThatWasReplaced) {
  Begin();
  env_.Advance(seconds(1));
  LoseServer();
  env_.Advance(seconds(60));
  client_.Remove<Pod>("default", "db-0");
  client_.Put(FromYaml<Pod>("{metadata: {name: db-0, namespace: default, uid: other}}"));
  FindServer();
  env_.Advance(seconds(60));
  EXPECT_TRUE(Forbids(db_));
  EXPECT_THAT(released_, IsEmpty());
}

// A pod that is only now to be started: its image took that long, or a watch still goes on.
TEST_F(FenceTest, WhatComesWhenTheLeaseIsOverIsNotStarted) {
  Begin();
  env_.Advance(milliseconds(10500));
  runtime_.ends_at.clear();
  LoseServer();
  env_.Advance(*lease_->renewed() + seconds(27) + milliseconds(300) - env_.Steady());
  db_ = client_.Put(FromYaml<Pod>(
      "{metadata: {name: db-1, namespace: default, uid: db1, ownerReferences: [{kind: "
      "StatefulSet, controller: true, name: db, uid: s}]}}"));
  EXPECT_TRUE(Forbids(db_));
  FindServer();
  env_.Advance(seconds(20));
  EXPECT_THAT(released_, ElementsAre("db1"));
}

// It is asked whether a pod is still wanted, and the way is lost again.
TEST_F(FenceTest, AServerThatDoesNotAnswerHoldsNothingUp) {
  Begin();
  env_.Advance(milliseconds(10500));
  LoseServer();
  env_.Advance(seconds(40));
  ASSERT_TRUE(Forbids(db_));
  client_.answers_after = seconds(600);
  FindServer();
  env_.Advance(seconds(15));
  db_ = client_.Put(FromYaml<Pod>(
      "{metadata: {name: db-1, namespace: default, uid: db1, ownerReferences: [{kind: "
      "StatefulSet, controller: true, name: db, uid: s}]}}"));
  ASSERT_FALSE(Forbids(db_));
  runtime_.ends_at["/b/db1"] = SIGTERM;
  LoseServer();
  env_.Advance(seconds(40));
  EXPECT_THAT(runtime_.signals, ElementsAre("db:15", "db1:15"));
}

TEST_F(FenceTest, GoesByTheLeaseOfTheAgentBefore) {
  LoseServer();
  env_.Advance(seconds(100));
  Begin(Renewal{env_.Steady() - seconds(30), seconds(40)});
  EXPECT_THAT(runtime_.signals, ElementsAre("db:15"));
}

TEST_F(FenceTest, KillsWhatDoesNotListenBeforeTheLeaseIsOver) {
  runtime_.ends_at["/b/db"] = SIGKILL;
  Begin();
  env_.Advance(milliseconds(10500));  // granted
  const SteadyTime over = *lease_->renewed() + LeaseTimes().duration;
  LoseServer();
  env_.Advance(over - env_.Steady());
  EXPECT_THAT(runtime_.signals, ElementsAre("db:15", "db:9"));
}

TEST_F(FenceTest, ALeaseOfAnotherLengthIsFollowed) {
  Begin();
  env_.Advance(milliseconds(10500));
  lease_->SetTimes({seconds(1), seconds(3)});
  env_.Advance(seconds(1));
  LoseServer();
  env_.Advance(seconds(3));
  EXPECT_TRUE(Forbids(db_));
}

// Whether a pod may have company is known by its claim's modes.
TEST_F(FenceTest, ClaimsOfManyNodesAreNoIdentity) {
  const struct {
    const char* mode;
    bool fenced;
  } rows[] = {{"ReadWriteOnce", true}, {"ReadWriteMany", false}, {"ReadWriteOncePod", true}};
  web_ = client_.Put(FromYaml<Pod>(
      "{metadata: {name: web, namespace: default, uid: web}, spec: {volumes: [{name: v, "
      "persistentVolumeClaim: {claimName: c}}]}}"));
  Begin();
  for (const auto& row : rows) {
    SCOPED_TRACE(row.mode);
    FindServer();
    env_.Advance(seconds(15));
    client_.Put(FromYaml<api::core::v1::PersistentVolumeClaim>(
        "{metadata: {name: c, namespace: default}, spec: {accessModes: [" + std::string(row.mode) +
        "]}}"));
    Spawn(env_.executor(), gate_, "claims", fence_->LookUpClaims(web_));
    env_.Advance(seconds(15));
    LoseServer();
    env_.Advance(seconds(60));
    EXPECT_EQ(Forbids(web_), row.fenced);
  }
}

}  // namespace
}  // namespace gantry::node
