#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/http/listener.h"
#include "apiserver/pki/certificates.h"
#include "base/env/real/real_env.h"

namespace gantry::apiserver::testing {

// Answers by path: /echo (what was asked, as text), /peer (who asked), /body?N (N bytes), /pieces?N
// (N bytes in shared pieces), /stream?N (N numbered lines), /ticks?N (the same from a source that
// wakes), /wait (a stream that ends when it is cancelled), /upgrade (a stream that echoes),
// /sleep?MS.
class TestHandler : public Handler {
 public:
  explicit TestHandler(Env& env) : env_(env) {}
  Task<Response> Handle(Request request) override;

  std::atomic<int> waiting = 0;    // streams of /wait that run
  std::atomic<int> cancelled = 0;  // those that saw their cancellation

 private:
  Env& env_;
};

// A listener on 127.0.0.1 with the handler above, its own authority, and a directory with ca.crt,
// client.crt, client.key, expired.crt, expired.key, stranger.crt and stranger.key. Stopped and
// removed by the destructor.
class TestServer {
 public:
  explicit TestServer(bool tls, ListenerOptions options = ListenerOptions());
  ~TestServer();

  RealEnv& env() { return *env_; }
  TestHandler& handler() { return *handler_; }
  Listener& listener() { return *listener_; }
  uint16_t port() const { return listener_->port(); }
  std::string url() const;
  std::string path(const std::string& file) const { return (directory_ / file).string(); }
  const pki::Authority& authority() const { return *authority_; }
  std::string Read(const std::string& file) const;
  void Stop();

 private:
  void WriteFile(const std::string& name, const std::string& text);

  bool tls_;
  bool stopped_ = false;
  std::filesystem::path directory_;
  std::unique_ptr<RealEnv> env_;
  std::unique_ptr<TestHandler> handler_;
  std::unique_ptr<pki::Authority> authority_;
  std::unique_ptr<Listener> listener_;
};

// What a command prints on standard output.
std::string RunCommand(const std::string& command);

// Sends `request` over a plain connection and returns all that comes until the server closes or
// `timeout_ms` pass without a byte. With `half_close`, says at once that no more will be sent.
std::string SendRaw(uint16_t port, const std::string& request, int timeout_ms = 2000,
                    bool half_close = false);

}  // namespace gantry::apiserver::testing
