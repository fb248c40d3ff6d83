#include "node/fencing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <map>

#include "api/testing/from_yaml.h"
#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "base/env/testing/virtual_env.h"

namespace gantry::node {
namespace {

using api::core::v1::Pod;
using api::testing::FromYaml;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

TEST(Fencing, IsOverBeforeTheLeaseIs) {
  const SteadyTime now{seconds(1000)};
  for (const LeaseTimes& times :
       {LeaseTimes(), LeaseTimes{seconds(1), seconds(3)}, LeaseTimes{seconds(2), seconds(8)}}) {
    const FenceTimes fence = FenceAfter(now, times);
    EXPECT_GE(fence.begin, now + times.renew * 3 / 2);  // not after one renewal that is late
    EXPECT_GT(fence.kill, fence.begin);
    EXPECT_LT(fence.kill, now + times.duration);
  }
}

TEST(Fencing, IsForPodsOfWhichThereMustBeOnlyOne) {
  const struct {
    const char* pod;
    bool identity;
  } rows[] = {
      {"{metadata: {name: p}}", false},
      {"{metadata: {name: p, ownerReferences: [{kind: StatefulSet, controller: true}]}}", true},
      {"{metadata: {name: p, ownerReferences: [{kind: StatefulSet}]}}", false},
      {"{metadata: {name: p, ownerReferences: [{kind: ReplicaSet, controller: true}]}}", false},
      {"{metadata: {name: p}, spec: {volumes: [{name: v, persistentVolumeClaim: {claimName: "
       "one}}]}}",
       true},
      {"{metadata: {name: p}, spec: {volumes: [{name: v, persistentVolumeClaim: {claimName: "
       "many}}]}}",
       false},
      {"{metadata: {name: p}, spec: {volumes: [{name: v, persistentVolumeClaim: {claimName: one, "
       "readOnly: true}}]}}",
       false},
      {"{metadata: {name: p}, spec: {volumes: [{name: v, ephemeral: {volumeClaimTemplate: {}}}]}}",
       true},
      {"{metadata: {name: p}, spec: {volumes: [{name: v, emptyDir: {}}]}}", false},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(HasIdentity(FromYaml<Pod>(row.pod), [](const std::string& c) { return c == "many"; }),
              row.identity)
        << row.pod;
  }
}

// Containers that end at the signals that are named.
class FakeRuntime : public Runtime {
 public:
  std::map<std::string, int> ends_at;  // by bundle: the signal; what is not named has ended
  std::vector<std::string> signals;

  std::string Version() const override { return "fake"; }
  void OnExit(std::function<void(const std::string&)>) override {}
  Task<Result<pid_t>> Create(CreateRequest) override { co_return pid_t{1}; }
  Task<Status> Start(std::string) override { co_return Status::Ok(); }
  Task<Status> Kill(std::string id, std::string bundle, int signal) override {
    signals.push_back(id + ":" + std::to_string(signal));
    if (auto it = ends_at.find(bundle); it != ends_at.end() && it->second == signal)
      ends_at.erase(it);
    co_return Status::Ok();
  }
  Task<Status> Delete(std::string) override { co_return Status::Ok(); }
  Task<Status> Discard(std::string, std::string) override { co_return Status::Ok(); }
  std::optional<WallTime> StartedAt(const std::string&) override { return std::nullopt; }
  std::optional<pid_t> RunningPid(const std::string& bundle) override {
    return ends_at.contains(bundle) ? std::optional<pid_t>(1) : std::nullopt;
  }
  std::optional<ExitRecord> ReadExit(const std::string&) override { return std::nullopt; }
  Task<Result<ExecOutcome>> ExecSync(ExecRequest, Duration, CancelToken) override {
    co_return ExecOutcome();
  }
  Task<Result<std::unique_ptr<client::ExecSession>>> Exec(ExecRequest) override {
    co_return Unavailable("fake");
  }
  Task<Result<std::unique_ptr<client::ExecSession>>> Attach(std::string, bool, bool) override {
    co_return Unavailable("fake");
  }
  Status ReopenLog(const std::string&) override { return Status::Ok(); }
};

TEST(Fencing, AsksFirstAndKillsInTime) {
  VirtualEnv env;
  FakeRuntime runtime;
  runtime.ends_at = {{"/b/polite", SIGTERM}, {"/b/deaf", SIGKILL}};
  Gate gate;
  bool over = false;
  auto run = [](Env& env, Runtime& runtime, SteadyTime kill, bool* over) -> Task<> {
    std::vector<ContainerToEnd> all;
    for (const char* name : {"polite", "deaf", "gone"})
      all.push_back({name, std::string("/b/") + name});
    co_await EndContainers(env, runtime, std::move(all), kill, CancelToken());
    *over = true;
  };
  Spawn(env.executor(), gate, "end", run(env, runtime, env.Steady() + seconds(2), &over));
  env.RunUntilIdle();
  EXPECT_THAT(runtime.signals, ElementsAre("polite:15", "deaf:15", "gone:15"));
  env.Advance(milliseconds(1900));
  EXPECT_EQ(runtime.signals.size(), 3u);
  EXPECT_FALSE(over);
  env.Advance(milliseconds(200));
  EXPECT_THAT(runtime.signals, ElementsAre("polite:15", "deaf:15", "gone:15", "deaf:9"));
  EXPECT_TRUE(over);
}

}  // namespace
}  // namespace gantry::node
