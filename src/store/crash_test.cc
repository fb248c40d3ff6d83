// Kills a process that writes to a store, again and again, at chosen places inside a commit and at
// any moment, and looks each time at what is left: every acknowledged write is there, none is half
// there, revisions never go back.
//
// GANTRY_CRASH_KILLS says how many times (1000 by default).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <vector>

#include "base/env/real/real_env.h"
#include "store/sqlite/sqlite_store.h"
#include "store/testing/crash_protocol.h"

namespace gantry::store::testing {
namespace {

struct Place {
  const char* name;
  int max_hits;  // at most so many times before the kill: places that are rarely reached get few
};
const Place kPlaces[] = {
    {"none", 1},
    {"commit.begin", 40},
    {"commit.checked", 40},
    {"log.begin", 40},
    {"log.row", 60},
    {"log.garbage", 8},
    {"log.before_commit", 40},
    {"log.after_commit", 40},
    {"commit.durable", 40},
    {"commit.published", 40},
    {"commit.answered", 40},
    {"vfs.wal_write", 80},
    {"vfs.wal_sync", 40},
    {"log.checkpoint", 1},
    {"vfs.file_write", 5},
    {"vfs.file_sync", 1},
};

// What the parent knows of one writer.
struct Known {
  int64_t sequence = 0;  // of the last write that is known to be done; 0: none
  int64_t revision = 0;
  int64_t next = 0;  // of the write that may have been on its way
};

// The value that a write leaves behind; empty: none.
std::string Left(int64_t writer, int64_t sequence) {
  return sequence % 8 == 0 ? "" : CrashValue(writer, sequence);
}

class Child {
 public:
  Child(const std::string& program, const std::vector<std::string>& arguments) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    output_ = ends[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::vector<char*> argv{const_cast<char*>(program.c_str())};
    for (const std::string& argument : arguments)
      argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    EXPECT_EQ(posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
  }
  ~Child() {
    Kill();
    close(output_);
  }

  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, &wait_status_, 0);
    pid_ = -1;
  }

  // Reads until the child is dead; kills it once it has been talking for `patience_ms`. What it
  // said last counts too.
  void Listen(std::map<int64_t, Known>& known, int64_t& last_revision, int patience_ms) {
    bool killed = false;
    const int64_t give_up = NowMs() + patience_ms;
    while (true) {
      pollfd waiting{output_, POLLIN, 0};
      const int64_t left = give_up - NowMs();
      if (!killed && (left <= 0 || poll(&waiting, 1, static_cast<int>(left)) == 0)) {
        Kill();
        killed = true;
      }
      Acknowledgement acknowledgements[256];
      const ssize_t got = read(output_, acknowledgements, sizeof acknowledgements);
      if (got <= 0) break;
      ASSERT_EQ(got % sizeof(Acknowledgement), 0u);
      for (size_t i = 0; i < static_cast<size_t>(got) / sizeof(Acknowledgement); ++i) {
        const Acknowledgement& one = acknowledgements[i];
        known[one.writer] = Known{one.sequence, one.revision, one.sequence + 1};
        ++acknowledged_;
        last_revision = std::max(last_revision, one.revision);
      }
    }
    if (pid_ > 0) {
      waitpid(pid_, &wait_status_, 0);
      pid_ = -1;
    }
  }

  int64_t acknowledged() const { return acknowledged_; }
  bool was_killed() const { return WIFSIGNALED(wait_status_) && WTERMSIG(wait_status_) == SIGKILL; }

 private:
  static int64_t NowMs() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
  }

  pid_t pid_ = -1;
  int output_ = -1;
  int wait_status_ = 0;
  int64_t acknowledged_ = 0;
};

struct Finding {
  int64_t revision = 0;
  int64_t compacted = 0;
  std::map<std::string, Record> records;
};

Task<> Look(Store& store, Finding& finding) {
  Result<ListPage> page = co_await store.List("/writer/");
  EXPECT_TRUE(page.ok()) << page.status().ToString();
  if (!page.ok()) co_return;
  finding.revision = page->revision;
  finding.compacted = store.compacted_revision();
  for (Record& record : page->records)
    finding.records[record.key] = record;
}

