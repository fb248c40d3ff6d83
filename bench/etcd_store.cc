// What the store over etcd costs, beside the floor: the same transactions from a bare loop. Starts
// an etcd of its own in /tmp. Prints one line of JSON per figure. Usage: etcd_store [MEMBERS]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/env/real/real_env.h"
#include "base/env/spawn.h"
#include "store/etcd/client.h"
#include "store/etcd/etcd_store.h"
#include "store/etcd/testing/etcd_process.h"
#include "store/etcd/url.h"

namespace gantry {
namespace {

void Print(const char* name, double value, const char* unit) {
  std::printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", name, value, unit);
}

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string KeyOf(const std::string& tag, int writer, int number) {
  return "/registry/" + tag + "/" + std::to_string(writer) + "/" + std::to_string(number);
}

// A transaction that creates a key, as the store sends it but for the fence.
Task<> Floor(store::etcd::Client& client, std::string tag, int writer, int count,
             store::Bytes value) {
  for (int i = 0; i < count; ++i) {
    const std::string key = KeyOf(tag, writer, i);
    store::etcd::TxnRequest txn;
    store::etcd::Compare& absent = *txn.add_compare();
    absent.set_target(store::etcd::Compare::MOD);
    absent.set_key(key);
    absent.set_mod_revision(0);
    txn.add_success()->mutable_put()->set_key(key);
    txn.mutable_success(0)->mutable_put()->set_value(*value);
    txn.add_failure()->mutable_range()->set_key(key);
    store::etcd::CallError error;
    Result<store::etcd::TxnResponse> done = co_await client.Txn(std::move(txn), &error);
    if (!done.ok() || !done->succeeded()) std::abort();
  }
}

Task<> Commits(store::Store& store, std::string tag, int writer, int count, store::Bytes value) {
  for (int i = 0; i < count; ++i) {
    std::vector<store::Write> writes(1);
    writes[0].key = KeyOf(tag, writer, i);
    writes[0].value = value;
    writes[0].expected_revision = store::kAbsent;
    Result<store::CommitResult> result = co_await store.Commit(std::move(writes));
    if (!result.ok() || !result->committed()) std::abort();
  }
}

Task<> Questions(store::SharedStore& store, int count) {
  for (int i = 0; i < count; ++i) {
    Result<int64_t> latest = co_await store.LatestRevision();
    if (!latest.ok()) std::abort();
  }
}

// How many a second, of `each` by each of `callers`.
template <class Make>
double PerSecond(RealEnv& env, int callers, int each, Make make) {
  Gate gate;
  const SteadyTime start = env.Steady();
  for (int i = 0; i < callers; ++i)
    Spawn(env.executor(), gate, "caller", make(i));
  env.RunToEnd(gate.Close(env));
  return callers * each / Seconds(env.Steady() - start);
}

void Run(int members) {
  store::testing::EtcdCluster etcd(members);
  RealEnv env;
  store::EtcdOptions options;
  options.url = etcd.url();
  store::etcd::Client client(env, *store::etcd::ChannelOptionsFor(options));
  std::unique_ptr<store::SharedStore> store = *env.RunToEnd(store::OpenEtcdStore(env, options));
  auto value = std::make_shared<const std::string>(2048, 'v');
  std::vector<double> floors, commits;
  for (int round = 0; round < 3; ++round) {
    const std::string tag = std::to_string(round);
    floors.push_back(PerSecond(env, 64, 150,
                               [&](int i) { return Floor(client, "floor" + tag, i, 150, value); }));
    commits.push_back(PerSecond(
        env, 64, 150, [&](int i) { return Commits(*store, "store" + tag, i, 150, value); }));
  }
  std::sort(floors.begin(), floors.end());
  std::sort(commits.begin(), commits.end());
  Print("etcd_floor_64_writers_2kb_per_s", floors[1], "1/s");
  Print("etcd_store_64_writers_2kb_per_s", commits[1], "1/s");
  Print("etcd_floor_alone_us",
        1e6 / PerSecond(env, 1, 300, [&](int i) { return Floor(client, "f", i, 300, value); }),
        "us");
  Print("etcd_store_alone_us",
        1e6 / PerSecond(env, 1, 300, [&](int i) { return Commits(*store, "s", i, 300, value); }),
        "us");
  Print("etcd_latest_revision_alone_us",
        1e6 / PerSecond(env, 1, 500, [&](int) { return Questions(*store, 500); }), "us");
  Print("etcd_latest_revision_64_callers_per_s",
        PerSecond(env, 64, 300, [&](int) { return Questions(*store, 300); }), "1/s");
  client.channel().Stop();
  env.RunToEnd(store->Stop());
}

}  // namespace
}  // namespace gantry

int main(int argc, char** argv) {
  gantry::Run(argc > 1 ? std::atoi(argv[1]) : 1);
  return 0;
}
