#include "store/testing/contract.h"

#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <set>

#include "base/env/spawn.h"

namespace gantry::store::testing {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Write MakeWrite(std::string key, std::optional<std::string> value, int64_t expected) {
  Write write;
  write.key = std::move(key);
  if (value) write.value = std::make_shared<const std::string>(std::move(*value));
  write.expected_revision = expected;
  return write;
}

namespace {

// Runs a call of the store to its end and hands back what it gave.
template <class T>
T Block(RealEnv& env, Task<T> call) {
  std::optional<T> result;
  auto body = [](Task<T> call, std::optional<T>& result) -> Task<> {
    result.emplace(co_await std::move(call));
  };
  env.RunToEnd(body(std::move(call), result));
  return std::move(*result);
}

// "put a=1@2", "delete a@3".
std::vector<std::string> Describe(const std::vector<Event>& events) {
  std::vector<std::string> lines;
  for (const Event& event : events) {
    std::string line = event.type == Event::Type::kPut ? "put " : "delete ";
    line += event.record.key;
    if (event.record.value) line += "=" + *event.record.value;
    line += "@" + std::to_string(event.record.revision);
    if (event.previous)
      line += " was " + *event.previous->value + "@" + std::to_string(event.previous->revision);
    lines.push_back(line);
  }
  return lines;
}

std::vector<std::string> Describe(const ListPage& page) {
  std::vector<std::string> lines;
  for (const Record& record : page.records) {
    lines.push_back(record.key + "=" + *record.value + "@" + std::to_string(record.revision));
  }
  return lines;
}

}  // namespace

Result<CommitResult> StoreContract::Commit(std::vector<Write> writes) {
  return Block(env_, store_->Commit(std::move(writes)));
}
int64_t StoreContract::Put(const std::string& key, const std::string& value, int64_t expected) {
  Result<CommitResult> result = Commit({MakeWrite(key, value, expected)});
  EXPECT_TRUE(result.ok()) << result.status().ToString();
  return result.ok() ? result->revision : -1;
}
int64_t StoreContract::Remove(const std::string& key, int64_t expected) {
  Result<CommitResult> result = Commit({MakeWrite(key, std::nullopt, expected)});
  EXPECT_TRUE(result.ok()) << result.status().ToString();
  return result.ok() ? result->revision : -1;
}
Result<std::optional<Record>> StoreContract::Get(const std::string& key, int64_t revision) {
  return Block(env_, store_->Get(key, revision));
}
Result<ListPage> StoreContract::List(const std::string& prefix, const std::string& after,
                                     int64_t limit, int64_t revision) {
  return Block(env_, store_->List(prefix, after, limit, revision));
}
Result<std::vector<Event>> StoreContract::Next(WatchStream& stream) {
  return Block(env_, stream.Next(CancelToken()));
}
Status StoreContract::Compact(int64_t revision) { return Block(env_, store_->Compact(revision)); }

TEST_P(StoreContract, AnEmptyStoreIsAtRevisionOne) {
  EXPECT_EQ(store_->revision(), 1);
  EXPECT_EQ(store_->compacted_revision(), 0);
  EXPECT_FALSE(Get("/a")->has_value());
  Result<ListPage> page = List("/");
  EXPECT_TRUE(page->records.empty());
  EXPECT_EQ(page->revision, 1);
}

TEST_P(StoreContract, EveryBatchGetsTheNextRevision) {
  EXPECT_EQ(Put("/a", "1"), 2);
  EXPECT_EQ(Put("/b", "1"), 3);
  EXPECT_EQ(Put("/a", "2"), 4);
  std::optional<Record> a = *Get("/a");
  ASSERT_TRUE(a);
  EXPECT_EQ(*a->value, "2");
  EXPECT_EQ(a->create_revision, 2);
  EXPECT_EQ(a->revision, 4);
  EXPECT_EQ(Remove("/a"), 5);
  EXPECT_FALSE(Get("/a")->has_value());
  EXPECT_EQ(Put("/a", "3"), 6);
  EXPECT_EQ((*Get("/a"))->create_revision, 6);
}

TEST_P(StoreContract, PreconditionsHoldOrNothingIsWritten) {
  const int64_t a = Put("/a", "1");
  struct Row {
    const char* why;
    std::vector<Write> writes;
    bool committed;
    size_t failed;
    bool found;
  };
  const Row rows[] = {
      {"absent, but it is there", {MakeWrite("/a", "x", kAbsent)}, false, 0, true},
      {"older revision", {MakeWrite("/a", "x", a - 1)}, false, 0, true},
      {"newer revision", {MakeWrite("/a", "x", a + 1)}, false, 0, true},
      {"revision of what is absent", {MakeWrite("/b", "x", a)}, false, 0, false},
      {"delete of what is absent", {MakeWrite("/b", std::nullopt, a)}, false, 0, false},
      {"the second one fails",
       {MakeWrite("/b", "x"), MakeWrite("/a", "x", kAbsent)},
       false,
       1,
       true},
      {"absent, and so it is",
       {MakeWrite("/b", "x", kAbsent), MakeWrite("/a", "2", a)},
       true,
       0,
       false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.why);
    const int64_t before = store_->revision();
    Result<CommitResult> result = Commit(row.writes);
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result->committed(), row.committed);
    EXPECT_EQ(store_->revision(), row.committed ? before + 1 : before);
    if (row.committed) continue;
    EXPECT_EQ(result->failed_write, row.failed);
    EXPECT_EQ(result->found.has_value(), row.found);
    if (row.found) {
      EXPECT_EQ(*result->found->value, "1");
      EXPECT_EQ(result->found->revision, a);
    }
    EXPECT_FALSE(Get("/b")->has_value());
  }
  EXPECT_EQ(*(*Get("/a"))->value, "2");
}

