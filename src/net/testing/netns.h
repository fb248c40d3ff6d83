#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/env/real/real_env.h"
#include "base/status.h"
#include "net/netlink/socket.h"

namespace gantry::net::testing {

// A network namespace without a name: it is gone when this and what runs in it are, also after a
// crash of the test.
class TestNetns {
 public:
  TestNetns();
  const std::string& path() const { return path_; }
  // Runs `call` on a thread inside.
  void Run(const std::function<void()>& call) const;

 private:
  UniqueFd fd_;
  std::string path_;
};

// What a client saw.
struct Reply {
  int error = 0;  // errno of the failed step; 0: answered
  std::string text;
  double milliseconds = 0;
};

// Answers every connection (TCP) or packet (UDP) with "<name> <address of the sender>". Runs until
// destroyed.
class TestServer {
 public:
  // Inside `netns`, or in the namespace of the caller where that is null.
  TestServer(const TestNetns* netns, std::string name, uint16_t port, bool udp = false,
             std::string bind_ip = "0.0.0.0");
  ~TestServer();

 private:
  void Serve();

  std::string name_;
  bool udp_;
  UniqueFd socket_;
  UniqueFd stop_;
  std::thread thread_;
};

// Asks such a server, from the namespace of the calling thread. UDP clients may pin their own port.
Reply Ask(const std::string& ip, uint16_t port, bool udp = false, uint16_t from_port = 0,
          int timeout_ms = 1500);
Reply AskFrom(const TestNetns& netns, const std::string& ip, uint16_t port, bool udp = false,
              uint16_t from_port = 0, int timeout_ms = 1500);

// A machine of its own: the test moves into a fresh network namespace ("host") before any thread
// starts; "outside" is a neighbour of it (host 192.168.77.1, outside 192.168.77.2 with its default
// route through the host). A data directory that is removed at the end. Skips (returns false from
// Ready) without root.
class TestHost {
 public:
  TestHost();
  ~TestHost();
  bool Ready() const { return problem_.empty(); }
  const std::string& problem() const { return problem_; }

  RealEnv& env() { return *env_; }
  const TestNetns& outside() const { return *outside_; }
  const std::string& data_dir() const { return data_dir_; }

  // Runs a coroutine that yields a T to its end.
  template <class T>
  T Await(Task<T> task) {
    std::optional<T> result;
    env_->RunToEnd(Store(std::move(task), &result));
    return std::move(*result);
  }

 private:
  template <class T>
  static Task<> Store(Task<T> task, std::optional<T>* into) {
    T value = co_await std::move(task);
    into->emplace(std::move(value));
  }
  Status SetUp();

  std::string problem_;
  std::string data_dir_;
  std::unique_ptr<TestNetns> outside_;
  std::unique_ptr<RealEnv> env_;
};

}  // namespace gantry::net::testing
