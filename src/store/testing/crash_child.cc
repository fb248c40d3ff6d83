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
#include <sqlite3.h>
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

DeadlyPlace* g_place = nullptr;
sqlite3_vfs* g_below = nullptr;

// SQLite's own file with ours in front of it.
struct ShimFile {
  sqlite3_file base;
  bool wal;
  sqlite3_file* below() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
ShimFile* Shim(sqlite3_file* file) { return reinterpret_cast<ShimFile*>(file); }
sqlite3_file* Below(sqlite3_file* file) { return Shim(file)->below(); }

int ShimWrite(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  if (g_place->Deadly(Shim(file)->wal ? "vfs.wal_write" : "vfs.file_write")) {
    Below(file)->pMethods->xWrite(Below(file), data, size / 2, offset);
    Die();
  }
  return Below(file)->pMethods->xWrite(Below(file), data, size, offset);
}
int ShimSync(sqlite3_file* file, int flags) {
  if (g_place->Deadly(Shim(file)->wal ? "vfs.wal_sync" : "vfs.file_sync")) Die();
  return Below(file)->pMethods->xSync(Below(file), flags);
}

const sqlite3_io_methods kShimMethods = {
    .iVersion = 2,
    .xClose = [](sqlite3_file* f) { return Below(f)->pMethods->xClose(Below(f)); },
    .xRead = [](sqlite3_file* f, void* d, int n,
                sqlite3_int64 o) { return Below(f)->pMethods->xRead(Below(f), d, n, o); },
    .xWrite = ShimWrite,
    .xTruncate = [](sqlite3_file* f,
                    sqlite3_int64 n) { return Below(f)->pMethods->xTruncate(Below(f), n); },
    .xSync = ShimSync,
    .xFileSize = [](sqlite3_file* f,
                    sqlite3_int64* n) { return Below(f)->pMethods->xFileSize(Below(f), n); },
    .xLock = [](sqlite3_file* f, int l) { return Below(f)->pMethods->xLock(Below(f), l); },
    .xUnlock = [](sqlite3_file* f, int l) { return Below(f)->pMethods->xUnlock(Below(f), l); },
    .xCheckReservedLock =
        [](sqlite3_file* f, int* r) { return Below(f)->pMethods->xCheckReservedLock(Below(f), r); },
    .xFileControl = [](sqlite3_file* f, int op,
                       void* a) { return Below(f)->pMethods->xFileControl(Below(f), op, a); },
    .xSectorSize = [](sqlite3_file* f) { return Below(f)->pMethods->xSectorSize(Below(f)); },
    .xDeviceCharacteristics =
        [](sqlite3_file* f) { return Below(f)->pMethods->xDeviceCharacteristics(Below(f)); },
    .xShmMap = [](sqlite3_file* f, int p, int n, int e,
                  void volatile** d) { return Below(f)->pMethods->xShmMap(Below(f), p, n, e, d); },
    .xShmLock = [](sqlite3_file* f, int o, int n,
                   int l) { return Below(f)->pMethods->xShmLock(Below(f), o, n, l); },
    .xShmBarrier = [](sqlite3_file* f) { Below(f)->pMethods->xShmBarrier(Below(f)); },
    .xShmUnmap = [](sqlite3_file* f, int d) { return Below(f)->pMethods->xShmUnmap(Below(f), d); },
};

int ShimOpen(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  Shim(file)->wal = (flags & SQLITE_OPEN_WAL) != 0;
  const int code = g_below->xOpen(g_below, name, Below(file), flags, out_flags);
  file->pMethods = Below(file)->pMethods ? &kShimMethods : nullptr;
  return code;
}

void InstallShim() {
  g_below = sqlite3_vfs_find(nullptr);
  static sqlite3_vfs shim = *g_below;
  shim.zName = "crashing";
  shim.szOsFile = static_cast<int>(sizeof(ShimFile)) + g_below->szOsFile;
  shim.xOpen = ShimOpen;
  shim.pNext = nullptr;
  sqlite3_vfs_register(&shim, 0);
}

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
  g_place = &place;
  InstallShim();
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