TEST_P(StoreContract, AFailedPreconditionOnAbsenceSaysSo) {
  Result<CommitResult> result = Commit({MakeWrite("/gone", "x", 1)});
  ASSERT_TRUE(result.ok());
  EXPECT_FALSE(result->committed());
  EXPECT_FALSE(result->found);
}

TEST_P(StoreContract, WhatChangesNothingGetsNoRevision) {
  Put("/a", "1");
  EXPECT_EQ(Remove("/absent"), 2);
  Result<CommitResult> empty = Commit({});
  EXPECT_EQ(empty->revision, 2);
  EXPECT_EQ(store_->revision(), 2);
}

TEST_P(StoreContract, ABatchNamesAKeyOnce) {
  Result<CommitResult> result = Commit({MakeWrite("/a", "1"), MakeWrite("/a", "2")});
  EXPECT_EQ(result.code(), Code::kInternalError);
}

TEST_P(StoreContract, KeysAndValuesMayHoldAnyBytes) {
  const std::string value("\0\xff k8s\0'\"", 9);
  Put("/a\xc3\xa9'\"", value);
  EXPECT_EQ(*(*Get("/a\xc3\xa9'\""))->value, value);
  Put("/empty", "");
  ASSERT_TRUE(Get("/empty")->has_value());
  EXPECT_EQ(*(*Get("/empty"))->value, "");
}

TEST_P(StoreContract, ListIsOrderedByKeyAndPaged) {
  for (const char* key : {"/p/b/2", "/p/a/1", "/q/z", "/p/b/1", "/p/a", "/p-x/1"})
    Put(key, "v");
  EXPECT_THAT(Describe(*List("/p/")),
              ElementsAre("/p/a=v@6", "/p/a/1=v@3", "/p/b/1=v@5", "/p/b/2=v@2"));
  ListPage first = *List("/p/", "", 3);
  EXPECT_EQ(first.records.size(), 3u);
  EXPECT_TRUE(first.more);
  EXPECT_EQ(first.remaining, 1);
  // The second page shows what the first one's revision shows.
  Put("/p/b/3", "late");
  ListPage second = *List("/p/", first.records.back().key, 3, first.revision);
  EXPECT_THAT(Describe(second), ElementsAre("/p/b/2=v@2"));
  EXPECT_FALSE(second.more);
  EXPECT_EQ(second.revision, first.revision);
}

