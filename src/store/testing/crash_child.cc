// A process that writes to a store until it is killed. The parent (crash_test.cc) knows what was
// acknowledged: each writer reports on standard output, in one write(2) of 24 bytes, {writer,
// sequence, revision} after Commit returned.
//
//   crash_child DATABASE FIRST_SEQUENCE FAILPOINT HITS
//
// Dies by its own SIGKILL when FAILPOINT has been reached HITS times ("none": waits to be killed).
// A place that begins with "vfs." is inside SQLite's file layer: the write that it names is done by
// half first.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/env/real/real_env.h"
#include "base/env/spawn.h"
#include "store/sqlite/sqlite_store.h"
#include "store/testing/crash_protocol.h"
#include "store/testing/file_shim.h"

namespace gantry::store::testing {
namespace {

[[noreturn]] void Die() {
  kill(getpid(), SIGKILL);
  while (true)
    pause();
}

class DeadlyPlace : public Failpoints {
 public:
  DeadlyPlace(std::string place, int hits) : place_(std::move(place)), left_(hits) {}
  void Reached(std::string_view place) override {
    if (place == place_ && --left_ == 0) Die();
  }
  // True when the write that is asked about is the last one.
  bool Deadly(std::string_view place) { return place == place_ && --left_ == 0; }

 private:
  const std::string place_;
  std::atomic<int> left_;
};

class DeadlyFiles final : public FileHooks {
 public:
  explicit DeadlyFiles(DeadlyPlace* place) : place_(place) {}
  int Write(bool wal, int size, absl::FunctionRef<int(int bytes)> write) override {
    if (place_->Deadly(wal ? "vfs.wal_write" : "vfs.file_write")) {
      write(size / 2);
      Die();
    }
    return write(size);
  }
  int Sync(bool wal, absl::FunctionRef<int()> sync) override {
    if (place_->Deadly(wal ? "vfs.wal_sync" : "vfs.file_sync")) Die();
    return sync();
  }

 private:
  DeadlyPlace* const place_;
};

void Acknowledge(const Acknowledgement& acknowledgement) {
  if (write(STDOUT_FILENO, &acknowledgement, sizeof acknowledgement) != sizeof acknowledgement)
    _exit(3);
}

// Each batch writes the same sequence number to both keys of the writer, or deletes both.
Task<> WriteForever(Store& store, int64_t writer, int64_t sequence) {
  for (;; ++sequence) {
    std::vector<Write> writes(2);
    for (int half = 0; half < 2; ++half) {
      writes[half].key = CrashKey(writer, half);
      if (sequence % 8 != 0)
        writes[half].value = std::make_shared<const std::string>(CrashValue(writer, sequence));
    }
    Result<CommitResult> result = co_await store.Commit(std::move(writes));
    if (!result.ok()) {
      std::fprintf(stderr, "commit: %s\n", result.status().ToString().c_str());
      _exit(4);
    }
    Acknowledge(Acknowledgement{writer, sequence, result->revision});
  }
}

Task<> CompactForever(Store& store) {
  while (true) {
    Status status = co_await store.Compact(store.revision() / 2 + store.compacted_revision() / 2);
    if (!status.ok()) _exit(5);
    std::vector<Write> writes(1);
    writes[0].key = "/compactor";
    writes[0].value = std::make_shared<const std::string>("x");
    Result<CommitResult> result = co_await store.Commit(std::move(writes));
    if (!result.ok()) _exit(5);
  }
}

int Main(char** argv) {
  DeadlyPlace place(argv[3], atoi(argv[4]));
  DeadlyFiles files(&place);
  InstallFileShim("crashing", &files);
  RealEnv env(1);
  SqliteOptions options(argv[1]);
  options.failpoints = &place;
  options.vfs = "crashing";
  options.checkpoint_pages = 150;
  Result<std::unique_ptr<Store>> store = OpenSqliteStore(env, options);
  if (!store.ok()) {
    std::fprintf(stderr, "open: %s\n", store.status().ToString().c_str());
    return 2;
  }
  Gate gate;
  for (int64_t writer = 0; writer < kCrashWriters; ++writer) {
    Spawn(env.MakeStrand(), gate, "writer", WriteForever(**store, writer, atoll(argv[2])));
  }
  Spawn(env.MakeStrand(), gate, "compactor", CompactForever(**store));
  while (true)
    pause();
}

}  // namespace
}  // namespace gantry::store::testing

int main(int argc, char** argv) { return argc == 5 ? gantry::store::testing::Main(argv) : 1; }
