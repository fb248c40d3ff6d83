#include "store/testing/file_shim.h"

#include <sqlite3.h>

namespace gantry::store::testing {
namespace {

FileHooks* g_hooks = nullptr;
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
  return g_hooks->Write(Shim(file)->wal, size, [&](int bytes) {
    return Below(file)->pMethods->xWrite(Below(file), data, bytes, offset);
  });
}
int ShimSync(sqlite3_file* file, int flags) {
  return g_hooks->Sync(Shim(file)->wal,
                       [&] { return Below(file)->pMethods->xSync(Below(file), flags); });
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

}  // namespace

void InstallFileShim(const char* name, FileHooks* hooks) {
  g_hooks = hooks;
  g_below = sqlite3_vfs_find(nullptr);
  static sqlite3_vfs shim = *g_below;
  shim.zName = name;
  shim.szOsFile = static_cast<int>(sizeof(ShimFile)) + g_below->szOsFile;
  shim.xOpen = ShimOpen;
  shim.pNext = nullptr;
  sqlite3_vfs_register(&shim, 0);
}

}  // namespace gantry::store::testing
