#include "store/cache/watch_cache.h"

#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <set>

#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/pod.pb.h"
#include "base/env/real/real_env.h"
#include "base/env/spawn.h"
#include "base/env/testing/virtual_env.h"
#include "store/memory/memory_store.h"

namespace gantry::store {
namespace {

using api::core::v1::ConfigMap;
using api::core::v1::Pod;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const api::KindInfo& Pods() { return api::KindOf<Pod>(); }

std::unique_ptr<Pod> MakePod(std::string ns, std::string name, std::string node,
                             std::string app = "web") {
  auto pod = std::make_unique<Pod>();
  pod->mutable_metadata()->set_namespace_(std::move(ns));
  pod->mutable_metadata()->set_name(std::move(name));
  pod->mutable_spec()->set_node_name(std::move(node));
  (*pod->mutable_metadata()->mutable_labels())["app"] = std::move(app);
  return pod;
}

std::string NodeOf(const api::Object& object) { return object.As<Pod>().spec().node_name(); }

std::vector<std::string> Names(const std::vector<api::ObjectPtr>& objects) {
  std::vector<std::string> names;
  for (const api::ObjectPtr& object : objects)
    names.push_back(object->ns() + "/" + object->name());
  return names;
}

// "+a@3", "~a@4", "-a@5", "end@3"; with the node in brackets.
std::string Describe(const WatchItem& item) {
  if (item.type == WatchItem::Type::kInitialEnd) return "end@" + std::to_string(item.revision);
  const char* sign = item.type == WatchItem::Type::kAdded      ? "+"
                     : item.type == WatchItem::Type::kModified ? "~"
                                                               : "-";
  return sign + item.object->name() + "[" + NodeOf(*item.object) + "]@" +
         std::to_string(item.revision);
}

template <class EnvType>
struct CacheFixture : ::testing::Test {
  CacheFixture() {
    caches->AddIndex(Pods(), "spec.nodeName", [](const api::Object& object) {
      return std::vector<std::string>{NodeOf(object)};
    });
    Start();
  }
  ~CacheFixture() override {
    env.RunToEnd(caches->Stop());
    env.RunToEnd(store->Stop());
  }
  void Start() {
    auto body = [](WatchCaches& caches) -> Task<> {
      std::vector<const api::KindInfo*> kinds{&Pods(), &api::KindOf<ConfigMap>()};
      const Status started = co_await caches.Start(std::move(kinds));
      EXPECT_TRUE(started.ok());
    };
    env.RunToEnd(body(*caches));
  }
  // With the decoded object, as the API server writes, or with the bytes only, as they come from
  // elsewhere.
  int64_t Put(std::unique_ptr<google::protobuf::Message> message, bool decoded = true) {
    const api::KindInfo& kind = api::KindOfDescriptor(message->GetDescriptor());
    std::shared_ptr<api::Object> object = api::Object::FromMessage(kind, std::move(message));
    std::vector<Write> writes(1);
    writes[0].key = object->Key();
    writes[0].value = object->stored();
    if (decoded) writes[0].object = object;
    return Commit(std::move(writes));
  }
  int64_t Remove(std::string ns, std::string name) {
    std::vector<Write> writes(1);
    writes[0].key = api::StorageKey(Pods(), ns, name);
    return Commit(std::move(writes));
  }
  int64_t Commit(std::vector<Write> writes) {
    int64_t revision = 0;
    auto body = [](Store& store, std::vector<Write> writes, int64_t& revision) -> Task<> {
      Result<CommitResult> result = co_await store.Commit(std::move(writes));
      EXPECT_TRUE(result.ok());
      revision = result->revision;
    };
    env.RunToEnd(body(*store, std::move(writes), revision));
    return revision;
  }
  Result<std::vector<WatchItem>> NextItems(CacheWatch& watch) {
    Result<std::vector<WatchItem>> result = InternalError("not run");
    auto body = [](CacheWatch& watch, SteadyTime deadline,
                   Result<std::vector<WatchItem>>& result) -> Task<> {
      result = co_await watch.Next(CancelToken(), deadline);
    };
    env.RunToEnd(body(watch, env.Steady(), result));
    return result;
  }
  // All that has come by now.
  std::vector<std::string> Drain(CacheWatch& watch) {
    std::vector<std::string> lines;
    while (true) {
      Result<std::vector<WatchItem>> items = NextItems(watch);
      if (!items.ok()) lines.push_back(std::string(ReasonOf(items.code())));
      if (!items.ok() || items->empty()) return lines;
      for (const WatchItem& item : *items)
        lines.push_back(Describe(item));
    }
  }
  std::unique_ptr<CacheWatch> Watch(Selection selection, int64_t after, bool initial = false) {
    Result<std::unique_ptr<CacheWatch>> watch = pods().Watch(std::move(selection), after, initial);
    EXPECT_TRUE(watch.ok()) << watch.status().ToString();
    return std::move(watch).value();
  }
  WatchCache& pods() { return caches->For(Pods()); }

