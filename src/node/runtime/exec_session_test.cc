#include "node/runtime/exec_session.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/env/real/real_env.h"

namespace gantry::node {
namespace {

using Channel = client::ExecSession::Output::Channel;

struct Outcome {
  size_t out = 0, err = 0;
  int exit_code = -1;
};

Task<> RunShell(Env& env, std::string script, Outcome& outcome) {
  ProcessOptions options;
  options.argv = {"/bin/sh", "-c", std::move(script)};
  ExecRequest request;
  request.id = "sh";
  request.stdout_open = request.stderr_open = true;
  std::string no_file;
  Result<std::unique_ptr<client::ExecSession>> session = co_await StartExec(
      env, std::move(options), std::move(request), std::move(no_file), std::string());
  EXPECT_TRUE(session.ok()) << session.status().ToString();
  if (!session.ok()) co_return;
  while (true) {
    Result<std::optional<client::ExecSession::Output>> output = co_await (*session)->ReadOutput();
    if (!output.ok() || !*output) break;
    ((*output)->channel == Channel::kStderr ? outcome.err : outcome.out) += (*output)->bytes.size();
  }
  Result<int> code = co_await (*session)->ExitCode();
  if (code.ok()) outcome.exit_code = *code;
}

TEST(ExecSession, BothOutputsArriveWholeWhenTheyComeAtTheSameTime) {
  RealEnv env(2);
  for (int round = 0; round < 20; ++round) {
    Outcome outcome;
    std::string script = "yes err | head -c 400000 >&2 & yes out | head -c 400000; wait; exit 7";
    env.RunToEnd(RunShell(env, std::move(script), outcome));
    EXPECT_EQ(outcome.out, 400000u);
    EXPECT_EQ(outcome.err, 400000u);
    EXPECT_EQ(outcome.exit_code, 7);
  }
}

// A runtime that makes a terminal, hands it over, and has ended before anybody looks.
constexpr char kHandsOver[] = R"(
import os, socket, sys
ours, theirs = os.openpty()
os.write(theirs, b"said")
to = socket.socket(socket.AF_UNIX)
to.connect(sys.argv[sys.argv.index("--console-socket") + 1])
print("\033[1;31mof no interest\033[0m", file=sys.stderr)
socket.send_fds(to, [b"x"], [ours])
sys.exit(5)
)";
constexpr char kFails[] = R"(
import sys
print("\033[1;31m2024-05-01T12:00:00.123456Z: cannot do it\033[0m", file=sys.stderr)
sys.exit(1)
)";

struct TerminalRun {
  std::string output, failure;
  int exit_code = -1;
};

Task<> RunWithTerminal(Env& env, std::string script, std::string socket, TerminalRun& run) {
  ProcessOptions options;
  options.argv = {"python3", "-c", std::move(script)};
  ExecRequest request;
  request.id = "id";
  request.terminal = request.stdin_open = request.stdout_open = true;
  std::string no_file;
  Result<std::unique_ptr<client::ExecSession>> session = co_await StartExec(
      env, std::move(options), std::move(request), std::move(no_file), std::move(socket));
  EXPECT_TRUE(session.ok()) << session.status().ToString();
  if (!session.ok()) co_return;
  // Before there is a terminal: it is remembered.
  EXPECT_TRUE((co_await (*session)->Resize(80, 25)).ok());
  while (true) {
    Result<std::optional<client::ExecSession::Output>> output = co_await (*session)->ReadOutput();
    if (!output.ok()) run.failure = output.status().message();
    if (!output.ok() || !*output) break;
    run.output += (*output)->bytes;
  }
  Result<int> code = co_await (*session)->ExitCode();
  if (code.ok()) run.exit_code = *code;
}

TEST(ExecSession, TheRuntimeHandsTheTerminalOver) {
  RealEnv env(2);
  std::string socket = ::testing::TempDir() + "/console-" + std::to_string(getpid());
  for (int round = 0; round < 5; ++round) {
    TerminalRun run;
    env.RunToEnd(RunWithTerminal(env, kHandsOver, socket, run));
    EXPECT_EQ(run.output, "said");
    EXPECT_EQ(run.failure, "");
    EXPECT_EQ(run.exit_code, 5);
  }
  TerminalRun run;
  env.RunToEnd(RunWithTerminal(env, kFails, socket, run));
  EXPECT_EQ(run.output, "");
  EXPECT_EQ(run.failure, "cannot do it");
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_NE(access(socket.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace gantry::node
