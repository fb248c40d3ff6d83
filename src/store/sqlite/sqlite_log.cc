#include "store/sqlite/sqlite_log.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "base/log.h"

namespace gantry::store {
namespace {

constexpr char kSchema[] = R"(
CREATE TABLE log (
  id INTEGER PRIMARY KEY,
  revision INTEGER NOT NULL,
  create_revision INTEGER NOT NULL,
  key TEXT NOT NULL,
  value BLOB
);
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('compacted_revision', 0);
CREATE VIEW current AS
  SELECT key, revision, create_revision, value FROM log
  WHERE id IN (SELECT max(id) FROM log GROUP BY key) AND value IS NOT NULL;
)";

// A file below this size is checked through at every start; a larger one by reading all of its
// rows.
constexpr int64_t kQuickCheckBytes = 4 << 20;

Status Describe(Status status, const std::string& path) {
  if (status.ok()) return status;
  if (status.code() == Code::kDataLoss) {
    return DataLoss(
        "the store " + path + " is damaged: " + status.message() +
        "; restore a snapshot (gantry snapshot restore FILE), or move it away to begin anew");
  }
  return status.WithContext("open the store " + path);
}

int RememberWalPages(void* pages, sqlite3*, const char*, int count) {
  *static_cast<int*>(pages) = count;
  return SQLITE_OK;
}

}  // namespace