  EnvType env;
  std::unique_ptr<Store> store = MakeMemoryStore(env);
  std::unique_ptr<WatchCaches> caches = std::make_unique<WatchCaches>(env, *store);
};
using WatchCacheTest = CacheFixture<VirtualEnv>;

TEST_F(WatchCacheTest, AWriterReadsItsOwnWriteAndTheSameObject) {
  std::shared_ptr<api::Object> object = api::Object::FromMessage(Pods(), MakePod("a", "x", "n1"));
  std::vector<Write> writes(1);
  writes[0].key = object->Key();
  writes[0].value = object->stored();
  writes[0].object = object;
  const int64_t revision = Commit(std::move(writes));
  EXPECT_EQ(pods().Get("/registry/pods/a/x"), object);
  EXPECT_EQ(object->revision(), revision);
  EXPECT_EQ(caches->revision(), revision);
  EXPECT_EQ(pods().changed_revision(), revision);
  Put(MakePod("a", "y", "n1"), false);
  EXPECT_EQ(pods().Get("/registry/pods/a/y")->name(), "y");
  Remove("a", "x");
  EXPECT_EQ(pods().Get("/registry/pods/a/x"), nullptr);
  EXPECT_EQ(pods().size(), 1u);
}

TEST_F(WatchCacheTest, ListsAreOrderedByKeySelectedAndPaged) {
  // Keys, not names, are in order: "a-b/x" stands before "a/x".
  for (const char* ns : {"a", "a-b", "c"}) {
    for (const char* name : {"x", "y"})
      Put(MakePod(ns, name, ns == std::string("c") ? "n2" : "n1", name));
  }
  EXPECT_THAT(Names(pods().List(Selection()).objects),
              ElementsAre("a-b/x", "a-b/y", "a/x", "a/y", "c/x", "c/y"));
  Selection in_a;
  in_a.ns = "a";
  EXPECT_THAT(Names(pods().List(in_a).objects), ElementsAre("a/x", "a/y"));
  in_a.name = "y";
  EXPECT_THAT(Names(pods().List(in_a).objects), ElementsAre("a/y"));
  Selection named;
  named.name = "x";
  EXPECT_THAT(Names(pods().List(named).objects), ElementsAre("a-b/x", "a/x", "c/x"));
  Selection node;
  node.index = "spec.nodeName";
  node.index_value = "n2";
  EXPECT_THAT(Names(pods().List(node).objects), ElementsAre("c/x", "c/y"));
  node.ns = "a";
  EXPECT_THAT(Names(pods().List(node).objects), IsEmpty());

  WatchCache::Page page = pods().List(Selection(), "", 4);
  EXPECT_THAT(Names(page.objects), ElementsAre("a-b/x", "a-b/y", "a/x", "a/y"));
  EXPECT_TRUE(page.more);
  EXPECT_EQ(page.remaining, 2);
  page = pods().List(Selection(), "/registry/pods/a/y", 4);
  EXPECT_THAT(Names(page.objects), ElementsAre("c/x", "c/y"));
  EXPECT_FALSE(page.more);
}

TEST_F(WatchCacheTest, LabelIndexesAreMadeOnNeedAndFollow) {
  for (int i = 0; i < 1000; ++i)
    Put(MakePod("a", "p" + std::to_string(i), "n1", "app" + std::to_string(i % 10)));
  Selection app;
  app.index = "label:app";
  app.index_value = "app3";
  app.matches = [](const api::Object& object) {
    return object.meta().labels().at("app") == "app3";
  };
  EXPECT_EQ(pods().List(app).objects.size(), 100u);
  Put(MakePod("a", "p3", "n1", "other"));
  Put(MakePod("a", "new", "n1", "app3"));
  Remove("a", "p13");
  EXPECT_EQ(pods().List(app).objects.size(), 99u);
  // More labels than indexes are kept for.
  for (const char* label : {"label:a", "label:b", "label:c", "label:d", "label:e"}) {
    Selection other;
    other.index = label;
    other.matches = [](const api::Object&) { return false; };
    EXPECT_THAT(pods().List(other).objects, IsEmpty());
  }
  EXPECT_EQ(pods().List(app).objects.size(), 99u);
}

TEST_F(WatchCacheTest, AWatchGoesOnFromARevision) {
  const int64_t first = Put(MakePod("a", "x", "n1"));
  Put(MakePod("a", "x", "n2"));
  std::unique_ptr<CacheWatch> watch = Watch(Selection(), first);
  EXPECT_THAT(Drain(*watch), ElementsAre("~x[n2]@3"));
  Put(MakePod("b", "y", "n1"));
  Remove("a", "x");
  EXPECT_THAT(Drain(*watch), ElementsAre("+y[n1]@4", "-x[n2]@5"));
  EXPECT_EQ(watch->revision(), 5);
}

TEST_F(WatchCacheTest, ADeletionCarriesTheLastStateAtItsOwnRevision) {
  Put(MakePod("a", "x", "n1"));
  std::unique_ptr<CacheWatch> watch = Watch(Selection(), 2);
  const int64_t revision = Remove("a", "x");
  const std::vector<WatchItem> items = *NextItems(*watch);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].object->revision(), revision);
  EXPECT_EQ(items[0].object->meta().resource_version(), std::to_string(revision));
  EXPECT_EQ(NodeOf(*items[0].object), "n1");
}

