#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/status.h"
#include "client/node_api.h"

namespace gantry::node {

struct CreateRequest {
  CreateRequest() = default;
  std::string id;
  std::string bundle;    // holds config.json; the runtime adds pid, exit, oom, attach, ctl
  std::string log_path;  // CRI format
  bool terminal = false;
  bool stdin_open = false;
  bool stdin_once = false;
};

struct ExecRequest {
  ExecRequest() = default;
  std::string id, bundle;
  std::vector<std::string> command;
  bool stdin_open = false, stdout_open = false, stderr_open = false, terminal = false;
};

struct ExecOutcome {
  int exit_code = 0;
  bool timed_out = false;
  std::string output;        // standard output and error
  std::string error_output;  // standard error alone
};

// How a container's process ended, as it is found in its bundle.
struct ExitRecord {
  int exit_code = 0;
  bool oom_killed = false;
  WallTime finished_at;
};

// The verbs of the OCI runtime, and a monitor per container that outlives us: it writes the log
// and, at the end, the exit record. Containers are found again by their bundle. Errors carry the
// runtime's own message. Threading: any thread; calls resume on the caller's executor.
class Runtime {
 public:
  virtual ~Runtime() = default;

  // "crun://1.8.1". The program is asked: worth remembering.
  virtual Task<std::string> Version() = 0;

  // Called for every container that ends from now on, on some executor. Before the first Create.
  virtual void OnExit(std::function<void(const std::string& id)> callback) = 0;

  // The container's first process exists, but does not run the program yet: its pid.
  virtual Task<Result<pid_t>> Create(CreateRequest request) = 0;
  virtual Task<Status> Start(std::string id) = 0;
  // To the first process. kNotFound when it is gone.
  virtual Task<Status> Kill(std::string id, std::string bundle, int signal) = 0;
  // Of a container that has ended, or is to end now. "Not there" is success.
  virtual Task<Status> Delete(std::string id) = 0;

  // Ends and forgets a container whose Create nobody saw to the end: the monitor may still be
  // making it. Nothing of it is left then, whatever there was.
  virtual Task<Status> Discard(std::string id, std::string bundle) = 0;

  // When the program of a container that was created was started; nullopt when it was not, or when
  // the runtime does not tell.
  virtual std::optional<WallTime> StartedAt(const std::string& id) = 0;
  // The pid while the container's first process lives.
  virtual std::optional<pid_t> RunningPid(const std::string& bundle) = 0;
  // nullopt while it runs, or when the monitor was lost with it.
  virtual std::optional<ExitRecord> ReadExit(const std::string& bundle) = 0;

  virtual Task<Result<ExecOutcome>> ExecSync(ExecRequest request, Duration timeout,
                                             CancelToken cancel) = 0;
  virtual Task<Result<std::unique_ptr<client::ExecSession>>> Exec(ExecRequest request) = 0;
  virtual Task<Result<std::unique_ptr<client::ExecSession>>> Attach(std::string bundle,
                                                                    bool stdin_open,
                                                                    bool terminal) = 0;
  // Tells the monitor to open its log file anew, after a rotation.
  virtual Status ReopenLog(const std::string& bundle) = 0;
};

}  // namespace gantry::node
