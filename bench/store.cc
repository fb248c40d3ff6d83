// What the store and the watch cache cost. Prints one line of JSON per figure. Usage: store [FOLDER
// for the database]
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "base/env/real/real_env.h"
#include "base/env/spawn.h"
#include "store/cache/watch_cache.h"
#include "store/memory/memory_store.h"
#include "store/sqlite/sqlite_store.h"

namespace gantry {
namespace {

void Print(const char* name, double value, const char* unit) {
  std::printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", name, value, unit);
}

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

Task<> CommitMany(store::Store& store, std::string prefix, int count, store::Bytes value) {
  for (int i = 0; i < count; ++i) {
    std::vector<store::Write> writes(1);
    writes[0].key = prefix + std::to_string(i);
    writes[0].value = value;
    writes[0].expected_revision = store::kAbsent;
    Result<store::CommitResult> result = co_await store.Commit(std::move(writes));
    if (!result.ok()) std::abort();
  }
}

double Commits(RealEnv& env, store::Store& store, int writers, int each, size_t bytes,
               const char* tag) {
  auto value = std::make_shared<const std::string>(bytes, 'v');
  Gate gate;
  const SteadyTime start = env.Steady();
  for (int i = 0; i < writers; ++i) {
    Spawn(env.executor(), gate, "writer",
          CommitMany(store, "/registry/" + std::string(tag) + "/" + std::to_string(i) + "/", each,
                     value));
  }
  env.RunToEnd(gate.Close(env));
  return writers * each / Seconds(env.Steady() - start);
}

void BenchSqlite(RealEnv& env, const std::string& folder) {
  std::vector<double> cold, warm;
  for (int i = 0; i < 7; ++i) {
    store::SqliteOptions options(folder + "/open" + std::to_string(i));
    for (std::vector<double>* into : {&cold, &warm}) {
      const SteadyTime start = env.Steady();
      std::unique_ptr<store::Store> opened = *OpenSqliteStore(env, options);
      into->push_back(Seconds(env.Steady() - start) * 1e3);
      env.RunToEnd(opened->Stop());
    }
  }
  Print("store_create_empty_ms", Median(cold), "ms");
  Print("store_open_empty_ms", Median(warm), "ms");

  std::unique_ptr<store::Store> store =
      *OpenSqliteStore(env, store::SqliteOptions(folder + "/state.db"));
  const double alone = Commits(env, *store, 1, 2000, 300, "alone");
  Print("store_commit_alone_us", 1e6 / alone, "us");
  Print("store_commits_64_writers_per_s", Commits(env, *store, 64, 1500, 300, "small"), "1/s");
  Print("store_commits_64_writers_2kb_per_s", Commits(env, *store, 64, 800, 2048, "large"), "1/s");
  env.RunToEnd(store->Stop());
  store.reset();
  const SteadyTime start = env.Steady();
  store = *OpenSqliteStore(env, store::SqliteOptions(folder + "/state.db"));
  Print("store_open_149k_ms", Seconds(env.Steady() - start) * 1e3, "ms");
  env.RunToEnd(store->Stop());
}

size_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  size_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

Task<> PutPod(store::Store& store, std::string name, int version, int64_t& revision) {
  auto pod = std::make_unique<api::core::v1::Pod>();
  pod->mutable_metadata()->set_namespace_("default");
  pod->mutable_metadata()->set_name(std::move(name));
  (*pod->mutable_metadata()->mutable_annotations())["v"] =
      std::to_string(version) + std::string(1500, 'x');
  std::vector<store::Write> writes(1);
  writes[0].object = api::Object::FromMessage(api::KindOf<api::core::v1::Pod>(), std::move(pod));
  writes[0].key = writes[0].object->Key();
  writes[0].value = writes[0].object->stored();
  revision = (co_await store.Commit(std::move(writes)))->revision;
}

Task<> Follow(Env& env, std::unique_ptr<store::CacheWatch> watch, CancelToken stop,
              std::atomic<int>& seen) {
  while (true) {
    Result<std::vector<store::WatchItem>> items =
        co_await watch->Next(stop, env.Steady() + std::chrono::seconds(60));
    if (!items.ok()) co_return;
    seen += static_cast<int>(items->size());
  }
}

Task<> WaitUntil(Env& env, std::atomic<int>& seen, int wanted) {
  while (seen.load() < wanted)
    co_await SleepFor(env, std::chrono::microseconds(200));
}

Task<> StartCaches(store::WatchCaches& caches) {
  std::vector<const api::KindInfo*> kinds{&api::KindOf<api::core::v1::Pod>()};
  if (!(co_await caches.Start(std::move(kinds))).ok()) std::abort();
}

Task<> Pause(Env& env) { co_await SleepFor(env, std::chrono::milliseconds(300)); }

void BenchCache(RealEnv& env) {
  constexpr int kWatchers = 10'000;
  std::unique_ptr<store::Store> store = store::MakeMemoryStore(env);
  store::WatchCaches caches(env, *store);
  env.RunToEnd(StartCaches(caches));
  store::WatchCache& pods = caches.For(api::KindOf<api::core::v1::Pod>());
  int64_t revision = 0;
  env.RunToEnd(PutPod(*store, "warm", 0, revision));

  Gate gate;
  CancelSource stop;
  std::atomic<int> seen = 0;
  const size_t before = ResidentBytes();
  for (int i = 0; i < kWatchers; ++i) {
    Spawn(env.executor(), gate, "watcher",
          Follow(env, *pods.Watch(store::Selection(), revision, false), stop.token(), seen));
  }
  env.RunToEnd(Pause(env));
  Print("cache_idle_watcher_kb", static_cast<double>(ResidentBytes() - before) / kWatchers / 1024,
        "KiB");
  std::vector<double> times;
  for (int round = 1; round <= 11; ++round) {
    const SteadyTime start = env.Steady();
    env.RunToEnd(PutPod(*store, "hot", round, revision));
    env.RunToEnd(WaitUntil(env, seen, kWatchers * round));
    times.push_back(Seconds(env.Steady() - start) * 1e3);
  }
  Print("cache_change_to_10k_watchers_ms", Median(times), "ms");
  stop.Cancel();
  env.RunToEnd(gate.Close(env));

  for (int i = 0; i < 10'000; ++i)
    env.RunToEnd(PutPod(*store, "pod-" + std::to_string(i), i, revision));
  const SteadyTime start = env.Steady();
  size_t listed = 0;
  for (int i = 0; i < 100; ++i)
    listed += pods.List(store::Selection()).objects.size();
  Print("cache_list_ns_per_object",
        Seconds(env.Steady() - start) * 1e9 / static_cast<double>(listed), "ns");
  env.RunToEnd(caches.Stop());
  env.RunToEnd(store->Stop());
}

}  // namespace
}  // namespace gantry

int main(int argc, char** argv) {
  std::string folder =
      (argc > 1 ? std::string(argv[1]) : std::filesystem::temp_directory_path().string()) +
      "/gantry-bench-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return 1;
  {
    gantry::RealEnv env(2);
    gantry::BenchSqlite(env, folder);
    gantry::BenchCache(env);
  }
  std::filesystem::remove_all(folder);
  return 0;
}