TEST_F(WatchCacheTest, ASnapshotAndWhatFollowsHaveNoGap) {
  Put(MakePod("a", "x", "n1"));
  Put(MakePod("a", "y", "n1"));
  std::unique_ptr<CacheWatch> watch = Watch(Selection(), 0, true);
  Put(MakePod("a", "x", "n2"));
  EXPECT_THAT(Drain(*watch), ElementsAre("+x[n1]@2", "+y[n1]@3", "end@3", "~x[n2]@4"));
}

TEST_F(WatchCacheTest, ASelectionSeesObjectsComeAndGo) {
  Selection on_n1;
  on_n1.index = "spec.nodeName";
  on_n1.index_value = "n1";
  Selection named;
  named.ns = "a";
  named.name = "x";
  Selection in_b;
  in_b.ns = "b";
  std::unique_ptr<CacheWatch> node = Watch(on_n1, 1), name = Watch(named, 1), ns = Watch(in_b, 1);
  Put(MakePod("a", "x", ""));
  Put(MakePod("a", "x", "n1"));
  Put(MakePod("a", "x", "n1", "changed"));
  Put(MakePod("b", "z", "n2"));
  Put(MakePod("a", "x", "n2"));
  Remove("a", "x");
  EXPECT_THAT(Drain(*node), ElementsAre("+x[n1]@3", "~x[n1]@4", "-x[n1]@6"));
  EXPECT_THAT(Drain(*name), ElementsAre("+x[]@2", "~x[n1]@3", "~x[n1]@4", "~x[n2]@6", "-x[n2]@7"));
  EXPECT_THAT(Drain(*ns), ElementsAre("+z[n2]@5"));
  // The same from the window.
  EXPECT_THAT(Drain(*Watch(on_n1, 1)), ElementsAre("+x[n1]@3", "~x[n1]@4", "-x[n1]@6"));
}

