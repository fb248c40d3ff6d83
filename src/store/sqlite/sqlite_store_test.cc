#include "store/sqlite/sqlite_store.h"

#include <gmock/gmock.h>
#include <sqlite3.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "store/snapshot.h"
#include "store/testing/contract.h"
#include "store/testing/file_shim.h"

namespace gantry::store::testing {
namespace {

using ::testing::HasSubstr;

// A folder that goes with the test.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gantry-store-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Every store of the contract suite in a folder of its own; they all go at the end of the program.
std::unique_ptr<Store> MakeForContract(Env& env) {
  static TempFolder folder;
  static int count = 0;
  Result<std::unique_ptr<Store>> store =
      OpenSqliteStore(env, SqliteOptions(folder / (std::to_string(++count) + ".db")));
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  return std::move(store).value();
}

struct SqliteTest : ::testing::Test {
  Result<std::unique_ptr<Store>> Open() { return OpenSqliteStore(env, options); }
  void Close(std::unique_ptr<Store>& store) {
    env.RunToEnd(store->Stop());
    store.reset();
  }
  Result<CommitResult> Commit(Store& store, std::vector<Write> writes) {
    Result<CommitResult> result = InternalError("not run");
    auto body = [](Store& store, std::vector<Write> writes,
                   Result<CommitResult>& result) -> Task<> {
      result = co_await store.Commit(std::move(writes));
    };
    env.RunToEnd(body(store, std::move(writes), result));
    return result;
  }
  int64_t Put(Store& store, std::string key, std::string value) {
    Result<CommitResult> result = Commit(store, {MakeWrite(std::move(key), std::move(value))});
    return result.ok() ? result->revision : 0;
  }
  Status Compact(Store& store, int64_t revision) {
    Status status = InternalError("not run");
    auto body = [](Store& store, int64_t revision, Status& status) -> Task<> {
      status = co_await store.Compact(revision);
    };
    env.RunToEnd(body(store, revision, status));
    return status;
  }
  std::string Content(Store& store, int64_t revision = 0) {
    std::string content;
    auto body = [](Store& store, int64_t revision, std::string& content) -> Task<> {
      Result<ListPage> page = co_await store.List("", "", 0, revision);
      if (!page.ok()) content = page.status().ToString();
      if (!page.ok()) co_return;
      for (const Record& record : page->records) {
        content += record.key + "=" + *record.value + "@" + std::to_string(record.revision) + " ";
      }
    };
    env.RunToEnd(body(store, revision, content));
    return content;
  }
  void RunSql(const std::string& path, const std::string& sql) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK) << error;
    sqlite3_close(database);
  }

  TempFolder folder;
  RealEnv env{2};
  SqliteOptions options{folder / "state.db"};
};

TEST_F(SqliteTest, EverythingIsThereAfterARestart) {
  std::unique_ptr<Store> store = *Open();
  Put(*store, "/a", "1");
  Put(*store, "/b", "1");
  Put(*store, "/a", "2");
  ASSERT_TRUE(Commit(*store, {MakeWrite("/b", std::nullopt)}).ok());
  Put(*store, "/empty", "");
  Close(store);

  store = *Open();
  EXPECT_EQ(store->revision(), 6);
  EXPECT_EQ(Content(*store), "/a=2@4 /empty=@6 ");
  EXPECT_EQ(Content(*store, 3), "/a=1@2 /b=1@3 ");
  std::unique_ptr<WatchStream> stream = *store->Watch("/", 3);
  auto next = [](WatchStream& stream, std::vector<Event>& events) -> Task<> {
    events = *co_await stream.Next(CancelToken());
  };
  std::vector<Event> events;
  env.RunToEnd(next(*stream, events));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1].type, Event::Type::kDelete);
  EXPECT_EQ(*events[1].previous->value, "1");
  stream.reset();
  EXPECT_EQ(Put(*store, "/a", "3"), 7);
  Close(store);
}

