#pragma once

#include <map>
#include <string>
#include <vector>

#include "node/runtime/runtime.h"

namespace gantry::node {

// Containers that end at the signals that are named.
class FakeRuntime : public Runtime {
 public:
  std::map<std::string, int> ends_at;  // by bundle: the signal; what is not named has ended
  std::vector<std::string> signals;

  Task<std::string> Version() override { co_return "fake"; }
  void OnExit(std::function<void(const std::string&)>) override {}
  Task<Result<pid_t>> Create(CreateRequest) override { co_return pid_t{1}; }
  Task<Status> Start(std::string) override { co_return Status::Ok(); }
  Task<Status> Kill(std::string id, std::string bundle, int signal) override {
    signals.push_back(id + ":" + std::to_string(signal));
    if (auto it = ends_at.find(bundle); it != ends_at.end() && it->second == signal)
      ends_at.erase(it);
    co_return Status::Ok();
  }
  Task<Status> Delete(std::string) override { co_return Status::Ok(); }
  Task<Status> Discard(std::string, std::string) override { co_return Status::Ok(); }
  std::optional<WallTime> StartedAt(const std::string&) override { return std::nullopt; }
  std::optional<pid_t> RunningPid(const std::string& bundle) override {
    return ends_at.contains(bundle) ? std::optional<pid_t>(1) : std::nullopt;
  }
  std::optional<ExitRecord> ReadExit(const std::string&) override { return std::nullopt; }
  Task<Result<ExecOutcome>> ExecSync(ExecRequest, Duration, CancelToken) override {
    co_return ExecOutcome();
  }
  Task<Result<std::unique_ptr<client::ExecSession>>> Exec(ExecRequest) override {
    co_return Unavailable("fake");
  }
  Task<Result<std::unique_ptr<client::ExecSession>>> Attach(std::string, bool, bool) override {
    co_return Unavailable("fake");
  }
  Status ReopenLog(const std::string&) override { return Status::Ok(); }
};

}  // namespace gantry::node
