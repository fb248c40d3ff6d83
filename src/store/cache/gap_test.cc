#include <gmock/gmock.h>

#include "api/core/v1/pod.pb.h"
#include "base/env/testing/virtual_env.h"
#include "store/cache/watch_cache.h"
#include "store/core/published.h"

// The watch cache over a store that loses sight of its data for a while.
namespace gantry::store {
namespace {

using api::core::v1::Pod;
using ::testing::ElementsAre;

const api::KindInfo& Pods() { return api::KindOf<Pod>(); }

History::Change PodChange(const std::string& name, int64_t created, bool there = true) {
  auto pod = std::make_unique<Pod>();
  pod->mutable_metadata()->set_namespace_("a");
  pod->mutable_metadata()->set_name(name);
  std::shared_ptr<api::Object> object = api::Object::FromMessage(Pods(), std::move(pod));
  History::Change change;
  change.key = object->Key();
  change.create_revision = created;
  if (there) change.value = object->stored();
  return change;
}

// What a test publishes is all that it does.
class FedStore final : public Store {
 public:
  explicit FedStore(Env& env) : published(env, History()) {}

  Task<Result<CommitResult>> Commit(std::vector<Write>) override {
    co_return Unavailable("nothing is written here");
  }
  Task<Result<std::optional<Record>>> Get(std::string key, int64_t revision) override {
    co_return published.Get(key, revision);
  }
  Task<Result<ListPage>> List(std::string prefix, std::string after, int64_t limit,
                              int64_t revision) override {
    co_return published.List(prefix, after, limit, revision);
  }
  Result<std::unique_ptr<WatchStream>> Watch(std::string prefix, int64_t after) override {
    return published.Watch(std::move(prefix), after);
  }
  int64_t AddObserver(CommitObserver* observer) override { return published.AddObserver(observer); }
  void RemoveObserver(CommitObserver* observer) override { published.RemoveObserver(observer); }
  int64_t revision() const override { return published.revision(); }
  int64_t compacted_revision() const override { return published.compacted_revision(); }
  Task<Status> Compact(int64_t) override { co_return Status::Ok(); }
  Task<> Stop() override {
    published.End();
    co_return;
  }

  void Publish(int64_t revision, std::vector<History::Change> changes) {
    std::vector<Published::Revision> revisions(1);
    revisions[0].revision = revision;
    revisions[0].changes = std::move(changes);
    published.Publish(std::move(revisions));
  }

  Published published;
};

std::vector<std::string> Names(const WatchCache::Page& page) {
  std::vector<std::string> names;
  for (const api::ObjectPtr& object : page.objects)
    names.push_back(object->name() + "@" + std::to_string(object->revision()));
  return names;
}

TEST(Gap, WatchesBeginAnewAndReadsShowWhatIs) {
  VirtualEnv env;
  FedStore store(env);
  store.Publish(2, {PodChange("kept", 2), PodChange("gone", 2), PodChange("changed", 2)});
  WatchCaches caches(env, store);
  auto start = [](WatchCaches& caches) -> Task<> {
    std::vector<const api::KindInfo*> kinds{&Pods()};
    const Status started = co_await caches.Start(std::move(kinds));
    EXPECT_TRUE(started.ok());
  };
  env.RunToEnd(start(caches));
  WatchCache& pods = caches.For(Pods());
  std::unique_ptr<CacheWatch> watch = *pods.Watch(Selection(), 2, false);
  History fresh;
  fresh.SetCompacted(9);
  std::vector<int64_t> rows;
  fresh.Restore(2, PodChange("kept", 2), &rows);
  fresh.Restore(7, PodChange("changed", 2), &rows);
  fresh.Restore(8, PodChange("new", 8), &rows);
  store.published.Replace(std::move(fresh));
  env.RunUntilIdle();
  EXPECT_EQ(caches.revision(), 9);
  EXPECT_THAT(Names(pods.List(Selection())), ElementsAre("changed@7", "kept@2", "new@8"));
  std::vector<WatchItem> items;
  EXPECT_EQ(watch->Take(10, &items).code(), Code::kExpired);
  EXPECT_EQ(pods.Watch(Selection(), 8, false).code(), Code::kExpired);

  watch = *pods.Watch(Selection(), 9, false);
  store.Publish(10, {PodChange("new", 0, false)});
  env.RunUntilIdle();
  EXPECT_FALSE(*watch->Take(10, &items));
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].type, WatchItem::Type::kDeleted);
  EXPECT_EQ(items[0].revision, 10);
  watch.reset();
  env.RunToEnd(caches.Stop());
}

// What tells whether a write was done whose answer was lost.
TEST(Gap, AWriteIsFoundByWhatItChanged) {
  History history;
  History::Change change = PodChange("a", 2);
  Write write;
  write.key = change.key;
  write.value = change.value;
  write.expected_revision = kAbsent;
  history.Apply(2, {change});
  EXPECT_EQ(history.FindApplied({write}, 1), 2);
  EXPECT_EQ(history.FindApplied({write}, 2), 0) << "made before it was sent";
  write.expected_revision = 7;
  EXPECT_EQ(history.FindApplied({write}, 1), 0) << "another precondition";
  write.expected_revision = kAbsent;
  write.value = std::make_shared<const std::string>("other");
  EXPECT_EQ(history.FindApplied({write}, 1), 0) << "another value";
  Write remove;
  remove.key = change.key;
  remove.expected_revision = 2;
  history.Apply(3, {PodChange("a", 0, false)});
  EXPECT_EQ(history.FindApplied({remove}, 2), 3);
}

}  // namespace
}  // namespace gantry::store
