#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/env/env.h"
#include "client/node_api.h"

namespace gantry::apiserver::testing {

// A node without containers. Exec's commands: `cat` (stdin to stdout until its end), `exit N`,
// `both` (a line on each of stdout and stderr), `bytes N`, `size` (prints the first terminal size),
// `sleep` (until closed), `broken`. PortForward: port 7 echoes, port 9 sends "hello\n" and ends,
// others refuse. Dial: as PortForward. Logs: "a log of NS/POD\n", then, with follow, until
// cancelled. Page: "the page PATH\n", but for /missing.
class FakeNode : public client::NodeApi {
 public:
  explicit FakeNode(Env& env) : env_(env) {}

  Task<Result<std::unique_ptr<Stream>>> Logs(client::LogOptions options,
                                             CancelToken cancel) override;
  Task<Result<std::unique_ptr<client::ExecSession>>> Exec(client::ExecOptions options,
                                                          CancelToken cancel) override;
  Task<Result<std::unique_ptr<Stream>>> PortForward(std::string ns, std::string pod,
                                                    std::string uid, uint16_t port) override;
  Task<Result<std::unique_ptr<Stream>>> Dial(std::string address, uint16_t port) override;
  Task<Result<client::NodePage>> Page(std::string path, CancelToken cancel) override;
  // Returns at once, but for an address "stuck".
  Task<Status> AwaitDrained(std::vector<std::string> addresses, Duration timeout,
                            CancelToken cancel) override;

  std::atomic<int> open_sessions = 0;
  std::atomic<int> open_streams = 0;
  std::atomic<int> drains = 0;  // calls of AwaitDrained

 private:
  Env& env_;
};

}  // namespace gantry::apiserver::testing
