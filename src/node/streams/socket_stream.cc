#include "node/streams/socket_stream.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <cerrno>

#include "node/os/child.h"
#include "node/os/fs.h"

namespace gantry::node {
namespace asio = boost::asio;
using asio::ip::tcp;
namespace {

Status FromAsio(const boost::system::error_code& error, std::string_view what) {
  if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor)
    return Canceled("connection closed");
  return Unavailable(std::string(what) + ": " + error.message());
}

class SocketStream : public Stream {
 public:
  explicit SocketStream(tcp::socket socket) : socket_(std::move(socket)) {}
  ~SocketStream() override { Close(); }

  Task<Result<size_t>> Read(std::span<char> into) override {
    auto [error, n] = co_await socket_.async_read_some(asio::buffer(into.data(), into.size()),
                                                       asio::as_tuple(asio::use_awaitable));
    if (error == asio::error::eof || error == asio::error::connection_reset) co_return size_t{0};
    if (error) co_return FromAsio(error, "read");
    co_return n;
  }
  Task<Status> Write(std::string_view bytes) override {
    auto [error, n] = co_await asio::async_write(socket_, asio::buffer(bytes),
                                                 asio::as_tuple(asio::use_awaitable));
    co_return error ? FromAsio(error, "write") : Status::Ok();
  }
  Task<Status> CloseWrite() override {
    boost::system::error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    co_return Status::Ok();
  }
  void Close() override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

 private:
  tcp::socket socket_;
};

}  // namespace

std::unique_ptr<Stream> MakeSocketStream(tcp::socket socket) {
  return std::make_unique<SocketStream>(std::move(socket));
}

Task<Result<std::unique_ptr<Stream>>> ConnectFrom(std::string namespace_path, std::string address,
                                                  uint16_t port) {
  boost::system::error_code error;
  asio::ip::address ip = asio::ip::make_address(address, error);
  if (error) co_return Status(Code::kInvalid, "\"" + address + "\" is no IP address");
  int family = ip.is_v6() ? AF_INET6 : AF_INET;
  // A socket belongs to the namespace in which it was made; it can be used from everywhere.
  int fd = -1;
  auto make = [&]() -> Status {
    if (!namespace_path.empty()) {
      UniqueFd ns(open(namespace_path.c_str(), O_RDONLY | O_CLOEXEC));
      if (!ns) return FromErrno(errno, "open " + namespace_path);
      if (setns(ns.get(), CLONE_NEWNET) != 0) return FromErrno(errno, "enter network namespace");
    }
    fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 ? Status::Ok() : FromErrno(errno, "socket");
  };
  Status made = namespace_path.empty() ? make() : RunInChild(0, make);
  GANTRY_CO_TRY(made);
  tcp::socket socket(co_await asio::this_coro::executor);
  socket.assign(ip.is_v6() ? tcp::v6() : tcp::v4(), fd, error);
  if (error) co_return InternalError("socket: " + error.message());
  tcp::endpoint endpoint(ip, port);
  auto [failed] = co_await socket.async_connect(endpoint, asio::as_tuple(asio::use_awaitable));
  if (failed) {
    std::string why =
        failed == asio::error::connection_refused ? "connection refused" : failed.message();
    std::string host = ip.is_v6() ? "[" + address + "]" : address;
    co_return Unavailable("dial tcp " + host + ":" + std::to_string(port) + ": connect: " + why);
  }
  co_return MakeSocketStream(std::move(socket));
}

}  // namespace gantry::node
