#include "client/informer.h"

#include <gmock/gmock.h>

#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/secret.pb.h"
#include "base/env/testing/virtual_env.h"
#include "client/testing/fake_client.h"

namespace gantry::client {
namespace {

using api::core::v1::ConfigMap;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

ConfigMap Config(std::string ns, std::string name, std::string value) {
  ConfigMap config;
  config.mutable_metadata()->set_namespace_(std::move(ns));
  config.mutable_metadata()->set_name(std::move(name));
  (*config.mutable_data())["v"] = std::move(value);
  return config;
}

std::string ValueOf(const api::ObjectPtr& object) {
  return object ? object->As<ConfigMap>().data().at("v") : "-";
}

struct InformerTest : ::testing::Test {
  ~InformerTest() override { env.RunToEnd(set.Stop()); }

  // What the handlers heard since the last time: "a: 1>2".
  std::vector<std::string> Heard() {
    env.RunUntilIdle();
    return std::exchange(heard, {});
  }
  Informer::Handler Listener() {
    return [this](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      const api::ObjectPtr& any = after ? after : before;
      heard.push_back(any->ns() + "/" + any->name() + ": " + ValueOf(before) + ">" +
                      ValueOf(after));
      // The view shows the change already.
      const api::ObjectPtr shown = informer.Get(any->ns(), any->name());
      EXPECT_EQ(shown != nullptr, after != nullptr);
    };
  }