TEST_F(SqliteTest, CompactionShrinksTheFileAndKeepsTheRevision) {
  std::unique_ptr<Store> store = *Open();
  for (int i = 0; i < 500; ++i)
    Put(*store, "/a", std::to_string(i));
  ASSERT_TRUE(Commit(*store, {MakeWrite("/a", std::nullopt)}).ok());
  const int64_t last = store->revision();
  ASSERT_TRUE(Compact(*store, last).ok());
  Close(store);
  store = *Open();
  EXPECT_EQ(store->revision(), last);
  EXPECT_EQ(store->compacted_revision(), last);
  EXPECT_EQ(Content(*store), "");
  EXPECT_EQ(Put(*store, "/a", "x"), last + 1);
  Close(store);
  sqlite3* database = nullptr;
  sqlite3_open(options.path.c_str(), &database);
  sqlite3_stmt* count = nullptr;
  sqlite3_prepare_v2(database, "SELECT count(*) FROM log", -1, &count, nullptr);
  sqlite3_step(count);
  EXPECT_EQ(sqlite3_column_int(count, 0), 1);
  sqlite3_finalize(count);
  sqlite3_close(database);
}

TEST_F(SqliteTest, ASecondOpenerIsToldWhatToDo) {
  std::unique_ptr<Store> store = *Open();
  const Status second = Open().status();
  EXPECT_EQ(second.code(), Code::kConflict);
  EXPECT_THAT(second.message(), HasSubstr("in use by another gantry server"));
  EXPECT_EQ(Put(*store, "/a", "1"), 2);
  Close(store);
  store = *Open();
  Close(store);
}

TEST_F(SqliteTest, DamagedForeignAndNewerFilesAreRefusedUntouched) {
  struct Row {
    const char* why;
    std::function<void(const std::string& path)> make;
    Code code;
    const char* message;
  };
  const Row rows[] = {
      {"not a database",
       [](const std::string& path) { std::ofstream(path) << std::string(8192, 'x'); },
       Code::kDataLoss, "is damaged"},
      {"somebody else's", [this](const std::string& path) { RunSql(path, "CREATE TABLE t (a)"); },
       Code::kDataLoss, "not made by gantry"},
      {"newer",
       [this](const std::string& path) {
         std::unique_ptr<Store> store = *OpenSqliteStore(env, SqliteOptions(path));
         Close(store);
         RunSql(path, "PRAGMA user_version=99");
       },
       Code::kInvalid, "newer gantry (format 99"},
      {"torn pages",
       [this](const std::string& path) {
         std::unique_ptr<Store> store = *OpenSqliteStore(env, SqliteOptions(path));
         for (int i = 0; i < 200; ++i)
           Put(*store, "/key/" + std::to_string(i), std::string(500, 'v'));
         Close(store);
         std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
         file.seekp(4096 * 5);
         file << std::string(4096 * 3, '\x7f');
       },
       Code::kDataLoss, "gantry snapshot restore"},
      {"a folder", [](const std::string& path) { std::filesystem::create_directory(path); },
       Code::kUnavailable, ""},
  };
  for (size_t i = 0; i < std::size(rows); ++i) {
    SCOPED_TRACE(rows[i].why);
    const std::string path = folder / ("bad" + std::to_string(i));
    rows[i].make(path);
    const auto size = std::filesystem::is_directory(path) ? 0 : std::filesystem::file_size(path);
    const Status status = OpenSqliteStore(env, SqliteOptions(path)).status();
    EXPECT_FALSE(status.ok());
    if (rows[i].code != Code::kUnavailable)
      EXPECT_EQ(status.code(), rows[i].code) << status.ToString();
    EXPECT_THAT(status.message(), HasSubstr(rows[i].message));
    EXPECT_THAT(status.message(), HasSubstr(path));
    if (size > 0) EXPECT_EQ(std::filesystem::file_size(path), size);
  }
  const Status missing =
      OpenSqliteStore(env, SqliteOptions(folder / "no/such/folder/state.db")).status();
  EXPECT_EQ(missing.code(), Code::kNotFound) << missing.ToString();
}

