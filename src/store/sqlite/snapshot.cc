#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "store/sqlite/sqlite_log.h"
#include "store/sqlite/sqlite_store.h"

namespace gantry::store {
namespace {

// A restored store goes on this far above the snapshot, so that no revision that anybody saw before
// is given twice.
constexpr int64_t kRevisionLeap = 1'000'000'000;

// A store's database, made sure of being one.
Result<Database> OpenExisting(const std::string& path) {
  if (access(path.c_str(), R_OK) != 0) return FromErrno(errno, "open " + path);
  Result<Database> database = Database::Open(path, "");
  if (!database.ok()) return database.status().WithContext("open " + path);
  GANTRY_TRY(CheckFormat(*database).WithContext(path));
  return database;
}

// A durable copy of all that is committed, in one file.
Status CopyInto(Database& database, const std::string& file) {
  GANTRY_ASSIGN(Statement vacuum, database.Prepare("VACUUM INTO ?1"));
  vacuum.BindText(1, file);
  GANTRY_TRY(vacuum.Run());
  return SyncPath(file);
}

}  // namespace

Status SaveSqliteSnapshot(const std::string& path, const std::string& file) {
  if (access(file.c_str(), F_OK) == 0)
    return Status(Code::kAlreadyExists, file + " exists already");
  GANTRY_ASSIGN(Database database, OpenExisting(path));
  const std::string partial = file + ".partial";
  unlink(partial.c_str());
  Status status = CopyInto(database, partial);
  if (status.ok()) status = RenameDurably(partial, file);
  if (!status.ok()) unlink(partial.c_str());
  return status.WithContext("save a snapshot to " + file);
}

Status RestoreSqliteSnapshot(const std::string& file, const std::string& path) {
  GANTRY_ASSIGN(FileLock lock, FileLock::Take(path));
  const std::string fresh = path + ".restoring";
  const std::string before = path + ".before-restore";
  {
    GANTRY_ASSIGN(Database snapshot, OpenExisting(file));
    GANTRY_ASSIGN(std::string verdict, snapshot.QueryText("PRAGMA integrity_check(1)"));
    if (verdict != "ok") return DataLoss("the snapshot " + file + " is damaged: " + verdict);
    unlink(fresh.c_str());
    GANTRY_TRY(CopyInto(snapshot, fresh).WithContext("restore the snapshot " + file));
  }
  {
    GANTRY_ASSIGN(Database database, OpenExisting(fresh));
    // One file with everything in it, to be renamed.
    GANTRY_TRY(
        database.Execute("PRAGMA journal_mode=DELETE; UPDATE meta SET value = max(value, (SELECT "
                         "coalesce(max(revision), 1) FROM log)) + " +
                         std::to_string(kRevisionLeap) + " WHERE name = 'compacted_revision'"));
  }
  if (access(path.c_str(), F_OK) == 0) {
    // The write-ahead log belongs to the old file only: it is folded into it, or kept with it where
    // that fails.
    if (Result<Database> old = OpenExisting(path); old.ok()) {
      Status folded = old->Execute("PRAGMA wal_checkpoint(TRUNCATE)");
      if (!folded.ok()) return folded.WithContext("restore the snapshot " + file);
    }
    for (const char* suffix : {"", "-wal", "-shm"})
      unlink((before + suffix).c_str());
    rename((path + "-wal").c_str(), (before + "-wal").c_str());
    unlink((path + "-shm").c_str());
    if (link(path.c_str(), before.c_str()) != 0)
      return FromErrno(errno, "keep the old store as " + before);
  }
  return RenameDurably(fresh, path);
}

}  // namespace gantry::store
