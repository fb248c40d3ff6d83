#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <memory>
#include <string>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/status.h"

namespace gantry::node {

// A TCP connection with one deadline for everything that happens on it: it is closed then.
// Threading: one strand.
class TimedConnection {
 public:
  TimedConnection(Env& env, Executor executor, Duration timeout, CancelToken cancel);

  // Errors are worded as Go's: "dial tcp 10.0.0.1:80: connect: connection refused", "… i/o
  // timeout".
  Task<Status> Connect(std::string host, uint16_t port);
  boost::asio::ip::tcp::socket& socket() { return *socket_; }
  bool timed_out() const { return state_->timed_out; }

 private:
  struct State {
    bool timed_out = false;
  };

  std::shared_ptr<boost::asio::ip::tcp::socket> socket_;
  std::shared_ptr<State> state_;
  std::unique_ptr<TimerHandle> timer_;
  CancelToken::Registration registration_;
};

}  // namespace gantry::node
