// The garbage collector over random owners, rings among them, with conflicts, lost connections and
// answers, and restarts at random, compared with a model. A failure is a seed.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "api/core/v1/config_map.pb.h"
#include "base/env/testing/virtual_env.h"
#include "client/reconciler.h"
#include "client/testing/fake_client.h"
#include "controllers/garbage/garbage_collector.h"
#include "controllers/testing/faulty_client.h"
#include "controllers/testing/restarting_process.h"

namespace gantry::controllers {
namespace {

using api::core::v1::ConfigMap;
using std::chrono::milliseconds;

// Which objects there are, and who owns them.
using Owners = std::map<std::string, std::set<std::string>>;

// What is left when `name` has been deleted.
void DeleteFrom(Owners* model, const std::string& name, bool orphan) {
  model->erase(name);
  if (orphan) {
    for (auto& [other, owners] : *model)
      owners.erase(name);
    return;
  }
  for (auto it = model->begin(); it != model->end();) {
    std::set<std::string>& owners = it->second;
    const bool owned = !owners.empty();
    std::erase_if(owners, [&](const std::string& owner) { return !model->contains(owner); });
    if (owned && owners.empty()) {
      model->erase(it);
      it = model->begin();  // it may have owned others
    } else {
      ++it;
    }
  }
}

void AddControllers(client::ReconcilerRunner& runner) { runner.Add(MakeGarbageCollector(), 4); }

class GarbageWorld {
 public:
  explicit GarbageWorld(uint64_t seed) : dice_(seed), env_(seed), client_(store_, dice_) {
    const int count = 6 + dice_.Below(10);
    for (int i = 0; i < count; ++i)
      model_["o" + std::to_string(i)];
    for (auto& [name, owners] : model_) {
      // Who comes later may own who came before: rings.
      for (int i = dice_.Below(3); i > 0; --i) {
        const std::string owner = "o" + std::to_string(dice_.Below(count));
        if (owner != name) owners.insert(owner);
      }
    }
    for (const auto& [name, owners] : model_)
      store_.Put(Make(name, owners));
    process_.Restart();
  }

  void Run() {
    for (int round = 0; round < 5 && !model_.empty(); ++round) {
      auto chosen = std::next(model_.begin(), dice_.Below(static_cast<int>(model_.size())));
      const std::string name = chosen->first;
      const char* const policies[] = {"Background", "Foreground", "Orphan"};
      const std::string policy = policies[dice_.Below(3)];
      client_.fail_percent = 5;
      client_.conflict_percent = 10;
      client_.lose_percent = 5;
      DeleteFrom(&model_, name, policy == "Orphan");
      env_.RunToEnd(Delete(name, policy));
      for (int step = 0; step < 30; ++step) {
        if (dice_.Percent(10)) store_.BreakWatches(Status(Code::kUnavailable, "cut"));
        if (dice_.Percent(5)) client_.calls_until_down = 1 + dice_.Below(10);
        if (client_.down && dice_.Percent(50)) process_.Restart();
        env_.Advance(milliseconds(1 + dice_.Below(500)));
      }
      client_.fail_percent = client_.conflict_percent = client_.lose_percent = 0;
      client_.calls_until_down = -1;
      if (client_.down) process_.Restart();
      for (int step = 0; step < 2000 && Shown() != model_; ++step)
        env_.Advance(milliseconds(500));
      ASSERT_EQ(Shown(), model_) << "after deleting " << name << " " << policy;
      const int64_t revision = store_.revision();
      env_.Advance(std::chrono::seconds(600));
      ASSERT_EQ(store_.revision(), revision) << "it rests";
    }
  }

 private:
  static ConfigMap Make(const std::string& name, const std::set<std::string>& owners) {
    ConfigMap map;
    map.mutable_metadata()->set_name(name);
    map.mutable_metadata()->set_namespace_("default");
    map.mutable_metadata()->set_uid("uid-" + name);
    for (const std::string& owner : owners) {
      auto* reference = map.mutable_metadata()->add_owner_references();
      reference->set_api_version("v1");
      reference->set_kind("ConfigMap");
      reference->set_name(owner);
      reference->set_uid("uid-" + owner);
      reference->set_block_owner_deletion(true);
    }
    return map;
  }

  Task<> Delete(std::string name, std::string policy) {
    client::DeleteOptions options;
    options.propagation_policy = std::move(policy);
    Result<api::ObjectPtr> gone = co_await store_.Delete(
        api::KindOf<ConfigMap>(), std::string("default"), std::move(name), std::move(options));
    EXPECT_TRUE(gone.ok());
  }

  Owners Shown() const {
    Owners shown;
    for (const api::Ref<ConfigMap>& map : store_.All<ConfigMap>()) {
      std::set<std::string>& owners = shown[map->metadata().name()];
      for (const auto& owner : map->metadata().owner_references())
        owners.insert(owner.name());
    }
    return shown;
  }

  Dice dice_;
  VirtualEnv env_;
  client::FakeClient store_{env_};
  FaultyClient client_;
  Owners model_;
  RestartingProcess process_{env_, client_, AddControllers};
};

TEST(GarbageSimulation, WhatLosesItsOwnersGoesAndNothingElse) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    GarbageWorld world(seed);
    world.Run();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace gantry::controllers
