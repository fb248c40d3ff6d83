#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "store/snapshot.h"
#include "store/sqlite/snapshot_file.h"

namespace gantry::store {
namespace {

// A durable copy of all that is committed, in one file.
Status CopyInto(Database& database, const std::string& file) {
  GANTRY_ASSIGN(Statement vacuum, database.Prepare("VACUUM INTO ?1"));
  vacuum.BindText(1, file);
  GANTRY_TRY(vacuum.Run());
  return SyncPath(file);
}

}  // namespace

Result<Database> OpenExisting(const std::string& path) {
  if (access(path.c_str(), R_OK) != 0) return FromErrno(errno, "open " + path);
  Result<Database> database = Database::Open(path, "");
  if (!database.ok()) return database.status().WithContext("open " + path);
  GANTRY_TRY(CheckFormat(*database).WithContext(path));
  return database;
}

Result<Database> OpenSnapshot(const std::string& file) {
  GANTRY_ASSIGN(Database snapshot, OpenExisting(file));
  GANTRY_ASSIGN(std::string verdict, snapshot.QueryText("PRAGMA integrity_check(1)"));
  if (verdict != "ok") return DataLoss("the snapshot " + file + " is damaged: " + verdict);
  return snapshot;
}

Status AddFiles(const std::string& snapshot, const SnapshotFiles& files) {
  {
    GANTRY_ASSIGN(Database database, OpenExisting(snapshot));
    GANTRY_TRY(database.Execute(
        "PRAGMA journal_mode=DELETE; CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY, "
        "content BLOB NOT NULL) WITHOUT ROWID; DELETE FROM files"));
    GANTRY_ASSIGN(Statement insert, database.Prepare("INSERT INTO files VALUES (?1, ?2)"));
    for (const auto& [name, content] : files) {
      insert.BindText(1, name);
      insert.BindBlob(2, content);
      GANTRY_TRY(insert.Run());
    }
  }
  if (chmod(snapshot.c_str(), 0600) != 0) return FromErrno(errno, "chmod " + snapshot);
  return SyncPath(snapshot);
}

Result<SnapshotFiles> ReadFiles(Database& snapshot) {
  SnapshotFiles files;
  GANTRY_ASSIGN(
      const int64_t tables,
      snapshot.QueryInt("SELECT count(*) FROM sqlite_master WHERE type='table' AND name='files'"));
  if (tables == 0) return files;
  GANTRY_ASSIGN(Statement rows, snapshot.Prepare("SELECT name, content FROM files"));
  while (true) {
    GANTRY_ASSIGN(const bool row, rows.Step());
    if (!row) return files;
    files[std::string(rows.Bytes(0))] = std::string(rows.Bytes(1));
  }
}

Result<int64_t> RevisionOf(Database& snapshot) {
  return snapshot.QueryInt(
      "SELECT max(value, (SELECT coalesce(max(revision), 1) FROM log)) FROM meta WHERE name = "
      "'compacted_revision'");
}

Status SaveSqliteSnapshot(const std::string& path, const std::string& file,
                          const SnapshotFiles& files) {
  if (access(file.c_str(), F_OK) == 0)
    return Status(Code::kAlreadyExists, file + " exists already");
  GANTRY_ASSIGN(Database database, OpenExisting(path));
  const std::string partial = file + ".partial";
  unlink(partial.c_str());
  Status status = CopyInto(database, partial);
  if (status.ok()) status = AddFiles(partial, files);
  if (status.ok()) status = RenameDurably(partial, file);
  if (!status.ok()) unlink(partial.c_str());
  return status.WithContext("save a snapshot to " + file);
}

Result<SnapshotFiles> RestoreSqliteSnapshot(const std::string& file, const std::string& path) {
  GANTRY_ASSIGN(FileLock lock, FileLock::Take(path));
  const std::string fresh = path + ".restoring";
  const std::string before = path + ".before-restore";
  SnapshotFiles files;
  {
    GANTRY_ASSIGN(Database snapshot, OpenSnapshot(file));
    GANTRY_ASSIGN(files, ReadFiles(snapshot));
    unlink(fresh.c_str());
    GANTRY_TRY(CopyInto(snapshot, fresh).WithContext("restore the snapshot " + file));
  }
  {
    GANTRY_ASSIGN(Database database, OpenExisting(fresh));
    // One file with everything in it, to be renamed.
    GANTRY_TRY(
        database.Execute("PRAGMA journal_mode=DELETE; DROP TABLE IF EXISTS files; UPDATE meta SET "
                         "value = max(value, (SELECT "
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
  GANTRY_TRY(RenameDurably(fresh, path));
  return files;
}

}  // namespace gantry::store