TEST_F(WatchCacheTest, BookmarksAdvanceWithOtherKinds) {
  std::unique_ptr<CacheWatch> watch = Watch(Selection(), 1);
  auto config = std::make_unique<ConfigMap>();
  config->mutable_metadata()->set_namespace_("a");
  config->mutable_metadata()->set_name("c");
  const int64_t revision = Put(std::move(config));
  env.RunUntilIdle();
  EXPECT_EQ(watch->revision(), revision);
  EXPECT_THAT(Drain(*watch), IsEmpty());
  Put(MakePod("a", "x", "n1"));
  env.RunUntilIdle();
  EXPECT_EQ(watch->revision(), revision) << "the event has not been read yet";
  Drain(*watch);
  EXPECT_EQ(watch->revision(), revision + 1);
}

TEST_F(WatchCacheTest, AWantedRevisionIsToldWhenItIsReachedAlsoWhereNothingChanges) {
  std::unique_ptr<CacheWatch> watch = Watch(Selection(), Put(MakePod("a", "x", "n1")));
  const int64_t there = Put(std::make_unique<ConfigMap>());
  std::optional<Result<std::vector<WatchItem>>> told;
  auto wait = [](CacheWatch& watch, std::optional<Result<std::vector<WatchItem>>>& told) -> Task<> {
    told = co_await watch.Next(CancelToken(), std::nullopt);
  };
  Gate gate;
  Spawn(env.executor(), gate, "reader", wait(*watch, told));
  env.RunUntilIdle();
  EXPECT_FALSE(told);
  watch->WantRevision(there);
  env.RunUntilIdle();
  ASSERT_TRUE(told && told->ok());
  EXPECT_THAT(**told, IsEmpty());
  EXPECT_EQ(watch->revision(), there);

  // One that is yet to come.
  told.reset();
  Spawn(env.executor(), gate, "reader", wait(*watch, told));
  watch->WantRevision(there + 2);
  auto second = std::make_unique<ConfigMap>();
  second->mutable_metadata()->set_name("second");
  Put(std::move(second));
  env.RunUntilIdle();
  EXPECT_FALSE(told);
  auto third = std::make_unique<ConfigMap>();
  third->mutable_metadata()->set_name("third");
  EXPECT_EQ(Put(std::move(third)), there + 2);
  env.RunUntilIdle();
  ASSERT_TRUE(told && told->ok());
  EXPECT_EQ(watch->revision(), there + 2);
}

TEST_F(WatchCacheTest, WhoTakesIsWokenWhenThereIsSomethingAfterNothing) {
  struct Counter : Waker {
    void Wake() override { ++count; }
    int count = 0;
  };
  auto waker = std::make_shared<Counter>();
  std::unique_ptr<CacheWatch> watch = Watch(Selection(), Put(MakePod("a", "x", "n1")));
  watch->SetWaker(waker);
  std::vector<WatchItem> items;
  EXPECT_FALSE(*watch->Take(10, &items));
  EXPECT_THAT(items, IsEmpty());
  Put(MakePod("a", "y", "n1"));
  Put(MakePod("a", "z", "n1"));
  env.RunUntilIdle();
  EXPECT_EQ(waker->count, 1);
  EXPECT_TRUE(*watch->Take(1, &items));
  EXPECT_FALSE(*watch->Take(1, &items));
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[1].object->name(), "z");
  Remove("a", "x");
  env.RunUntilIdle();
  EXPECT_EQ(waker->count, 2);
  env.RunToEnd(caches->Stop());
  EXPECT_EQ(watch->Take(1, &items).code(), Code::kCanceled);
}

