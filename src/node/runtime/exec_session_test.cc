#include "node/runtime/exec_session.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace gantry::node
