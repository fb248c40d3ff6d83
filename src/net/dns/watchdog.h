#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>

#include <memory>
#include <optional>

#include "base/env/cancel.h"
#include "base/env/env.h"

namespace gantry::net::dns {

// Closes a socket at a deadline (if there is one) or on cancellation, on the socket's own strand,
// unless it is gone by then: what waits on it then fails with operation_aborted. Threading: of the
// strand.
template <class Socket>
class Watchdog {
 public:
  Watchdog(Env& env, boost::asio::any_io_executor strand, std::shared_ptr<Socket> socket,
           std::optional<SteadyTime> deadline, const CancelToken& cancel)
      : env_(env), strand_(std::move(strand)), socket_(socket) {
    if (deadline) Extend(*deadline);
    registration_ = cancel.OnCancel(Closer());
  }
  void Extend(SteadyTime deadline) { timer_ = env_.CallAt(deadline, Closer()); }

 private:
  auto Closer() const {
    return [strand = strand_, weak = socket_] {
      boost::asio::post(strand, [weak] {
        boost::system::error_code ignored;
        if (auto alive = weak.lock()) alive->close(ignored);
      });
    };
  }

  Env& env_;
  boost::asio::any_io_executor strand_;
  std::weak_ptr<Socket> socket_;
  std::unique_ptr<TimerHandle> timer_;
  CancelToken::Registration registration_;
};

}  // namespace gantry::net::dns
