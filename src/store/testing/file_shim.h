#pragma once

#include <absl/functional/function_ref.h>

namespace gantry::store::testing {

// What a test does to the files of SQLite. Called on the store's threads.
class FileHooks {
 public:
  virtual ~FileHooks() = default;
  // In place of a write of `size` bytes to the write-ahead log (`wal`) or another file: does as
  // much of it as it likes by `write(bytes)`, and returns SQLite's code.
  virtual int Write(bool wal, int size, absl::FunctionRef<int(int bytes)> write) {
    (void)wal;
    return write(size);
  }
  // In place of an fsync.
  virtual int Sync(bool wal, absl::FunctionRef<int()> sync) {
    (void)wal;
    return sync();
  }
};

// Makes a file layer of this name (SqliteOptions::vfs) that asks `hooks`, which outlive its files.
// One in a process.
void InstallFileShim(const char* name, FileHooks* hooks);

}  // namespace gantry::store::testing