TEST_P(StoreContract, OldRevisionsStayReadableUntilCompacted) {
  Put("/a", "1");  // 2
  Put("/a", "2");  // 3
  Put("/b", "1");  // 4
  Remove("/a");    // 5
  Put("/a", "3");  // 6
  EXPECT_FALSE(Get("/a", 1)->has_value());
  EXPECT_EQ(*(*Get("/a", 2))->value, "1");
  EXPECT_EQ(*(*Get("/a", 4))->value, "2");
  EXPECT_FALSE(Get("/a", 5)->has_value());
  EXPECT_THAT(Describe(*List("/", "", 0, 4)), ElementsAre("/a=2@3", "/b=1@4"));
  EXPECT_THAT(Describe(*List("/", "", 0, 5)), ElementsAre("/b=1@4"));
  EXPECT_EQ(Get("/a", 7).code(), Code::kInvalid);

  ASSERT_TRUE(Compact(4).ok());
  EXPECT_EQ(store_->compacted_revision(), 4);
  EXPECT_EQ(Get("/a", 3).code(), Code::kExpired);
  EXPECT_EQ(List("/", "", 0, 3).code(), Code::kExpired);
  EXPECT_THAT(Describe(*List("/", "", 0, 4)), ElementsAre("/a=2@3", "/b=1@4"));
  EXPECT_FALSE(Get("/a", 5)->has_value());
  ASSERT_TRUE(Compact(6).ok());
  EXPECT_THAT(Describe(*List("/")), ElementsAre("/a=3@6", "/b=1@4"));
  EXPECT_TRUE(Compact(2).ok());
  EXPECT_EQ(store_->compacted_revision(), 6);
  EXPECT_EQ(Compact(7).code(), Code::kInvalid);
}

TEST_P(StoreContract, AWatchShowsEveryChangeInOrder) {
  Put("/p/a", "1");  // 2
  Put("/q/a", "1");  // 3
  std::unique_ptr<WatchStream> stream = *store_->Watch("/p/", 1);
  EXPECT_THAT(Describe(*Next(*stream)), ElementsAre("put /p/a=1@2"));
  EXPECT_EQ(stream->revision(), 3);
  Put("/p/a", "2");  // 4
  ASSERT_TRUE(
      Commit({MakeWrite("/p/b", "1"), MakeWrite("/q/b", "1"), MakeWrite("/p/a", std::nullopt)})
          .ok());  // 5
  std::vector<std::string> lines;
  while (stream->revision() < 5) {
    for (std::string& line : Describe(*Next(*stream)))
      lines.push_back(line);
  }
  EXPECT_THAT(lines, ElementsAre("put /p/a=2@4 was 1@2", "put /p/b=1@5", "delete /p/a@5 was 2@4"));
}

TEST_P(StoreContract, AWatchFromTheFutureStartsThere) {
  std::unique_ptr<WatchStream> stream = *store_->Watch("/", 3);
  Put("/a", "1");  // 2
  Put("/a", "2");  // 3
  Put("/a", "3");  // 4
  EXPECT_THAT(Describe(*Next(*stream)), ElementsAre("put /a=3@4 was 2@3"));
}

TEST_P(StoreContract, AWatchBehindACompactionExpires) {
  Put("/a", "1");
  Put("/a", "2");
  Put("/a", "3");  // 4
  std::unique_ptr<WatchStream> slow = *store_->Watch("/", 1);
  std::unique_ptr<WatchStream> current = *store_->Watch("/", 3);
  ASSERT_TRUE(Compact(3).ok());
  EXPECT_EQ(Next(*slow).code(), Code::kExpired);
  EXPECT_THAT(Describe(*Next(*current)), ElementsAre("put /a=3@4 was 2@3"));
  EXPECT_EQ(store_->Watch("/", 2).code(), Code::kExpired);
}