TEST_F(SqliteTest, AFileThatMayGrowNoFurtherLosesNothing) {
  options.max_bytes = 256 << 10;
  std::unique_ptr<Store> store = *Open();
  int64_t acknowledged = 0;
  Status failure;
  for (int i = 0; i < 1000 && failure.ok(); ++i) {
    Result<CommitResult> result =
        Commit(*store, {MakeWrite("/" + std::to_string(i), std::string(2000, 'x'))});
    if (result.ok()) acknowledged = result->revision;
    failure = result.status();
  }
  EXPECT_EQ(failure.code(), Code::kServiceUnavailable);
  EXPECT_THAT(failure.message(), HasSubstr("no room on the disk of the store"));
  EXPECT_EQ(store->revision(), acknowledged);
  EXPECT_TRUE(store->Watch("/", 1).ok());
  Close(store);
  options.max_bytes = 0;
  store = *Open();
  EXPECT_EQ(store->revision(), acknowledged);
  EXPECT_EQ(Put(*store, "/late", "x"), acknowledged + 1);
  Close(store);
}

// From its `first` write on so many fail for lack of room, by half.
class FullDisk final : public FileHooks {
 public:
  int Write(bool, int size, absl::FunctionRef<int(int bytes)> write) override {
    const int number = writes_++;
    if (number < first || number >= first + count) return write(size);
    write(size / 2);
    return SQLITE_FULL;
  }
  int Sync(bool, absl::FunctionRef<int()>) override { return SQLITE_OK; }  // that is not the point
  void Begin(int first_write, int how_many) {
    writes_ = 0;
    first = first_write;
    count = how_many;
  }
  bool over() const { return writes_ >= first + count; }

 private:
  std::atomic<int> writes_ = 0, first = 0, count = 0;
};

// Wherever the disk is full, in the log or when it is folded into the file: what was refused is not
// there, what was acknowledged is, for readers, after a crash at that moment, and after a restart.
TEST_F(SqliteTest, AFullDiskRefusesWritesUntilThereIsRoom) {
  static FullDisk disk;
  InstallFileShim("full", &disk);
  options.vfs = "full";
  options.checkpoint_pages = 16;
  bool checkpoints_failed = false;
  for (int first = 0; first < 100; first += 3) {
    SCOPED_TRACE("full from write " + std::to_string(first) + " on");
    disk.Begin(1 << 30, 0);
    options.path = folder / ("full-" + std::to_string(first) + ".db");
    std::unique_ptr<Store> store = *Open();
    std::unique_ptr<WatchStream> stream = *store->Watch("/", 1);
    int refused = 0;
    std::string content = Content(*store);
    disk.Begin(first, 1 + first % 9);
    for (int i = 0; i < 40 || !disk.over(); ++i) {
      ASSERT_LT(i, 200);
      const int64_t before = store->revision();
      std::vector<Write> writes = {MakeWrite("/" + std::to_string(i % 7), std::string(900, 'x')),
                                   MakeWrite("/" + std::to_string(i % 11 + 7), std::nullopt)};
      if (i % 3 == 0) writes[1] = MakeWrite("/" + std::to_string(i % 11 + 7), "y");
      Result<CommitResult> result = Commit(*store, std::move(writes));
      if (result.ok()) {
        content = Content(*store);
      } else {
        EXPECT_EQ(result.code(), Code::kServiceUnavailable) << result.status().ToString();
        EXPECT_EQ(store->revision(), before);
        EXPECT_EQ(Content(*store), content);
        EXPECT_TRUE(store->refused_at());
        if (refused++ == 0) {
          SqliteOptions crashed(folder / ("crashed-" + std::to_string(first) + ".db"));
          for (const char* suffix : {"", "-wal"})
            std::filesystem::copy_file(options.path + suffix, crashed.path + suffix);
          std::unique_ptr<Store> copy = *OpenSqliteStore(env, crashed);
          EXPECT_EQ(Content(*copy), content);
          EXPECT_EQ(copy->revision(), before);
          Close(copy);
        }
      }
      if (i % 10 == 9) (void)Compact(*store, store->revision() - 3);
    }
    checkpoints_failed |= refused == 0;
    stream.reset();
    const int64_t revision = store->revision();
    Close(store);
    store = *Open();
    EXPECT_EQ(Content(*store), content);
    EXPECT_EQ(store->revision(), revision);
    Close(store);
  }
  EXPECT_TRUE(checkpoints_failed) << "no checkpoint was in the way";
}