// A file of its own: closing a descriptor of the database file would drop the locks that SQLite has
// on it.
Result<FileLock> FileLock::Take(const std::string& path) {
  FileLock lock(open((path + "-lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.fd_ < 0) return FromErrno(errno, "open the store " + path);
  if (flock(lock.fd_, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) {
    return Status(
        Code::kConflict,
        "the store " + path +
            " is in use by another gantry server; stop that one first, or give this one a "
            "data directory of its own (--data-dir)");
  }
  return FromErrno(errno, "lock the store " + path);
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
FileLock::~FileLock() {
  if (fd_ >= 0) close(fd_);
}

SqliteLog::SqliteLog(FileLock lock, Database database, const SqliteOptions& options)
    : lock_(std::move(lock)),
      database_(std::move(database)),
      failpoints_(options.failpoints),
      checkpoint_pages_(options.checkpoint_pages),
      path_(options.path) {}

SqliteLog::~SqliteLog() = default;

Result<SqliteLog::Opened> SqliteLog::Open(const SqliteOptions& options) {
  GANTRY_ASSIGN(FileLock lock, FileLock::Take(options.path));
  struct stat info{};
  if (stat(options.path.c_str(), &info) != 0 || (S_ISREG(info.st_mode) && info.st_size == 0)) {
    GANTRY_TRY(Describe(Create(options.path), options.path));
  }
  Result<Database> database = Database::Open(options.path, options.vfs);
  if (!database.ok()) return Describe(database.status(), options.path);
  Opened opened;
  opened.log.reset(new SqliteLog(std::move(lock), std::move(database).value(), options));
  SqliteLog& log = *opened.log;
  auto open = [&]() -> Status {
    GANTRY_TRY(log.Prepare());
    if (options.max_bytes > 0) {
      GANTRY_TRY(log.database_.Execute("PRAGMA max_page_count=" +
                                       std::to_string(options.max_bytes / 4096)));
    }
    return log.Load(&opened);
  };
  GANTRY_TRY(Describe(open(), options.path));
  return opened;
}

Status CheckFormat(Database& database) {
  GANTRY_ASSIGN(int64_t application, database.QueryInt("PRAGMA application_id"));
  GANTRY_ASSIGN(int64_t version, database.QueryInt("PRAGMA user_version"));
  if (application != kApplicationId) return DataLoss("this SQLite file was not made by gantry");
  if (version > kFormatVersion) {
    return Status(Code::kInvalid, "it was written by a newer gantry (format " +
                                      std::to_string(version) + "; this one reads up to " +
                                      std::to_string(kFormatVersion) +
                                      "); start that version, or a newer one");
  }
  return Status::Ok();
}

Status SyncPath(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FromErrno(errno, "open " + path);
  const Status status = fsync(fd) == 0 ? Status::Ok() : FromErrno(errno, "fsync " + path);
  close(fd);
  return status;
}

Status RenameDurably(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0)
    return FromErrno(errno, "rename " + from + " to " + to);
  const std::string folder = std::filesystem::path(to).parent_path().string();
  return SyncPath(folder.empty() ? "." : folder);
}

// Makes an empty store beside its place, without an fsync for each step, syncs it as a whole and
// puts it there: a crash leaves all or nothing of it.
Status SqliteLog::Create(const std::string& path) {
  const std::string fresh = path + ".new";
  for (const char* suffix : {"", "-wal", "-shm", "-journal"})
    unlink((fresh + suffix).c_str());
  // Secrets will be in it: for its owner only. SQLite gives its other files the same mode.
  const int fd = open(fresh.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return FromErrno(errno, "make " + fresh);
  close(fd);
  {
    GANTRY_ASSIGN(Database database, Database::Open(fresh, ""));
    GANTRY_TRY(database.Execute(
        "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY; BEGIN;" + std::string(kSchema) +
        "PRAGMA application_id=" + std::to_string(kApplicationId) + "; PRAGMA user_version=" +
        std::to_string(kFormatVersion) + "; COMMIT; PRAGMA journal_mode=WAL"));
  }
  GANTRY_TRY(SyncPath(fresh));
  return RenameDurably(fresh, path);
}

Status SqliteLog::Prepare() {
  GANTRY_TRY(CheckFormat(database_));
  GANTRY_TRY(database_.Execute(
      "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA temp_store=MEMORY"));
  // After the pragma, which removes any hook.
  sqlite3_wal_hook(database_.handle(), RememberWalPages, &wal_pages_);
  GANTRY_ASSIGN(int64_t pages, database_.QueryInt("PRAGMA page_count"));
  if (pages * 4096 < kQuickCheckBytes) {
    GANTRY_ASSIGN(std::string verdict, database_.QueryText("PRAGMA quick_check(1)"));
    // SQLite heads its finding with the database's name, on a line of its own.
    if (verdict != "ok") return DataLoss(verdict.substr(verdict.rfind('\n') + 1));
  }
  GANTRY_TRY(database_.Execute("PRAGMA synchronous=FULL"));
  GANTRY_ASSIGN(begin_, database_.Prepare("BEGIN IMMEDIATE"));
  GANTRY_ASSIGN(commit_, database_.Prepare("COMMIT"));
  GANTRY_ASSIGN(rollback_, database_.Prepare("ROLLBACK"));
  GANTRY_ASSIGN(insert_,
                database_.Prepare("INSERT INTO log (id, revision, create_revision, key, value) "
                                  "VALUES (?1, ?2, ?3, ?4, ?5)"));
  GANTRY_ASSIGN(remove_, database_.Prepare("DELETE FROM log WHERE id = ?1"));
  GANTRY_ASSIGN(set_compacted_,
                database_.Prepare("UPDATE meta SET value = ?1 WHERE name = 'compacted_revision'"));
  return Status::Ok();
}

Status SqliteLog::Load(Opened* opened) {
  GANTRY_ASSIGN(compacted_,
                database_.QueryInt("SELECT value FROM meta WHERE name = 'compacted_revision'"));
  opened->history.SetCompacted(compacted_);
  GANTRY_ASSIGN(
      Statement rows,
      database_.Prepare("SELECT id, revision, create_revision, key, value FROM log ORDER BY id"));
  int64_t last_revision = 0;
  while (true) {
    GANTRY_ASSIGN(bool row, rows.Step());
    if (!row) return Status::Ok();
    opened->last_row = rows.Int(0);
    const int64_t revision = rows.Int(1);
    if (revision < last_revision || revision < 1)
      return DataLoss("the revisions in it are out of order");
    last_revision = revision;
    History::Change change;
    change.row = opened->last_row;
    change.create_revision = rows.Int(2);
    change.key = std::string(rows.Bytes(3));
    if (!rows.IsNull(4)) change.value = std::make_shared<const std::string>(rows.Bytes(4));
    opened->history.Restore(revision, std::move(change), &opened->garbage);
  }
}

Status SqliteLog::Append(std::span<const LogRow> rows, std::span<const int64_t> garbage,
                         int64_t compacted_revision) {
  Reached("log.begin");
  Status status = Write(rows, garbage, compacted_revision);
  const bool room = status.code() != Code::kServiceUnavailable;
  NoteRoom(room);
  // After any other failure nobody knows what is on the disk; the next start will find out.
  if (room) return status.WithContext("write to the store");
  GANTRY_TRY(Undo());
  return Status(Code::kServiceUnavailable,
                "there is no room on the disk of the store: nothing was written; try again when "
                "some has been freed");
}

// SQLite writes a transaction's last page, which makes it count, after all others: where a write
// fails there is nothing that a reader or the next start would take for one.
Status SqliteLog::Undo() {
  if (!database_.in_transaction()) return Status::Ok();
  Status status = rollback_.Run();
  if (status.ok()) return status;
  return Unavailable("undo a write to the store: " + status.message());
}

void SqliteLog::NoteRoom(bool room) {
  if (std::exchange(room_, room) == room) return;
  if (room) {
    log::Info("store", "there is room on the disk again: the store is written to",
              {{"path", path_}});
  } else {
    log::Error("store", "the disk is full: the store takes no writes until there is room",
               {{"path", path_}});
  }
}

Status SqliteLog::Write(std::span<const LogRow> rows, std::span<const int64_t> garbage,
                        int64_t compacted_revision) {
  GANTRY_TRY(begin_.Run());
  for (const LogRow& row : rows) {
    insert_.BindInt(1, row.id);
    insert_.BindInt(2, row.revision);
    insert_.BindInt(3, row.create_revision);
    insert_.BindText(4, row.key);
    if (row.value) {
      insert_.BindBlob(5, *row.value);
    } else {
      insert_.BindNull(5);
    }
    GANTRY_TRY(insert_.Run());
    Reached("log.row");
  }
  GANTRY_TRY(RemoveRows(garbage));
  if (compacted_revision != compacted_) {
    set_compacted_.BindInt(1, compacted_revision);
    GANTRY_TRY(set_compacted_.Run());
  }
  Reached("log.before_commit");
  GANTRY_TRY(commit_.Run());
  compacted_ = compacted_revision;
  Reached("log.after_commit");
  return Status::Ok();
}

Status SqliteLog::RemoveRows(std::span<const int64_t> rows) {
  for (int64_t row : rows) {
    remove_.BindInt(1, row);
    GANTRY_TRY(remove_.Run());
  }
  if (!rows.empty()) Reached("log.garbage");
  return Status::Ok();
}

Status SqliteLog::Maintain(bool idle) {
  const int step = checkpoint_pages_ / 8;
  if (wal_pages_ < (idle ? step : checkpoint_pages_)) return Status::Ok();
  // A whole checkpoint in vain is not made with every commit.
  if (no_room_pages_ > 0 && wal_pages_ < no_room_pages_ + step) return Status::Ok();
  Reached("log.checkpoint");
  const int code = sqlite3_wal_checkpoint_v2(database_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE,
                                             nullptr, nullptr);
  no_room_pages_ = code == SQLITE_FULL ? wal_pages_ : 0;
  wal_pages_ = 0;
  if (no_room_pages_ > 0) return Status::Ok();
  // Busy: somebody reads the file just now; another time.
  if (code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED)
    return Status::Ok();
  return Database::ToStatus(database_.handle(), code).WithContext("checkpoint the store");
}

}  // namespace gantry::store
