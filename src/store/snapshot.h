#pragma once

#include <map>
#include <string>

#include "base/env/env.h"
#include "base/status.h"
#include "store/etcd/etcd_store.h"

// Snapshots: all that is live in a store, and small files that belong to it (the cluster's keys),
// in one file for both kinds of store, so that what was saved from one can be restored into the
// other. The file is a SQLite store (README.md) with the table files(name, content) added; for its
// owner only.
namespace gantry::store {

using SnapshotFiles = std::map<std::string, std::string>;

// Writes a consistent copy to `file`, which must not exist. Works while servers run. Blocks.
Status SaveSqliteSnapshot(const std::string& path, const std::string& file,
                          const SnapshotFiles& files);
// Of all keys below /registry/ but those that end with a running server.
Task<Status> SaveEtcdSnapshot(Env& env, EtcdOptions options, std::string file, SnapshotFiles files);

// Checks `file` thoroughly and puts it in the place of the store at `path`, which must not be open.
// What stood there before is kept beside it as `path`.before-restore. Returns the small files.
Result<SnapshotFiles> RestoreSqliteSnapshot(const std::string& file, const std::string& path);
// The same for all keys below /registry/; no server may be running (kConflict). What stood there is
// kept as `file`.before-restore. Not done at once: until it is, no server starts; what was
// interrupted is begun anew.
Task<Result<SnapshotFiles>> RestoreEtcdSnapshot(Env& env, EtcdOptions options, std::string file);

}  // namespace gantry::store
