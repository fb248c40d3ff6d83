#include "node/os/turns.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/env/spawn.h"
#include "base/env/testing/virtual_env.h"

namespace gantry::node {
namespace {

struct Scene {
  VirtualEnv env{1};
  Turns turns{2};
  Gate gate;
  CancelSource stop;
  int inside = 0, most = 0;
  std::vector<int> order;
};

Task<> Work(Scene& scene, int number, Duration duration) {
  Turns::Turn turn = co_await scene.turns.Take(scene.env, scene.stop.token());
  scene.order.push_back(number);
  scene.most = std::max(scene.most, ++scene.inside);
  co_await SleepFor(scene.env, duration);
  --scene.inside;
}

TEST(Turns, SoManyAtATimeInOrder) {
  Scene scene;
  Executor strand = scene.env.MakeStrand();
  for (int i = 0; i < 6; ++i)
    Spawn(strand, scene.gate, "work", Work(scene, i, std::chrono::milliseconds(10 + i)));
  scene.env.Advance(std::chrono::seconds(1));
  EXPECT_EQ(scene.most, 2);
  EXPECT_EQ(scene.order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(scene.inside, 0);
}

TEST(Turns, StoppingKeepsNobodyWaiting) {
  Scene scene;
  Executor strand = scene.env.MakeStrand();
  for (int i = 0; i < 4; ++i)
    Spawn(strand, scene.gate, "work", Work(scene, i, std::chrono::hours(1)));
  scene.env.Advance(std::chrono::seconds(1));
  EXPECT_EQ(scene.inside, 2);
  scene.stop.Cancel();
  scene.env.Advance(std::chrono::seconds(1));
  EXPECT_EQ(scene.inside, 4);
  scene.env.Advance(std::chrono::hours(2));
  // The places are free again, once each.
  Spawn(strand, scene.gate, "work", Work(scene, 4, std::chrono::hours(1)));
  Spawn(strand, scene.gate, "work", Work(scene, 5, std::chrono::hours(1)));
  scene.env.Advance(std::chrono::seconds(1));
  EXPECT_EQ(scene.inside, 2);
  scene.env.Advance(std::chrono::hours(2));
}

}  // namespace
}  // namespace gantry::node
