#include "client/work_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>

#include "base/env/real/real_env.h"
#include "base/env/testing/virtual_env.h"

namespace gantry::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

QueueKey Key(std::string name) { return QueueKey{"ns", std::move(name)}; }

struct WorkQueueTest : ::testing::Test {
  // All keys that can be taken now, given back at once.
  std::string TakeAll() {
    std::string names;
    while (std::optional<QueueKey> key = queue.TryTake()) {
      names += key->name;
      queue.Done(*key);
    }
    return names;
  }

  VirtualEnv env;
  int ready = 0;
  WorkQueue queue{env, "test", [this] { ++ready; }};
};

TEST_F(WorkQueueTest, AKeyIsThereOnceHoweverOftenItIsAdded) {
  for (const char* name : {"a", "b", "a", "a"})
    queue.Add(Key(name));
  EXPECT_EQ(ready, 2);
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(TakeAll(), "ab");
}

TEST_F(WorkQueueTest, AKeyAddedWhileWithAWorkerComesAgainWhenItIsDone) {
  queue.Add(Key("a"));
  QueueKey a = *queue.TryTake();
  queue.Add(Key("a"));
  queue.Add(Key("a"));
  EXPECT_FALSE(queue.TryTake());
  EXPECT_EQ(ready, 1);
  queue.Done(a);
  EXPECT_EQ(ready, 2);
  EXPECT_EQ(TakeAll(), "a");
}

TEST_F(WorkQueueTest, OfSeveralDelaysTheEarliestCounts) {
  queue.AddAfter(Key("a"), seconds(10));
  queue.AddAfter(Key("a"), seconds(2));
  queue.AddAfter(Key("a"), seconds(5));
  queue.AddAfter(Key("b"), seconds(1));
  env.Advance(milliseconds(999));
  EXPECT_EQ(TakeAll(), "");
  env.Advance(milliseconds(1));
  EXPECT_EQ(TakeAll(), "b");
  env.Advance(seconds(1));
  EXPECT_EQ(TakeAll(), "a");
  env.Advance(seconds(60));
  EXPECT_EQ(TakeAll(), "");
}

TEST_F(WorkQueueTest, BackOffDoublesFrom5msTo1000sAndIsForgottenOnSuccess) {
  Duration expected = milliseconds(5);
  for (int i = 0; i < 22; ++i) {
    queue.AddRateLimited(Key("a"));
    env.Advance(expected - Duration(1));
    EXPECT_EQ(TakeAll(), "") << i;
    env.Advance(Duration(1));
    EXPECT_EQ(TakeAll(), "a") << i;
    expected = std::min<Duration>(expected * 2, seconds(1000));
  }
  queue.Forget(Key("a"));
  queue.AddRateLimited(Key("a"));
  env.Advance(milliseconds(5));
  EXPECT_EQ(TakeAll(), "a");
}

TEST_F(WorkQueueTest, NothingComesOutAfterShutDown) {
  queue.Add(Key("a"));
  queue.AddAfter(Key("b"), seconds(1));
  queue.ShutDown();
  queue.Add(Key("c"));
  env.Advance(seconds(5));
  EXPECT_EQ(TakeAll(), "");
}

// The oracle: a key whose last change came after it was last taken is always taken again.
TEST_F(WorkQueueTest, NoChangeIsLostAndNoKeyIsWithTwoWorkers) {
  std::map<std::string, int> version, seen;
  std::set<std::string> held;
  for (int step = 0; step < 20000; ++step) {
    const std::string name(1, static_cast<char>('a' + RandomBelow(env, 6)));
    switch (RandomBelow(env, 4)) {
      case 0:
        ++version[name];
        queue.Add(Key(name));
        break;
      case 1:
        ++version[name];
        queue.AddAfter(Key(name), milliseconds(RandomBelow(env, 50)));
        break;
      case 2:
        if (std::optional<QueueKey> key = queue.TryTake()) {
          ASSERT_TRUE(held.insert(key->name).second);
          seen[key->name] = version[key->name];
        }
        break;
      default:
        if (held.erase(name) > 0) queue.Done(Key(name));
        env.Advance(milliseconds(RandomBelow(env, 5)));
    }
  }
  env.Advance(seconds(1));
  for (const std::string& name : held)
    queue.Done(Key(name));
  while (std::optional<QueueKey> key = queue.TryTake()) {
    seen[key->name] = version[key->name];
    queue.Done(*key);
  }
  EXPECT_EQ(seen, version);
}

}  // namespace
}  // namespace gantry::client
