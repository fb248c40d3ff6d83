#include "node/fencing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "api/testing/from_yaml.h"
#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "base/env/testing/virtual_env.h"
#include "node/testing/fake_runtime.h"

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

TEST(Fencing, AsksFirstAndKillsInTime) {
  VirtualEnv env;
  FakeRuntime runtime;
  runtime.ends_at = {{"/b/polite", SIGTERM}, {"/b/deaf", SIGKILL}};
  Gate gate;
  bool over = false;
  auto run = [](Env& env, Runtime& runtime, SteadyTime kill, bool* over) -> Task<> {
    std::vector<ContainerToEnd> all;
    for (const char* name : {"polite", "deaf", "gone"})
      all.push_back({name, std::string("/b/") + name, SIGTERM});
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