TEST_F(WatchCacheTest, WhoIsTooSlowOrTooLateIsTold) {
  std::unique_ptr<CacheWatch> slow = Watch(Selection(), 1), quick = Watch(Selection(), 1);
  for (int i = 0; i < 9000; ++i) {
    Put(MakePod("a", "x", "n" + std::to_string(i)));
    if (i % 1000 == 0) Drain(*quick);
  }
  env.RunUntilIdle();
  EXPECT_THAT(Drain(*slow), ElementsAre("Expired"));
  EXPECT_EQ(Drain(*quick).size(), 999u);
  auto compact = [](Store& store, int64_t revision) -> Task<> {
    EXPECT_TRUE((co_await store.Compact(revision)).ok());
  };
  const int64_t last = store->revision();
  env.RunToEnd(compact(*store, last - 5));
  EXPECT_EQ(pods().Watch(Selection(), last - 6, false).code(), Code::kExpired);
  EXPECT_EQ(Drain(*Watch(Selection(), last - 5)).size(), 5u);
  EXPECT_EQ(Drain(*quick).size(), 0u) << "a compaction is nothing to one who keeps up";
}

TEST_F(WatchCacheTest, AWatchOfBeforeARestartGoesOn) {
  const int64_t seen = Put(MakePod("a", "x", "n1"));
  Put(MakePod("a", "x", "n2"));
  Put(MakePod("a", "y", "n1"));
  Remove("a", "y");
  env.RunToEnd(caches->Stop());
  caches = std::make_unique<WatchCaches>(env, *store);
  caches->AddIndex(Pods(), "spec.nodeName", [](const api::Object& object) {
    return std::vector<std::string>{NodeOf(object)};
  });
  Start();
  EXPECT_EQ(caches->revision(), 5);
  std::unique_ptr<CacheWatch> watch = Watch(Selection(), seen);
  Put(MakePod("a", "x", "n3"));
  EXPECT_THAT(Drain(*watch), ElementsAre("~x[n2]@3", "+y[n1]@4", "-y[n1]@5", "~x[n3]@6"));
}

TEST_F(WatchCacheTest, StopEndsWatches) {
  std::unique_ptr<CacheWatch> watch = Watch(Selection(), 1);
  env.RunToEnd(caches->Stop());
  EXPECT_EQ(NextItems(*watch).code(), Code::kCanceled);
  EXPECT_FALSE(pods().Watch(Selection(), 1, false).ok());
}

TEST_F(WatchCacheTest, JsonOfWhatWasWrittenLongAgoIsLetGo) {
  Put(MakePod("default", "old", "n"));
  const api::ObjectPtr object = caches->For(Pods()).Get(api::StorageKey(Pods(), "default", "old"));
  const std::string text = *object->json();
  const std::weak_ptr<const std::string> kept = object->json();
  for (int i = 0; i < 100; ++i)
    Put(MakePod("default", "new-" + std::to_string(i), "n"));
  EXPECT_FALSE(kept.expired());
  for (int i = 100; i < 600; ++i)
    Put(MakePod("default", "new-" + std::to_string(i), "n"));
  EXPECT_TRUE(kept.expired());
  EXPECT_EQ(*object->json(), text);
}

TEST_F(WatchCacheTest, AFrameIsMadeOnce) {
  CacheEvent event;
  int made = 0;
  auto make = [&made] { return "frame" + std::to_string(++made); };
  EXPECT_EQ(*event.Frame(3, make), "frame1");
  EXPECT_EQ(*event.Frame(3, make), "frame1");
  EXPECT_EQ(*event.Frame(4, make), "frame2");
  event.DropFrames();
  EXPECT_EQ(*event.Frame(3, make), "frame3");
}