TEST_F(SqliteTest, ASnapshotOfARunningStoreCanBeRestored) {
  const SnapshotFiles kFiles = {{"pki/ca.crt", "certificate"}, {"token", std::string("a\0b", 3)}};
  std::unique_ptr<Store> store = *Open();
  Put(*store, "/a", "1");
  Put(*store, "/b", "1");
  const std::string file = folder / "snapshot.db";
  ASSERT_TRUE(SaveSqliteSnapshot(options.path, file, kFiles).ok());
  EXPECT_EQ(SaveSqliteSnapshot(options.path, file, kFiles).code(), Code::kAlreadyExists);
  Put(*store, "/a", "2");
  const int64_t seen = store->revision();
  EXPECT_EQ(RestoreSqliteSnapshot(file, options.path).code(), Code::kConflict);
  Close(store);

  Result<SnapshotFiles> files = RestoreSqliteSnapshot(file, options.path);
  ASSERT_TRUE(files.ok()) << files.status().ToString();
  EXPECT_EQ(*files, kFiles);
  store = *Open();
  EXPECT_EQ(Content(*store), "/a=1@2 /b=1@3 ");
  // Nobody may mistake what comes now for something seen before the restore.
  EXPECT_GT(store->revision(), seen);
  EXPECT_EQ(store->Watch("/", seen).code(), Code::kExpired);
  EXPECT_GT(Put(*store, "/c", "1"), seen);
  Close(store);
  std::unique_ptr<Store> before =
      *OpenSqliteStore(env, SqliteOptions(options.path + ".before-restore"));
  EXPECT_EQ(Content(*before), "/a=2@4 /b=1@3 ");
  Close(before);

  std::ofstream(folder / "junk") << std::string(5000, 'j');
  EXPECT_FALSE(RestoreSqliteSnapshot(folder / "junk", options.path).ok());
  EXPECT_EQ(SaveSqliteSnapshot(folder / "nothing", folder / "x", {}).code(), Code::kNotFound);
}

TEST_F(SqliteTest, TheFileCanBeReadWithOrdinaryTools) {
  std::unique_ptr<Store> store = *Open();
  Put(*store, "/a", "1");
  Put(*store, "/a", "2");
  Put(*store, "/b", "1");
  ASSERT_TRUE(Commit(*store, {MakeWrite("/b", std::nullopt)}).ok());
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(options.path.c_str(), &database), SQLITE_OK);
  sqlite3_stmt* query = nullptr;
  ASSERT_EQ(sqlite3_prepare_v2(database, "SELECT key, revision FROM current", -1, &query, nullptr),
            SQLITE_OK);
  ASSERT_EQ(sqlite3_step(query), SQLITE_ROW);
  EXPECT_EQ(sqlite3_column_int64(query, 1), 3);
  EXPECT_EQ(sqlite3_step(query), SQLITE_DONE);
  sqlite3_finalize(query);
  sqlite3_close(database);
  Close(store);
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreContract, ::testing::Values(StoreMaker(MakeForContract)));

}  // namespace gantry::store::testing
