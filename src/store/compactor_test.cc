#include "store/compactor.h"

#include <gtest/gtest.h>

#include "base/env/testing/virtual_env.h"
#include "store/memory/memory_store.h"

namespace gantry::store {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

struct CompactorTest : ::testing::Test {
  ~CompactorTest() override {
    env.RunToEnd(compactor.Stop());
    env.RunToEnd(store->Stop());
  }
  void Write(int times) {
    auto body = [](Store& store) -> Task<> {
      std::vector<store::Write> writes(1);
      writes[0].key = "/a";
      writes[0].value = std::make_shared<const std::string>("x");
      EXPECT_TRUE((co_await store.Commit(std::move(writes))).ok());
    };
    for (int i = 0; i < times; ++i)
      env.RunToEnd(body(*store));
  }

  VirtualEnv env;
  std::unique_ptr<Store> store = MakeMemoryStore(env);
  Compactor compactor{env, *store};
};

TEST_F(CompactorTest, KeepsFiveMinutes) {
  compactor.Start();
  Write(2000);
  env.Advance(minutes(1));
  const int64_t then = store->revision();
  Write(2000);
  env.Advance(minutes(4));
  EXPECT_EQ(store->compacted_revision(), 0);
  env.Advance(seconds(30));
  EXPECT_EQ(store->compacted_revision(), then);
  env.Advance(minutes(2));
  EXPECT_EQ(store->compacted_revision(), store->revision());
}

TEST_F(CompactorTest, ALittleIsForgottenWithoutHaste) {
  compactor.Start();
  int compactions = 0;
  int64_t last = 0;
  for (int i = 0; i < 120; ++i) {
    Write(1);
    env.Advance(seconds(30));
    if (store->compacted_revision() != last) ++compactions;
    last = store->compacted_revision();
  }
  EXPECT_GE(compactions, 9);
  EXPECT_LE(compactions, 13);
  EXPECT_LT(store->revision() - store->compacted_revision(), 25);
}

TEST_F(CompactorTest, HasABoundHoweverMuchIsWritten) {
  compactor.Start();
  Write(110'000);
  env.Advance(seconds(20));
  EXPECT_EQ(store->compacted_revision(), store->revision() - 100'000);
}

}  // namespace
}  // namespace gantry::store
