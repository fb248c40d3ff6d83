#include "store/etcd/etcd_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/env/spawn.h"
#include "store/etcd/testing/etcd_process.h"
#include "store/snapshot.h"
#include "store/sqlite/sqlite_store.h"
#include "store/testing/contract.h"

namespace gantry::store::testing {
namespace {

using ::testing::HasSubstr;

EtcdCluster& OneMember() {
  static EtcdCluster* const cluster = new EtcdCluster();
  return *cluster;
}

std::unique_ptr<SharedStore> Open(Env& env, const std::string& url) {
  Result<std::unique_ptr<SharedStore>> store = InternalError("not opened");
  auto open = [](Env& env, std::string url, Result<std::unique_ptr<SharedStore>>& store) -> Task<> {
    EtcdOptions options;
    options.url = std::move(url);
    store = co_await OpenEtcdStore(env, std::move(options));
  };
  static_cast<RealEnv&>(env).RunToEnd(open(env, url, store));
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  return std::move(store).value();
}

// A store that begins at revision 1, in an etcd that has seen many: the offset makes it so.
std::unique_ptr<Store> OpenEmpty(Env& env) {
  EtcdCluster& etcd = OneMember();
  etcd.Ctl("del '' --from-key");
  const std::string status = etcd.Ctl("put /x y -w json");
  const size_t at = status.find("\"revision\":") + 11;
  const int64_t revision = std::stoll(status.substr(at)) + 2;  // with the two below
  etcd.Ctl("del /x");
  etcd.Ctl("put gantry/revision-offset -- -" + std::to_string(revision));
  return Open(env, etcd.url());
}

INSTANTIATE_TEST_SUITE_P(Etcd, StoreContract, ::testing::Values(StoreMaker(OpenEmpty)));

// Adds one to a counter until told to end, and counts what was acknowledged. A failure that leaves
// it open whether the write was done is counted, too.
struct Tally {
  std::atomic<int> done = 0, unknown = 0, refused = 0;
  std::atomic<bool> end = false;
};

Task<> CountUp(Env& env, SharedStore& store, std::string key, Tally& tally) {
  int64_t revision = kAbsent;
  int value = 0;
  while (!tally.end) {
    std::vector<Write> writes;
    writes.push_back(MakeWrite(key, std::to_string(value + 1), revision));
    Result<CommitResult> result = co_await store.Commit(std::move(writes));
    if (result.ok() && result->committed()) {
      ++tally.done;
      ++value;
      revision = result->revision;
      continue;
    }
    if (result.ok()) {
      // Only this writer writes here: a write whose fate it was not told was done after all.
      EXPECT_TRUE(result->found);
      value = std::stoi(*result->found->value);
      revision = result->found->revision;
      continue;
    }
    ++(result.code() == Code::kUnknown ? tally.unknown : tally.refused);
    co_await SleepFor(env, std::chrono::milliseconds(50));
  }
}

struct EtcdFaults : ::testing::Test {
  std::string Read(SharedStore& store, const std::string& key) {
    std::string value;
    auto get = [](SharedStore& store, std::string key, std::string& value) -> Task<> {
      Result<std::optional<Record>> record = co_await store.Get(key);
      value = !record.ok() ? record.status().ToString() : *record ? *(*record)->value : "absent";
    };
    env_.RunToEnd(get(store, key, value));
    return value;
  }
  // Writers run while `fault` does, and until they have got on after it.
  template <class Fault>
  void Suffer(EtcdCluster& etcd, SharedStore& store, Fault fault) {
    constexpr int kWriters = 4;
    Tally tallies[kWriters];
    int before[kWriters];  // what earlier faults left
    Gate gate;
    for (int i = 0; i < kWriters; ++i) {
      const std::string there = Read(store, "/count/" + std::to_string(i));
      before[i] = there == "absent" ? 0 : std::stoi(there);
      Spawn(env_.MakeStrand(), gate, "counter",
            CountUp(env_, store, "/count/" + std::to_string(i), tallies[i]));
    }
    auto wait_for_more = [&](int more) {
      for (Tally& tally : tallies) {
        const int before = tally.done;
        for (int i = 0; i < 3000 && tally.done < before + more; ++i)
          std::this_thread::sleep_for(std::chrono::milliseconds(10));
        ASSERT_GE(tally.done, before + more) << "no writes get through";
      }
    };
    wait_for_more(20);
    fault();
    wait_for_more(20);
    for (Tally& tally : tallies)
      tally.end = true;
    env_.RunToEnd(gate.Close(env_));
    std::unique_ptr<SharedStore> other = Open(env_, etcd.url());
    for (int i = 0; i < kWriters; ++i) {
      const std::string value = Read(*other, "/count/" + std::to_string(i));
      const int counted = std::stoi(value) - before[i];
      EXPECT_GE(counted, tallies[i].done) << "an acknowledged write is lost";
      EXPECT_LE(counted, tallies[i].done + tallies[i].unknown) << "a write was done twice";
      EXPECT_EQ(Read(store, "/count/" + std::to_string(i)), value);
    }
    EXPECT_TRUE(store.health().ok()) << store.health().ToString();
    env_.RunToEnd(other->Stop());
  }