std::string ChildProgram() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "store_crash_child";
}

TEST(Crash, NothingAcknowledgedIsLostAndNothingIsHalfDone) {
  const char* asked = getenv("GANTRY_CRASH_KILLS");
  const int kills = asked ? atoi(asked) : 1000;
  std::string folder = (std::filesystem::temp_directory_path() / "gantry-crash-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  struct Sweep {
    std::string folder;
    ~Sweep() { std::filesystem::remove_all(folder); }
  } sweep{folder};
  const std::string program = ChildProgram();
  RealEnv env(1);
  uint64_t random = 88172645463325252;
  auto below = [&random](int bound) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return static_cast<int>(random % static_cast<uint64_t>(bound));
  };

  std::map<int64_t, Known> known;
  int64_t last_revision = 1, last_compacted = 0, first_sequence = 1, acknowledged = 0;
  std::map<std::string, int> died_at;
  std::string path;
  for (int kill_number = 0; kill_number < kills; ++kill_number) {
    // A new database now and then: the first commits of one are crash points too.
    if (kill_number % 25 == 0) {
      path = folder + "/" + std::to_string(kill_number) + ".db";
      known.clear();
      last_revision = 1;
      last_compacted = 0;
    }
    const Place& place = kPlaces[below(std::size(kPlaces))];
    SCOPED_TRACE("kill " + std::to_string(kill_number) + " at " + place.name);
    const int hits = 1 + below(place.max_hits);
    for (int64_t writer = 0; writer < kCrashWriters; ++writer)
      known[writer].next = first_sequence;
    Child child(program, {path, std::to_string(first_sequence), place.name, std::to_string(hits)});
    child.Listen(known, last_revision, strcmp(place.name, "none") == 0 ? 1 + below(30) : 150);
    if (::testing::Test::HasFatalFailure()) return;
    ASSERT_TRUE(child.was_killed()) << "the child ended by itself";
    ++died_at[place.name];

    Result<std::unique_ptr<Store>> store = OpenSqliteStore(env, SqliteOptions(path));
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    Finding finding;
    env.RunToEnd(Look(**store, finding));
    env.RunToEnd((*store)->Stop());
    ASSERT_GE(finding.revision, last_revision) << "the revision went back";
    ASSERT_GE(finding.compacted, last_compacted) << "a compaction was undone";
    for (int64_t writer = 0; writer < kCrashWriters; ++writer) {
      const Record& left = finding.records[CrashKey(writer, 0)];
      const Record& right = finding.records[CrashKey(writer, 1)];
      ASSERT_EQ(left.revision, right.revision) << "half of a batch of writer " << writer;
      const std::string value = left.value ? *left.value : "";
      ASSERT_EQ(value, right.value ? *right.value : "") << "half of a batch of writer " << writer;
      Known& one = known[writer];
      if (value == Left(writer, one.sequence)) {
        if (left.value) ASSERT_EQ(left.revision, one.revision);
      } else {
        ASSERT_EQ(value, Left(writer, one.next))
            << "writer " << writer << " had " << one.sequence << " acknowledged and " << one.next
            << " on its way";
        ASSERT_TRUE(!left.value || left.revision > one.revision);
        one.sequence = one.next;
        one.revision = left.revision;
      }
      first_sequence = std::max(first_sequence, one.next + 1);
    }
    last_revision = finding.revision;
    last_compacted = finding.compacted;
    acknowledged += child.acknowledged();
  }
  for (const Place& place : kPlaces) {
    if (kills >= 500) EXPECT_GT(died_at[place.name], 0) << place.name << " was never tried";
  }
  std::printf("%d kills, %lld acknowledged writes\n", kills, static_cast<long long>(acknowledged));
  EXPECT_GT(acknowledged, kills) << "too little was written to prove anything";
}

}  // namespace
}  // namespace gantry::store::testing
