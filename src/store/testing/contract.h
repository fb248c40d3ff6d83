#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "base/env/real/real_env.h"
#include "store/store.h"

namespace gantry::store::testing {

// What every Store promises. Instantiate with
//   INSTANTIATE_TEST_SUITE_P(Memory, StoreContract, ::testing::Values(StoreMaker(...)));
// and link gantry_store_contract. Each test gets a fresh, empty store.
using StoreMaker = std::function<std::unique_ptr<Store>(Env&)>;

class StoreContract : public ::testing::TestWithParam<StoreMaker> {
 protected:
  void SetUp() override { store_ = GetParam()(env_); }
  void TearDown() override {
    env_.RunToEnd(store_->Stop());
    store_.reset();
  }

  // Blocking forms for the calling thread.
  Result<CommitResult> Commit(std::vector<Write> writes);
  int64_t Put(const std::string& key, const std::string& value, int64_t expected = kAnyRevision);
  int64_t Remove(const std::string& key, int64_t expected = kAnyRevision);
  Result<std::optional<Record>> Get(const std::string& key, int64_t revision = 0);
  Result<ListPage> List(const std::string& prefix, const std::string& after = {}, int64_t limit = 0,
                        int64_t revision = 0);
  Result<std::vector<Event>> Next(WatchStream& stream);
  Status Compact(int64_t revision);

  RealEnv env_{2};
  std::unique_ptr<Store> store_;
};

Write MakeWrite(std::string key, std::optional<std::string> value, int64_t expected = kAnyRevision);

}  // namespace gantry::store::testing
