#include "base/env/testing/virtual_env.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/env/notifier.h"
#include "base/env/spawn.h"

namespace gantry {
namespace {

using std::chrono::seconds;

Task<> Note(Env& env, int seconds_to_wait, std::vector<int>& order) {
  co_await SleepFor(env, seconds(seconds_to_wait));
  order.push_back(seconds_to_wait);
}

TEST(VirtualEnv, TimePassesOnlyWhenToldAndInOrder) {
  VirtualEnv env;
  Gate gate;
  std::vector<int> order;
  const WallTime start = env.Now();
  for (int wait : {3, 1, 2})
    Spawn(env.executor(), gate, "sleeper", Note(env, wait, order));
  env.RunUntilIdle();
  EXPECT_TRUE(order.empty());
  env.Advance(seconds(2));
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  env.RunToEnd(gate.Close(env));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(env.Now() - start, seconds(3));
}

TEST(VirtualEnv, ADroppedTimerDoesNotFire) {
  VirtualEnv env;
  bool fired = false;
  env.CallAt(env.Steady() + seconds(1), [&] { fired = true; }).reset();
  env.Advance(seconds(2));
  EXPECT_FALSE(fired);
}

TEST(VirtualEnv, CallsBetweenTwoHandlers) {
  VirtualEnv env;
  Gate gate;
  std::vector<int> order;
  for (int wait : {1, 2, 3, 4})
    Spawn(env.executor(), gate, "sleeper", Note(env, wait, order));
  env.AfterHandlers(3, [&] { order.push_back(0); });
  env.RunUntilIdle();
  EXPECT_EQ(order, (std::vector<int>{0}));  // in the middle of their starts
  env.RunToEnd(gate.Close(env));
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(VirtualEnv, TheSeedDecidesWhatIsRandom) {
  VirtualEnv a(7), b(7), c(8);
  const std::string first = RandomUuid(a);
  EXPECT_EQ(first, RandomUuid(b));
  EXPECT_NE(first, RandomUuid(c));
}

}  // namespace
}  // namespace gantry
