#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/env/time.h"
#include "client/kubeconfig.h"
#include "common/accounting.h"
#include "common/harness.h"

namespace gantry::bench {

inline constexpr uint16_t kApiPort = 6443;
inline constexpr const char* kNodeName = "bench";

// A `gantry server` in a process and a data directory of its own (`bench.dir`/NAME), which dies
// with the thread that started it. Its output goes to `bench.dir`/NAME.log. Threading: the main
// thread.
class ServerProcess {
 public:
  // Returns right after the process was started. `extra` are more flags of the command.
  static Result<std::unique_ptr<ServerProcess>> Start(Bench& bench, const std::string& name,
                                                      const std::vector<std::string>& extra = {});
  ~ServerProcess();  // ends it, like Stop

  // SIGTERM, SIGKILL ten seconds later, then `gantry cleanup`.
  Status Stop();
  // Waits until the server has written its kubeconfig and reads it. Fails when the process ended,
  // with its last words.
  Result<client::Kubeconfig> AwaitKubeconfig();
  bool Running();
  // What it printed, its end.
  std::string LastWords() const;

  pid_t pid() const { return pid_; }
  const std::string& data_dir() const { return data_dir_; }
  const CpuGroup& cpu() const { return *cpu_; }
  Memory MemoryUsed() const { return MemoryOf(pid_, data_dir_); }

 private:
  ServerProcess() = default;

  std::string gantry_, data_dir_;
  pid_t pid_ = -1;
  std::unique_ptr<CpuGroup> cpu_;
};

}  // namespace gantry::bench
