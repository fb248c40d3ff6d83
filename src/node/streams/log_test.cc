#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <boost/asio/this_coro.hpp>

#include <atomic>
#include <cstdio>

#include "base/env/notifier.h"
#include "base/env/real/real_env.h"
#include "base/env/spawn.h"
#include "node/os/fs.h"
#include "node/streams/log_file.h"
#include "node/streams/log_stream.h"

namespace gantry::node {
namespace {

class LogTest : public ::testing::Test {
 protected:
  LogTest() {
    EXPECT_NE(mkdtemp(dir_.data()), nullptr);
    path_ = dir_ + "/0.log";
  }
  ~LogTest() override { (void)RemoveTree(dir_); }

  void Append(const std::string& text) {
    std::FILE* file = std::fopen(path_.c_str(), "a");
    std::fputs(text.c_str(), file);
    std::fclose(file);
  }

  std::string dir_ = ::testing::TempDir() + "/log-XXXXXX", path_;
};

std::string Line(int second, const std::string& text, const char* tag = "F") {
  char time[64];
  std::snprintf(time, sizeof time, "2024-05-01T12:00:%02d.000000000+00:00", second);
  return std::string(time) + " stdout " + tag + " " + text + "\n";
}

Task<> ReadLog(Env& env, std::string path, client::LogOptions options, std::string& text) {
  Executor executor = co_await boost::asio::this_coro::executor;
  std::function<bool()> ended = [] { return false; };
  Result<std::unique_ptr<Stream>> stream = OpenLogStream(
      env, executor, std::move(path), std::move(options), std::move(ended), CancelToken());
  EXPECT_TRUE(stream.ok());
  if (!stream.ok()) co_return;
  char buffer[7];
  while (true) {
    Result<size_t> n = co_await (*stream)->Read(buffer);
    if (!n.ok() || *n == 0) break;
    text.append(buffer, *n);
  }
}

TEST_F(LogTest, ReadersGetWhatTheyAskFor) {
  Append(Line(1, "one") + Line(2, "tw", "P") + Line(2, "o") + Line(3, "three") + "damaged\n" +
         Line(4, "") + Line(5, "five"));
  struct Row {
    const char* what;
    void (*set)(client::LogOptions&);
    std::string text;
  };
  const Row kRows[] = {
      {"all", [](client::LogOptions&) {}, "one\ntwo\nthree\n\nfive\n"},
      {"tail", [](client::LogOptions& o) { o.tail_lines = 2; }, "\nfive\n"},
      {"tail 0", [](client::LogOptions& o) { o.tail_lines = 0; }, ""},
      {"tail of more", [](client::LogOptions& o) { o.tail_lines = 100; },
       "one\ntwo\nthree\n\nfive\n"},
      {"bytes", [](client::LogOptions& o) { o.limit_bytes = 6; }, "one\ntw"},
      {"since", [](client::LogOptions& o) { o.since = ParseLogTime("2024-05-01T12:00:03Z"); },
       "three\n\nfive\n"},
      {"since later", [](client::LogOptions& o) { o.since = ParseLogTime("2025-01-01T00:00:00Z"); },
       ""},
      {"times",
       [](client::LogOptions& o) {
         o.timestamps = true;
         o.tail_lines = 1;
       },
       "2024-05-01T12:00:05.000000000Z five\n"},
      {"follow one that has ended", [](client::LogOptions& o) { o.follow = true; },
       "one\ntwo\nthree\n\nfive\n"},
  };
  RealEnv env(1);
  for (const Row& row : kRows) {
    client::LogOptions options;
    row.set(options);
    std::string text;
    env.RunToEnd(ReadLog(env, path_, options, text));
    EXPECT_EQ(text, row.text) << row.what;
  }
}

TEST_F(LogTest, RotationKeepsSoManyFiles) {
  LogLimits limits;
  limits.max_bytes = 100;
  limits.max_files = 3;
  EXPECT_FALSE(RotateLogIfLarge(path_, limits));
  for (int i = 0; i < 6; ++i) {
    Append(Line(i, "short"));
    EXPECT_FALSE(RotateLogIfLarge(path_, limits)) << i;
    Append(Line(i, std::string(100, 'x')));
    EXPECT_TRUE(RotateLogIfLarge(path_, limits)) << i;
    EXPECT_FALSE(Exists(path_));
    EXPECT_EQ(ListDir(dir_).size(), std::min<size_t>(i + 1, 2)) << i;
  }
  // The newest ones stay.
  std::string last = ReadFile(dir_ + "/" + ListDir(dir_).back()).value_or("");
  EXPECT_TRUE(last.starts_with("2024-05-01T12:00:05")) << last;
}

struct Writer {
  explicit Writer(std::string path) : path(std::move(path)) {}
  std::string path;
  std::atomic<bool> alive{true};
  int lines = 0;
};

// Writes and rotates as the monitor and the agent do: for a while lines still go to the file that
// has been renamed.
Task<> WriteLog(Env& env, Writer& writer) {
  LogLimits limits;
  limits.max_bytes = 500;
  limits.max_files = 1000;
  std::FILE* file = std::fopen(writer.path.c_str(), "a");
  for (int i = 0; i < 300; ++i) {
    std::fputs(Line(i % 60, "line " + std::to_string(writer.lines++)).c_str(), file);
    std::fflush(file);
    if (i % 10 == 0) co_await SleepFor(env, std::chrono::milliseconds(1));
    if (RotateLogIfLarge(writer.path, limits)) {
      co_await SleepFor(env, std::chrono::milliseconds(1));
      std::fputs(Line(0, "line " + std::to_string(writer.lines++)).c_str(), file);
      std::fclose(file);
      file = std::fopen(writer.path.c_str(), "a");
      co_await SleepFor(env, std::chrono::milliseconds(3));
    }
  }
  std::fclose(file);
  writer.alive = false;
}

Task<> FollowLog(Env& env, Writer& writer, std::string& text) {
  Executor executor = co_await boost::asio::this_coro::executor;
  std::function<bool()> alive = [&writer] { return writer.alive.load(); };
  client::LogOptions options;
  options.follow = true;
  std::string path = writer.path;
  Result<std::unique_ptr<Stream>> stream = OpenLogStream(
      env, executor, std::move(path), std::move(options), std::move(alive), CancelToken());
  EXPECT_TRUE(stream.ok());
  if (!stream.ok()) co_return;
  Gate gate;
  Spawn(env.MakeStrand(), gate, "writer", WriteLog(env, writer));
  char buffer[4096];
  while (true) {
    Result<size_t> n = co_await (*stream)->Read(buffer);
    if (!n.ok() || *n == 0) break;
    text.append(buffer, *n);
  }
  co_await gate.Close(env);
}

TEST_F(LogTest, FollowersLoseNothingOverRotations) {
  RealEnv env(2);
  Append("");
  Writer writer(path_);
  std::string text, wanted;
  env.RunToEnd(FollowLog(env, writer, text));
  for (int i = 0; i < writer.lines; ++i)
    wanted += "line " + std::to_string(i) + "\n";
  EXPECT_EQ(text, wanted);
}

}  // namespace
}  // namespace gantry::node
