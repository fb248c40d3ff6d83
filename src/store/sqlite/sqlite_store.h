#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "store/core/failpoints.h"
#include "store/store.h"

namespace gantry::store {

struct SqliteOptions {
  SqliteOptions() = default;
  explicit SqliteOptions(std::string path) : path(std::move(path)) {}

  std::string path;       // of the database file; its folder exists
  int64_t max_bytes = 0;  // the file grows no further; 0: as far as the disk goes
  // The write-ahead log is folded into the file when it has so many pages (4 KiB), or an eighth of
  // that while nobody waits.
  int checkpoint_pages = 8000;
  std::string vfs;                   // SQLite's file layer; empty: the usual one
  Failpoints* failpoints = nullptr;  // outlives the store; null: none
};

// Opens a store in one SQLite file (made when it is not there), in WAL mode with an fsync per
// transaction. The format is described in README.md; everything that is live or can still be
// watched is also held in memory. Blocks for as long as reading the file takes. Errors, each worded
// so that a user knows what to do: kConflict when another process has it open, kDataLoss when it is
// damaged or not ours, kInvalid when a newer gantry wrote it, kUnavailable or errno's code for what
// the file system says.
Result<std::unique_ptr<Store>> OpenSqliteStore(Env& env, SqliteOptions options);

}  // namespace gantry::store
