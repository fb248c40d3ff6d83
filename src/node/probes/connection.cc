#include "node/probes/connection.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace gantry::node {
namespace asio = boost::asio;
using asio::ip::tcp;

TimedConnection::TimedConnection(Env& env, Executor executor, Duration timeout, CancelToken cancel)
    : socket_(std::make_shared<tcp::socket>(executor)), state_(std::make_shared<State>()) {
  auto close = [executor, socket = std::weak_ptr<tcp::socket>(socket_),
                state = state_](bool timed_out) {
    asio::post(executor, [socket, state, timed_out] {
      state->timed_out |= timed_out;
      boost::system::error_code ignored;
      if (auto open = socket.lock()) open->close(ignored);
    });
  };
  timer_ = env.CallAt(env.Steady() + timeout, [close] { close(true); });
  registration_ = cancel.OnCancel([close] { close(false); });
}

Task<Status> TimedConnection::Connect(std::string host, uint16_t port) {
  std::string address =
      (host.find(':') != std::string::npos ? "[" + host + "]" : host) + ":" + std::to_string(port);
  boost::system::error_code error;
  asio::ip::address literal = asio::ip::make_address(host, error);
  if (!error) {
    tcp::endpoint endpoint(literal, port);
    auto [failed] = co_await socket_->async_connect(endpoint, asio::as_tuple(asio::use_awaitable));
    error = failed;
  } else {
    tcp::resolver resolver(socket_->get_executor());
    std::string service = std::to_string(port);
    auto [unknown, endpoints] =
        co_await resolver.async_resolve(host, service, asio::as_tuple(asio::use_awaitable));
    if (unknown) co_return Unavailable("dial tcp: lookup " + host + ": no such host");
    auto [failed, endpoint] =
        co_await asio::async_connect(*socket_, endpoints, asio::as_tuple(asio::use_awaitable));
    error = failed;
  }
  if (!error) co_return Status::Ok();
  if (state_->timed_out) co_return Unavailable("dial tcp " + address + ": i/o timeout");
  std::string why = error == asio::error::connection_refused    ? "connect: connection refused"
                    : error == asio::error::host_unreachable    ? "connect: no route to host"
                    : error == asio::error::network_unreachable ? "connect: network is unreachable"
                                                                : "connect: " + error.message();
  co_return Unavailable("dial tcp " + address + ": " + why);
}

}  // namespace gantry::node
