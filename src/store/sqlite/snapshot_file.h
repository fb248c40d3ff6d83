#pragma once

#include <cstdint>
#include <string>

#include "store/snapshot.h"
#include "store/sqlite/database.h"
#include "store/sqlite/sqlite_log.h"

// The file of a snapshot, for both kinds of store.
namespace gantry::store {

// A restored store goes on this far above the snapshot, so that no revision that anybody saw before
// is given twice.
constexpr int64_t kRevisionLeap = 1'000'000'000;

// A store's database, made sure of being one.
Result<Database> OpenExisting(const std::string& path);
// The same, and looked through.
Result<Database> OpenSnapshot(const std::string& file);
// The small files: adding them makes the snapshot durable and its owner's only.
Status AddFiles(const std::string& snapshot, const SnapshotFiles& files);
Result<SnapshotFiles> ReadFiles(Database& snapshot);
// The last revision that the saved store had.
Result<int64_t> RevisionOf(Database& snapshot);

}  // namespace gantry::store
