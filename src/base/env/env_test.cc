#include "base/env/env.h"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include "base/env/blocking.h"
#include "base/env/real/real_env.h"
#include "base/env/spawn.h"

namespace gantry {
namespace {

using std::chrono::milliseconds;

TEST(RealEnv, SleepEndsByTimeOrByCancellation) {
  RealEnv env(2);
  Wake by_time = Wake::kNotified, by_cancel = Wake::kNotified;
  CancelSource source;
  source.Cancel();
  auto body = [](RealEnv& env, CancelToken token, Wake& by_time, Wake& by_cancel) -> Task<> {
    by_time = co_await SleepFor(env, milliseconds(1));
    by_cancel = co_await SleepFor(env, std::chrono::hours(1), token);
  };
  env.RunToEnd(body(env, source.token(), by_time, by_cancel));
  EXPECT_EQ(by_time, Wake::kTimeout);
  EXPECT_EQ(by_cancel, Wake::kCanceled);
}

// Two calls on the task's executor would meet here if they could run at once.
TEST(RealEnv, RunToEndRunsItsTaskOnAStrand) {
  std::atomic<int> inside = 0;
  std::atomic<bool> met = false;
  RealEnv env(2);
  auto body = [](std::atomic<int>& inside, std::atomic<bool>& met) -> Task<> {
    const Executor executor = co_await boost::asio::this_coro::executor;
    auto call = [&inside, &met] {
      ++inside;
      for (int i = 0; i < 20 && !met; ++i) {
        if (inside.load() > 1) met = true;
        std::this_thread::sleep_for(milliseconds(1));
      }
      --inside;
    };
    boost::asio::post(executor, call);
    boost::asio::post(executor, call);
    co_await boost::asio::post(executor, boost::asio::use_awaitable);
  };
  env.RunToEnd(body(inside, met));
  EXPECT_FALSE(met.load());
}

TEST(Notifier, RemembersANotificationThatNobodyAwaited) {
  RealEnv env(2);
  Notifier notifier;
  notifier.Notify();
  Wake wake = Wake::kTimeout;
  auto body = [](RealEnv& env, Notifier& notifier, Wake& wake) -> Task<> {
    wake = co_await notifier.Wait(env);
  };
  env.RunToEnd(body(env, notifier, wake));
  EXPECT_EQ(wake, Wake::kNotified);
}

Task<> Consume(RealEnv& env, Notifier& notifier, std::atomic<int>& produced, int total) {
  while (produced.load() < total)
    co_await notifier.Wait(env);
}

TEST(Notifier, NoWakeupIsLostBetweenThreads) {
  RealEnv env(2);
  for (int round = 0; round < 200; ++round) {
    Notifier notifier;
    std::atomic<int> produced = 0;
    Gate gate;
    auto produce = [](Notifier& notifier, std::atomic<int>& produced) -> Task<> {
      for (int i = 0; i < 50; ++i) {
        ++produced;
        notifier.Notify();
      }
      co_return;
    };
    Spawn(env.executor(), gate, "producer", produce(notifier, produced));
    env.RunToEnd(Consume(env, notifier, produced, 50));
    env.RunToEnd(gate.Close(env));
  }
}

TEST(Gate, CloseWaitsForThoseInsideAndRefusesNewcomers) {
  RealEnv env(2);
  Gate gate;
  CancelSource stop;
  std::atomic<int> ended = 0;
  auto body = [](RealEnv& env, CancelToken token, std::atomic<int>& ended) -> Task<> {
    co_await SleepFor(env, std::chrono::hours(1), token);
    ++ended;
  };
  for (int i = 0; i < 100; ++i)
    Spawn(env.executor(), gate, "sleeper", body(env, stop.token(), ended));
  stop.Cancel();
  env.RunToEnd(gate.Close(env));
  EXPECT_EQ(ended.load(), 100);
  Spawn(env.executor(), gate, "late", body(env, stop.token(), ended));
  EXPECT_EQ(ended.load(), 100);
}

TEST(RunBlocking, ReturnsTheValueOnTheCallersExecutor) {
  RealEnv env(1);
  std::string got;
  auto body = [](RealEnv& env, std::string& got) -> Task<> {
    auto call = [text = std::string("from the pool")] { return text; };
    got = co_await RunBlocking(env, call);
  };
  env.RunToEnd(body(env, got));
  EXPECT_EQ(got, "from the pool");
}

TEST(Random, NamesUuidsAndBoundsHaveTheirForm) {
  RealEnv env(1);
  EXPECT_EQ(RandomNameSuffix(env).size(), 5u);
  std::string uuid = RandomUuid(env);
  EXPECT_EQ(uuid.size(), 36u);
  EXPECT_EQ(uuid[14], '4');
  for (int i = 0; i < 1000; ++i)
    EXPECT_LT(RandomBelow(env, 7), 7u);
}

}  // namespace
}  // namespace gantry
