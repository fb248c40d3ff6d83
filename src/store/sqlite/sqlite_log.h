#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/core/commit_log.h"
#include "store/core/failpoints.h"
#include "store/core/history.h"
#include "store/sqlite/database.h"
#include "store/sqlite/sqlite_store.h"

namespace gantry::store {

// "GNTY": what file(1) and we know the file by.
constexpr int64_t kApplicationId = 0x474e5459;
// Raised when an older gantry could no longer read the file.
constexpr int64_t kFormatVersion = 1;

// kDataLoss: not a store of ours. kInvalid: too new.
Status CheckFormat(Database& database);

// fsync of a file or folder.
Status SyncPath(const std::string& path);
// The name in the folder is durable, too. The file has been synced before.
Status RenameDurably(const std::string& from, const std::string& to);

// Holds an advisory lock on a store for as long as it lives; the kernel lets go of it when the
// process dies.
class FileLock {
 public:
  static Result<FileLock> Take(const std::string& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

// The changes as rows of a table, in the order in which they were made. Threading: one thread at a
// time.
class SqliteLog final : public CommitLog {
 public:
  struct Opened {
    std::unique_ptr<SqliteLog> log;
    History history;
    int64_t last_row = 0;
    std::vector<int64_t> garbage;
  };
  static Result<Opened> Open(const SqliteOptions& options);
  ~SqliteLog() override;

  Status Append(std::span<const LogRow> rows, std::span<const int64_t> garbage,
                int64_t compacted_revision) override;
  Status Maintain(bool idle) override;

 private:
  SqliteLog(FileLock lock, Database database, const SqliteOptions& options);

  static Status Create(const std::string& path);
  Status Prepare();
  Status Load(Opened* opened);
  Status Write(std::span<const LogRow> rows, std::span<const int64_t> garbage,
               int64_t compacted_revision);
  Status RemoveRows(std::span<const int64_t> rows);
  // Takes back what there was no room for.
  Status Undo();
  void NoteRoom(bool room);
  void Reached(std::string_view place) {
    if (failpoints_) failpoints_->Reached(place);
  }

  FileLock lock_;
  Database database_;
  Statement begin_, commit_, rollback_, insert_, remove_, set_compacted_;
  Failpoints* const failpoints_;
  const int checkpoint_pages_;
  const std::string path_;
  int64_t compacted_ = 0;
  int wal_pages_ = 0;
  int no_room_pages_ =
      0;              // how many there were when there was no room to fold them in; 0: there is
  bool room_ = true;  // as it was said last
};

}  // namespace gantry::store