  RealEnv env_{2};
};

TEST_F(EtcdFaults, ItIsKilledAndComesBack) {
  EtcdCluster etcd;
  std::unique_ptr<SharedStore> store = Open(env_, etcd.url());
  Suffer(etcd, *store, [&] {
    etcd.Kill(0);
    for (int i = 0; i < 500 && store->health().ok(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_FALSE(store->health().ok());
    etcd.Start(0);
  });
  env_.RunToEnd(store->Stop());
}

TEST_F(EtcdFaults, ItsLeaderMovesAndMembersDie) {
  EtcdCluster etcd(3);
  std::unique_ptr<SharedStore> store = Open(env_, etcd.url());
  Suffer(etcd, *store, [&] { etcd.MoveLeader(); });
  Suffer(etcd, *store, [&] {
    const int leader = etcd.Leader();
    etcd.Kill(leader);
    std::this_thread::sleep_for(std::chrono::seconds(1));
    etcd.Start(leader);
  });
  // The member that the store talks to hangs: endpoints on this machine are taken in their order.
  Suffer(etcd, *store, [&] {
    for (int member = 0; member < 3; ++member) {
      etcd.Pause(member);
      std::this_thread::sleep_for(std::chrono::seconds(4));
      etcd.Resume(member);
    }
  });
  env_.RunToEnd(store->Stop());
}

TEST_F(EtcdFaults, WhatWasCompactedUnseenIsAGap) {
  EtcdCluster etcd(3);
  std::unique_ptr<SharedStore> store = Open(env_, etcd.url(0));
  etcd.Ctl("put /kept 1");
  etcd.Ctl("put /gone 1");
  etcd.Ctl("put /changed 1");
  EXPECT_EQ(Read(*store, "/changed"), "1");
  std::unique_ptr<WatchStream> stream = *store->Watch("/", store->revision());
  etcd.Kill(0);
  etcd.WaitUntilHealthy();
  etcd.Ctl("del /gone");
  etcd.Ctl("put /changed 2");
  const std::string last = etcd.Ctl("put /changed 3 -w json");
  const size_t at = last.find("\"revision\":") + 11;
  EXPECT_THAT(etcd.Ctl("compact " + std::to_string(std::stoll(last.substr(at)))),
              HasSubstr("compacted"));
  etcd.Start(0);
  EXPECT_EQ(Read(*store, "/changed"), "3");
  EXPECT_EQ(Read(*store, "/gone"), "absent");
  EXPECT_EQ(Read(*store, "/kept"), "1");
  Result<std::vector<Event>> next = InternalError("nothing yet");
  auto read = [](WatchStream& stream, Result<std::vector<Event>>& next) -> Task<> {
    next = co_await stream.Next(CancelToken());
  };
  env_.RunToEnd(read(*stream, next));
  EXPECT_EQ(next.code(), Code::kExpired);
  stream.reset();
  env_.RunToEnd(store->Stop());
}

TEST_F(EtcdFaults, AnotherServersWritesAreKnownOfAfterAsking) {
  EtcdCluster& etcd = OneMember();
  std::unique_ptr<SharedStore> a = Open(env_, etcd.url()), b = Open(env_, etcd.url());
  auto write_and_ask = [](SharedStore& a, SharedStore& b) -> Task<> {
    for (int i = 0; i < 50; ++i) {
      std::vector<Write> writes;
      writes.push_back(MakeWrite("/shared/" + std::to_string(i), "x"));
      Result<CommitResult> written = co_await a.Commit(std::move(writes));
      EXPECT_TRUE(written.ok());
      Result<int64_t> latest = co_await b.LatestRevision();
      EXPECT_TRUE(latest.ok());
      if (written.ok() && latest.ok()) EXPECT_GE(*latest, written->revision);
    }
  };
  env_.RunToEnd(write_and_ask(*a, *b));
  a->Announce("/registry/masterleases/a", std::make_shared<const std::string>("here"));
  for (int i = 0; i < 500 && Read(*b, "/registry/masterleases/a") != "here"; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(Read(*b, "/registry/masterleases/a"), "here");
  env_.RunToEnd(a->Stop());
  EXPECT_EQ(Read(*b, "/registry/masterleases/a"), "absent");
  env_.RunToEnd(b->Stop());
}

std::string Content(RealEnv& env, Store& store) {
  std::string content;
  auto list = [](Store& store, std::string& content) -> Task<> {
    Result<ListPage> page = co_await store.List("/registry/");
    EXPECT_TRUE(page.ok()) << page.status().ToString();
    if (!page.ok()) co_return;
    for (const Record& record : page->records)
      content += record.key + "=" + *record.value + " ";
  };
  env.RunToEnd(list(store, content));
  return content;
}

TEST_F(EtcdFaults, SnapshotsLeadFromOneKindOfStoreToTheOther) {
  char folder_name[] = "/tmp/gantry-snapshot-XXXXXX";
  const std::filesystem::path folder = mkdtemp(folder_name);
  const SnapshotFiles files = {{"pki/ca.key", "secret"}};
  EtcdCluster etcd;
  EtcdOptions options;
  options.url = etcd.url();
  auto put = [this](Store& store, std::string key, std::string value) {
    std::vector<Write> writes;
    writes.push_back(MakeWrite(std::move(key), std::move(value)));
    return env_.RunToEnd(store.Commit(std::move(writes)))->revision;
  };

  // etcd to a file, while a server runs.
  std::unique_ptr<SharedStore> store = Open(env_, etcd.url());
  for (int i = 0; i < 250; ++i)
    put(*store, "/registry/many/" + std::to_string(i), std::string(10'000, 'x'));
  put(*store, "/registry/a", "1");
  store->Announce("/registry/masterleases/x", std::make_shared<const std::string>("here"));
  for (int i = 0; i < 500 && Read(*store, "/registry/masterleases/x") == "absent"; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const std::string first = folder / "first";
  Status saved = env_.RunToEnd(SaveEtcdSnapshot(env_, options, first, files));
  ASSERT_TRUE(saved.ok()) << saved.ToString();
  const int64_t seen = put(*store, "/registry/a", "2");
  EXPECT_EQ(env_.RunToEnd(RestoreEtcdSnapshot(env_, options, first)).code(), Code::kConflict);
  env_.RunToEnd(store->Stop());

  // The file to SQLite, and changed there.
  const std::string database = folder / "state.db";
  Result<SnapshotFiles> restored = RestoreSqliteSnapshot(first, database);
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_EQ(*restored, files);
  std::unique_ptr<Store> sqlite = *OpenSqliteStore(env_, SqliteOptions(database));
  EXPECT_THAT(Content(env_, *sqlite), ::testing::StartsWith("/registry/a=1 /registry/many/0=xxx"));
  EXPECT_GT(sqlite->revision(), seen);
  const int64_t later = put(*sqlite, "/registry/b", "1");
  const std::string content = Content(env_, *sqlite);
  const std::string second = folder / "second";
  ASSERT_TRUE(SaveSqliteSnapshot(database, second, files).ok());
  env_.RunToEnd(sqlite->Stop());

  // And back.
  restored = env_.RunToEnd(RestoreEtcdSnapshot(env_, options, second));
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_EQ(*restored, files);
  store = Open(env_, etcd.url());
  EXPECT_EQ(Content(env_, *store), content);
  EXPECT_GT(store->revision(), later);
  EXPECT_EQ(store->Watch("/", seen).code(), Code::kExpired);
  EXPECT_EQ(env_.RunToEnd(store->Get("/registry/a", seen)).code(), Code::kExpired);
  const int64_t next = store->revision() + 1;
  EXPECT_EQ(put(*store, "/registry/c", "1"), next);
  env_.RunToEnd(store->Stop());

  // What was there before the restoring is kept; an interrupted one lets nobody in.
  sqlite.reset();
  restored = RestoreSqliteSnapshot(second + ".before-restore", database);
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  sqlite = *OpenSqliteStore(env_, SqliteOptions(database));
  EXPECT_THAT(Content(env_, *sqlite), ::testing::StartsWith("/registry/a=2 "));
  env_.RunToEnd(sqlite->Stop());
  etcd.Ctl("put gantry/restoring ''");
  EXPECT_EQ(env_.RunToEnd(OpenEtcdStore(env_, options)).code(), Code::kConflict);
  std::filesystem::remove_all(folder);
}

TEST_F(EtcdFaults, OverTlsWithACertificate) {
  EtcdCluster etcd(1, true);
  auto read = [&etcd](const char* name) {
    std::ifstream in(etcd.directory() + "/" + name);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  EtcdOptions options;
  options.url = etcd.url();
  options.tls = true;
  options.ca_pem = read("ca.crt");
  options.certificate_pem = read("client.crt");
  options.private_key_pem = read("client.key");
  Result<std::unique_ptr<SharedStore>> store = env_.RunToEnd(OpenEtcdStore(env_, options));
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  etcd.Ctl("put /a 1");
  EXPECT_EQ(Read(**store, "/a"), "1");
  env_.RunToEnd((*store)->Stop());
  // Who has no certificate is not let in, and waits no longer than he is told to.
  options.certificate_pem = options.private_key_pem = "";
  CancelSource enough;
  const auto timer =
      env_.CallAt(env_.Steady() + std::chrono::seconds(1), [enough]() mutable { enough.Cancel(); });
  EXPECT_FALSE(env_.RunToEnd(OpenEtcdStore(env_, options, enough.token())).ok());
}

TEST_F(EtcdFaults, WhatCannotBeAUrlIsRefused) {
  for (const char* url : {"sqlite", "etcd://", "etcd://a:b", "etcd://a:1,,b:2", "etcd://a/b"}) {
    EtcdOptions options;
    options.url = url;
    Result<std::unique_ptr<SharedStore>> store = InternalError("not opened");
    auto open = [](Env& env, EtcdOptions options,
                   Result<std::unique_ptr<SharedStore>>& store) -> Task<> {
      store = co_await OpenEtcdStore(env, std::move(options));
    };
    env_.RunToEnd(open(env_, options, store));
    EXPECT_EQ(store.code(), Code::kBadRequest) << url;
  }
}

}  // namespace
}  // namespace gantry::store::testing