TEST_P(StoreContract, AWaitingWatchWakesUpOrIsCancelled) {
  std::unique_ptr<WatchStream> stream = *store_->Watch("/", 1);
  Result<std::vector<Event>> got = InternalError("nothing yet");
  Gate gate;
  auto wait = [](WatchStream& stream, CancelToken cancel,
                 Result<std::vector<Event>>& got) -> Task<> { got = co_await stream.Next(cancel); };
  Spawn(env_.executor(), gate, "watch", wait(*stream, CancelToken(), got));
  Put("/a", "1");
  env_.RunToEnd(gate.Close(env_));
  EXPECT_THAT(Describe(*got), ElementsAre("put /a=1@2"));

  Gate second;
  CancelSource source;
  Spawn(env_.executor(), second, "watch", wait(*stream, source.token(), got));
  source.Cancel();
  env_.RunToEnd(second.Close(env_));
  EXPECT_EQ(got.code(), Code::kCanceled);
}

class Recorder : public CommitObserver {
 public:
  void OnCommit(const std::vector<Event>& events) override {
    for (const Event& event : events)
      last_revision = event.record.revision;
    count += events.size();
  }
  void OnGap(const std::vector<Event>& events, int64_t) override { OnCommit(events); }
  void OnCompact(int64_t revision) override { compacted = revision; }
  void OnFailure(const Status&) override {}

  std::atomic<int64_t> last_revision = 0, compacted = 0;
  std::atomic<size_t> count = 0;
};

TEST_P(StoreContract, AnObserverHearsOfACommitBeforeItsWriter) {
  Put("/before", "1");
  Recorder recorder;
  EXPECT_EQ(store_->AddObserver(&recorder), 2);
  for (int i = 0; i < 20; ++i) {
    const int64_t revision = Put("/a", std::to_string(i));
    EXPECT_GE(recorder.last_revision.load(), revision);
  }
  EXPECT_EQ(recorder.count.load(), 20u);
  ASSERT_TRUE(Compact(5).ok());
  EXPECT_EQ(recorder.compacted.load(), 5);
  store_->RemoveObserver(&recorder);
  Put("/a", "x");
  EXPECT_EQ(recorder.count.load(), 20u);
}

// Adds one to a counter, again and again, losing to others now and then.
Task<> Increment(Store& store, std::string key, int times, std::atomic<int>& conflicts) {
  for (int done = 0; done < times;) {
    Result<std::optional<Record>> current = co_await store.Get(key);
    EXPECT_TRUE(current.ok()) << current.status().ToString();
    if (!current.ok()) co_return;
    const int value = current->has_value() ? std::stoi(*(*current)->value) : 0;
    std::vector<Write> writes;
    writes.push_back(MakeWrite(key, std::to_string(value + 1),
                               current->has_value() ? (*current)->revision : kAbsent));
    Result<CommitResult> result = co_await store.Commit(std::move(writes));
    EXPECT_TRUE(result.ok()) << result.status().ToString();
    if (!result.ok()) co_return;
    result->committed() ? void(++done) : void(++conflicts);
  }
}

TEST_P(StoreContract, ConcurrentWritersLoseNoUpdate) {
  std::unique_ptr<WatchStream> stream = *store_->Watch("/", 1);
  Gate gate;
  std::atomic<int> conflicts = 0;
  for (int i = 0; i < 8; ++i) {
    Spawn(env_.MakeStrand(), gate, "shared", Increment(*store_, "/shared", 50, conflicts));
    Spawn(env_.MakeStrand(), gate, "own",
          Increment(*store_, "/own/" + std::to_string(i), 50, conflicts));
  }
  env_.RunToEnd(gate.Close(env_));
  EXPECT_EQ(*(*Get("/shared"))->value, "400");
  EXPECT_EQ(store_->revision(), 801);
  int64_t expected = 2;
  while (stream->revision() < store_->revision()) {
    const std::vector<Event> events = *Next(*stream);
    for (const Event& event : events)
      EXPECT_EQ(event.record.revision, expected++);
  }
  EXPECT_EQ(expected, 802);
}