// Writers and watchers that come at any time; each watcher's own picture ends up as the cache's,
// without a gap.
struct WatchCacheThreadsTest : CacheFixture<RealEnv> {};

Task<> WriteMany(Store& store, int writer, int count, std::atomic<int>& running) {
  uint64_t random = static_cast<uint64_t>(writer) * 0x9e3779b97f4a7c15 + 1;
  for (int i = 0; i < count; ++i) {
    random = random * 6364136223846793005 + 1442695040888963407;
    const std::string name = "p" + std::to_string(random >> 60);
    std::vector<Write> writes(2);
    writes[0].key = api::StorageKey(Pods(), "a", name + "-" + std::to_string(writer));
    writes[1].key = api::StorageKey(Pods(), "b", name + "-" + std::to_string(writer));
    for (Write& write : writes) {
      if ((random >> 40) % 4 == 0) continue;  // both are deleted
      write.object = api::Object::FromMessage(
          Pods(), MakePod(&write == &writes[0] ? "a" : "b", name + "-" + std::to_string(writer),
                          std::to_string(i)));
      write.value = write.object->stored();
    }
    EXPECT_TRUE((co_await store.Commit(std::move(writes))).ok());
  }
  --running;
}

Task<> FollowAll(Env& env, Store& store, WatchCache& cache, std::atomic<int>& running,
                 std::atomic<int>& good) {
  for (bool drained = false; !drained;) {
    Result<std::unique_ptr<CacheWatch>> watch = cache.Watch(Selection(), 0, true);
    std::map<std::string, int64_t> seen;
    bool first = true;
    int64_t last = 0;
    for (int reads = 0; reads < 40 || running.load() == 0; ++reads) {
      // Asked before looking: what is written after it may come after an empty answer.
      const bool ended = running.load() == 0;
      Result<std::vector<WatchItem>> items =
          co_await (*watch)->Next(CancelToken(), env.Steady() + std::chrono::milliseconds(5));
      EXPECT_TRUE(items.ok());
      // An empty answer alone says only that nothing has come in time.
      drained = items->empty() && ended && (*watch)->revision() >= store.revision();
      if (drained) break;
      for (const WatchItem& item : *items) {
        if (item.type == WatchItem::Type::kInitialEnd) {
          // A batch writes its two objects together: a snapshot has both or none.
          std::map<std::string, int> pairs;
          for (const auto& [key, revision] : seen)
            ++pairs[key.substr(2)];
          for (const auto& [name, count] : pairs)
            EXPECT_EQ(count, 2) << name;
          first = false;
          last = item.revision;
          continue;
        }
        if (!first) {
          EXPECT_GE(item.revision, last);
          last = item.revision;
        }
        const std::string key = item.object->ns() + "/" + item.object->name();
        if (item.type == WatchItem::Type::kDeleted) {
          EXPECT_EQ(seen.erase(key), 1u);
        } else {
          EXPECT_EQ(seen.contains(key), item.type == WatchItem::Type::kModified);
          seen[key] = item.revision;
        }
      }
    }
    if (!drained) continue;
    WatchCache::Page page = cache.List(Selection());
    EXPECT_EQ(page.objects.size(), seen.size());
    for (const api::ObjectPtr& object : page.objects) {
      EXPECT_EQ(seen[object->ns() + "/" + object->name()], object->revision());
    }
    ++good;
  }
}

TEST_F(WatchCacheThreadsTest, EveryWatchIsAGapFreeViewOfTheStore) {
  Gate gate;
  std::atomic<int> running = 3, good = 0;
  for (int i = 0; i < 3; ++i) {
    Spawn(env.MakeStrand(), gate, "writer", WriteMany(*store, i, 1000, running));
    Spawn(env.MakeStrand(), gate, "watcher", FollowAll(env, *store, pods(), running, good));
  }
  env.RunToEnd(gate.Close(env));
  EXPECT_EQ(store->revision(), pods().List(Selection()).revision);
}

}  // namespace
}  // namespace gantry::store
