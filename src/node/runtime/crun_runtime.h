#pragma once

#include <memory>
#include <string>

#include "node/os/fs.h"
#include "node/paths.h"
#include "node/runtime/cgroup.h"
#include "node/runtime/runtime.h"

namespace gantry::node {

// crun (else runc) with conmon. On a machine with a hybrid of cgroup v1 and v2, which crun refuses,
// it runs in a mount namespace of its own that does not show the v2 part; where that cannot be
// made, runc takes its place. Life cycle: `env`, `paths` and `cgroups` outlive it. Containers go on
// when it is destroyed.
class CrunRuntime : public Runtime {
 public:
  // `wanted` is "crun", "runc" or empty: whichever there is. kNotFound with what to install when
  // the programs are missing, kInvalid for another name.
  static Result<std::unique_ptr<CrunRuntime>> Open(Env& env, const Paths& paths,
                                                   const Cgroups& cgroups,
                                                   const std::string& wanted);
  ~CrunRuntime() override;

  Task<std::string> Version() override;
  void OnExit(std::function<void(const std::string& id)> callback) override;
  Task<Result<pid_t>> Create(CreateRequest request) override;
  Task<Status> Start(std::string id) override;
  Task<Status> Kill(std::string id, std::string bundle, int signal) override;
  Task<Status> Delete(std::string id) override;
  Task<Status> Discard(std::string id, std::string bundle) override;
  std::optional<WallTime> StartedAt(const std::string& id) override;
  std::optional<pid_t> RunningPid(const std::string& bundle) override;
  std::optional<ExitRecord> ReadExit(const std::string& bundle) override;
  Task<Result<ExecOutcome>> ExecSync(ExecRequest request, Duration timeout,
                                     CancelToken cancel) override;
  Task<Result<std::unique_ptr<client::ExecSession>>> Exec(ExecRequest request) override;
  Task<Result<std::unique_ptr<client::ExecSession>>> Attach(std::string bundle, bool stdin_open,
                                                            bool terminal) override;
  Status ReopenLog(const std::string& bundle) override;

 private:
  CrunRuntime(Env& env, const Paths& paths, const Cgroups& cgroups)
      : env_(env), paths_(paths), cgroups_(cgroups) {}
  std::vector<std::string> Command(std::initializer_list<std::string> arguments) const;
  std::vector<std::string> Environment() const;
  bool StartInPlace(const std::string& id);
  Task<bool> DeleteInPlace(std::string state);
  Task<Result<std::string>> Run(std::vector<std::string> argv);

  struct ExitWatch;

  Env& env_;
  const Paths& paths_;
  const Cgroups& cgroups_;
  std::string program_, conmon_;
  bool is_crun_ = false;
  bool pinned_ = false;  // program_ is on a read-only mount of our own
  UniqueFd mount_namespace_;
  std::shared_ptr<ExitWatch> exits_;
};

}  // namespace gantry::node
