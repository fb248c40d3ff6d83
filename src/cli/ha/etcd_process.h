#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/notifier.h"
#include "base/status.h"

namespace gantry::cli {

// The machine's own etcd as a process. It is in a session of its own and outlives this process, for
// the next one to take it up: DIRECTORY/process names it ("PID START-TIME"), DIRECTORY/log is what
// it says. Threading: one at a time.
class EtcdProcess {
 public:
  EtcdProcess(Env& env, std::string directory);
  // The process goes on when this ends.

  // Takes up the one that runs. False where there is none.
  bool Adopt();
  Status Start(std::vector<std::string> arguments);
  bool running() const;
  // How long ago the one that runs, or ran last, was started or taken up.
  Duration age() const;

  void Signal(int signal);
  // kNotified: it has ended.
  Task<Wake> AwaitEnd(CancelToken cancel, std::optional<SteadyTime> deadline);
  // Asks it to end, and ends it when it takes too long.
  Task<> End();

  // What it said of its failure since it was started, in one line; empty: nothing.
  std::string LastWords() const;
  // Keeps the log within bounds.
  void TrimLog();

 private:
  struct Watched;
  void Watch(int pid, int pidfd);

  Env& env_;
  const std::string directory_;
  std::shared_ptr<Watched> watched_;
  SteadyTime since_;
  int64_t log_start_ = 0;
};

// The failure in what etcd wrote (zap's JSON lines and Go's panics).
std::string FailureInLog(const std::string& log);

// Ends the etcd of a server that does not run. Blocks.
Status EndEtcdProcess(const std::string& directory);

}  // namespace gantry::cli