TEST_P(StoreContract, AStoppedStoreRefusesWritesAndEndsWatches) {
  Put("/a", "1");
  std::unique_ptr<WatchStream> stream = *store_->Watch("/", 2);
  env_.RunToEnd(store_->Stop());
  EXPECT_EQ(Commit({MakeWrite("/a", "2")}).code(), Code::kUnavailable);
  EXPECT_EQ(Next(*stream).code(), Code::kCanceled);
}

// The oracle: every state that ever was, as plain maps.
TEST_P(StoreContract, BehavesAsAMapWithAPast) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    env_.RunToEnd(store_->Stop());
    store_ = GetParam()(env_);
    uint64_t random = seed * 0x9e3779b97f4a7c15;
    auto below = [&random](uint64_t bound) {
      random = random * 6364136223846793005 + 1442695040888963407;
      return (random >> 33) % bound;
    };
    using State = std::map<std::string, std::pair<std::string, int64_t>>;
    std::map<int64_t, State> states;
    int64_t revision = store_->revision(), compacted = 0;
    states[revision] = {};
    std::unique_ptr<WatchStream> stream = *store_->Watch("/", revision);
    State watched;
    auto key_of = [&] { return "/" + std::string(1, static_cast<char>('a' + below(12))); };
    for (int step = 0; step < 600; ++step) {
      State state = states[revision];
      const uint64_t dice = below(100);
      if (dice < 70) {
        std::vector<Write> writes;
        bool holds = true, changes = false;
        std::set<std::string> used;
        for (uint64_t i = 0, n = 1 + below(3); i < n; ++i) {
          const std::string key = key_of();
          if (!used.insert(key).second) continue;
          const auto there = state.find(key);
          const bool present = there != state.end();
          const int64_t at = present ? there->second.second : kAbsent;
          const int64_t expected = below(2) == 0 ? kAnyRevision : below(4) == 0 ? at + 1 : at;
          holds = holds && (expected == kAnyRevision || expected == at);
          if (below(4) == 0) {
            writes.push_back(MakeWrite(key, std::nullopt, expected));
            changes = changes || present;
            state.erase(key);
          } else {
            const std::string value = std::to_string(step) + std::string(below(50), 'x');
            writes.push_back(MakeWrite(key, value, expected));
            changes = true;
            state[key] = {value, revision + 1};
          }
        }
        Result<CommitResult> result = Commit(std::move(writes));
        ASSERT_TRUE(result.ok());
        ASSERT_EQ(result->committed(), holds);
        if (holds && changes) states[++revision] = state;
        ASSERT_EQ(store_->revision(), revision);
      } else if (dice < 80) {
        const int64_t at = compacted + static_cast<int64_t>(
                                           below(static_cast<uint64_t>(revision - compacted) + 1));
        if (at == 0) continue;
        Result<ListPage> page = List("/", "", 0, at);
        ASSERT_EQ(page.ok(), true) << page.status().ToString();
        const State& past = states[at];
        ASSERT_EQ(page->records.size(), past.size());
        for (const Record& record : page->records) {
          ASSERT_TRUE(past.contains(record.key));
          ASSERT_EQ(*record.value, past.at(record.key).first);
          ASSERT_EQ(record.revision, past.at(record.key).second);
        }
      } else if (dice < 90) {
        while (stream->revision() < revision) {
          Result<std::vector<Event>> events = Next(*stream);
          ASSERT_TRUE(events.ok()) << events.status().ToString();
          for (const Event& event : *events) {
            if (event.type == Event::Type::kDelete) {
              ASSERT_EQ(watched.erase(event.record.key), 1u);
            } else {
              watched[event.record.key] = {*event.record.value, event.record.revision};
            }
          }
        }
        ASSERT_EQ(watched, states[revision]);
      } else if (dice < 93 && stream->revision() > compacted) {
        compacted +=
            static_cast<int64_t>(below(static_cast<uint64_t>(stream->revision() - compacted) + 1));
        ASSERT_TRUE(Compact(compacted).ok());
      }
    }
    stream.reset();
  }
}

}  // namespace gantry::store::testing