  VirtualEnv env;
  FakeClient client{env};
  InformerSet set{env, client};
  Informer& informer = set.For<ConfigMap>();
  std::vector<std::string> heard;
};

TEST_F(InformerTest, ListsThenFollowsEveryChange) {
  client.Put(Config("b", "x", "1"));
  client.Put(Config("a", "y", "1"));
  informer.AddHandler(Listener());
  EXPECT_FALSE(informer.synced());
  set.Start();
  EXPECT_THAT(Heard(), ElementsAre("a/y: ->1", "b/x: ->1"));
  EXPECT_TRUE(informer.synced());
  EXPECT_EQ(informer.revision(), client.revision());

  client.Put(Config("b", "x", "2"));
  client.Put(Config("b", "z", "1"));
  client.Remove<ConfigMap>("a", "y");
  EXPECT_THAT(Heard(), ElementsAre("b/x: 1>2", "b/z: ->1", "a/y: 1>-"));
  EXPECT_EQ(informer.revision(), client.revision());
  EXPECT_EQ(informer.List().size(), 2u);
  EXPECT_EQ(informer.List("b").size(), 2u);
  EXPECT_THAT(informer.List("a"), IsEmpty());
}

TEST_F(InformerTest, AnExpiredWatchListsAgainAndTellsTheDifference) {
  client.Put(Config("a", "kept", "1"));
  client.Put(Config("a", "changed", "1"));
  client.Put(Config("a", "gone", "1"));
  informer.AddHandler(Listener());
  set.Start();
  Heard();
  client.BreakWatches(Status(Code::kExpired, "too old"));
  client.Put(Config("a", "changed", "2"));
  client.Put(Config("a", "changed", "3"));
  client.Remove<ConfigMap>("a", "gone");
  client.Put(Config("a", "new", "1"));
  client.Compact(client.revision());
  EXPECT_THAT(Heard(), ElementsAre("a/changed: 1>3", "a/gone: 1>-", "a/new: ->1"));
  EXPECT_EQ(informer.revision(), client.revision());
}

TEST_F(InformerTest, ALostConnectionIsTakenUpWhereItBrokeAfterABackOff) {
  client.Put(Config("a", "x", "1"));
  informer.AddHandler(Listener());
  set.Start();
  Heard();
  int lists = 0;
  bool down = true;
  client.SetFault([&](const FakeClient::Call& call) {
    lists += call.verb == "list";
    return down ? Unavailable("connection refused") : Status::Ok();
  });
  client.BreakWatches(Unavailable("connection lost"));
  client.Put(Config("a", "x", "2"));
  EXPECT_THAT(Heard(), IsEmpty());
  env.Advance(std::chrono::minutes(2));
  EXPECT_THAT(Heard(), IsEmpty());
  down = false;
  env.Advance(std::chrono::seconds(60));
  EXPECT_THAT(Heard(), ElementsAre("a/x: 1>2"));
  EXPECT_EQ(lists, 0);
}

TEST_F(InformerTest, AWantedRevisionIsReachedWithoutAChangeOfTheKind) {
  client.Put(Config("a", "x", "1"));
  set.Start();
  env.RunUntilIdle();
  std::vector<int64_t> progress;
  informer.AddProgressHandler([&](int64_t revision) { progress.push_back(revision); });
  client.Put(api::core::v1::Secret());
  const int64_t wanted = client.revision();
  env.RunUntilIdle();
  EXPECT_LT(informer.revision(), wanted);
  EXPECT_THAT(progress, IsEmpty());
  informer.WantRevision(wanted);
  env.RunUntilIdle();
  EXPECT_THAT(progress, ElementsAre(wanted));

  // The wish outlives the connection.
  client.SetFault([](const FakeClient::Call& call) { return Unavailable("connection refused"); });
  client.BreakWatches(Unavailable("connection lost"));
  client.Put(api::core::v1::Secret());
  env.RunUntilIdle();
  informer.WantRevision(client.revision());
  client.SetFault(nullptr);
  env.Advance(std::chrono::minutes(1));
  EXPECT_EQ(informer.revision(), client.revision());
}

TEST_F(InformerTest, TheFirstListIsTriedUntilItSucceeds) {
  client.Put(Config("a", "x", "1"));
  int tries = 0;
  client.SetFault([&](const FakeClient::Call& call) {
    return call.verb == "list" && ++tries < 4 ? InternalError("not yet") : Status::Ok();
  });
  set.Start();
  Status synced = InternalError("not run");
  auto wait = [](InformerSet& set, Status& status) -> Task<> {
    status = co_await set.WaitForSync(CancelToken());
  };
  env.RunToEnd(wait(set, synced));
  EXPECT_TRUE(synced.ok());
  EXPECT_EQ(tries, 4);
}

TEST_F(InformerTest, IndexesFollowTheObjects) {
  informer.AddIndex("value", [](const api::Object& object) {
    return std::vector<std::string>{object.As<ConfigMap>().data().at("v")};
  });
  set.Start();
  client.Put(Config("b", "x", "1"));
  client.Put(Config("a", "y", "1"));
  env.RunUntilIdle();
  EXPECT_EQ(informer.ByIndex("value", "1").size(), 2u);
  EXPECT_EQ(informer.ByIndex("value", "1")[0]->name(), "y");
  client.Put(Config("b", "x", "2"));
  client.Remove<ConfigMap>("a", "y");
  env.RunUntilIdle();
  EXPECT_THAT(informer.ByIndex("value", "1"), IsEmpty());
  EXPECT_EQ(informer.ByIndex("value", "2").size(), 1u);
  EXPECT_THAT(informer.ByIndex("no such index", "2"), IsEmpty());
  // An index that comes late is filled from what is there.
  informer.AddIndex(
      "late", [](const api::Object& object) { return std::vector<std::string>{object.ns()}; });
  EXPECT_EQ(informer.ByIndex("late", "b").size(), 1u);
}

TEST_F(InformerTest, AHandlerThatComesLateHearsOfWhatIsThere) {
  client.Put(Config("a", "x", "1"));
  set.Start();
  env.RunUntilIdle();
  informer.AddHandler(Listener());
  EXPECT_THAT(Heard(), ElementsAre("a/x: ->1"));
  client.Put(Config("a", "x", "2"));
  EXPECT_THAT(Heard(), ElementsAre("a/x: 1>2"));
}

TEST_F(InformerTest, SelectorsMakeInformersOfTheirOwn) {
  ListOptions options;
  options.field_selector = "metadata.name=x";
  Informer& one = set.For(api::KindOf<ConfigMap>(), options);
  EXPECT_NE(&one, &informer);
  EXPECT_EQ(&set.For(api::KindOf<ConfigMap>(), options), &one);
  EXPECT_EQ(set.Find(api::KindOf<ConfigMap>()), &informer);
  set.Start();
  client.Put(Config("a", "x", "1"));
  client.Put(Config("a", "y", "1"));
  env.RunUntilIdle();
  EXPECT_EQ(one.List().size(), 1u);
  EXPECT_EQ(informer.List().size(), 2u);
}

}  // namespace
}  // namespace gantry::client
