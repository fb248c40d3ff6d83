#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/status.h"
#include "node/os/fs.h"

namespace gantry::node {

struct ProcessOptions {
  ProcessOptions() = default;
  std::vector<std::string> argv;  // argv[0] is a path or found in PATH
  std::vector<std::string> env;   // "K=V"; empty: the caller's own
  std::string working_dir;
  // (ours, theirs). Without an entry 0, 1 and 2 are /dev/null; nothing else is inherited.
  std::vector<std::pair<int, int>> fds;
  int mount_namespace = -1;  // entered before exec; -1: the caller's
  bool new_session = true;   // so that signals to our group do not reach it
  bool take_terminal =
      false;  // its standard input becomes the controlling terminal of the new session
};

struct Process {
  pid_t pid = -1;
  UniqueFd pidfd;
};

// Starts a program without copying the caller's page tables (as vfork does), however large it is.
// The error is that of exec when that fails. Threading: any thread.
Result<Process> StartProcess(const ProcessOptions& options);

// Waits for the end of a child: its exit code, or 128 + signal. Takes the zombie.
Task<int> WaitForExit(Process process);

struct CommandResult {
  int exit_code = 0;
  bool timed_out = false;
  std::string out;
  std::string err;
};

// Runs a program to its end. When `timeout` passes or `cancel` comes, its session is killed and the
// result says timed_out. Each of out and err keeps its first 4 MiB. `options.fds` must leave 0, 1
// and 2 alone.
Task<Result<CommandResult>> RunCommand(Env& env, ProcessOptions options, std::string input = {},
                                       std::optional<Duration> timeout = {},
                                       CancelToken cancel = {});

// The process' start time in clock ticks since boot, with its pid its identity; nullopt when it is
// gone or a zombie.
std::optional<uint64_t> ProcessStartTime(pid_t pid);

// A pipe, both ends close-on-exec.
struct Pipe {
  UniqueFd read_end, write_end;
};
Result<Pipe> MakePipe();

}  // namespace gantry::node
