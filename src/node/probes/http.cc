#include "node/probes/http.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <cstdlib>

#include "node/probes/connection.h"

namespace gantry::node {
namespace asio = boost::asio;
namespace {

constexpr size_t kMaxHead = 16 << 10;

// Sends the request and reads up to the end of the status line.
template <class Transport>
Task<Result<int>> Exchange(Transport& transport, std::string request) {
  auto [unsent, sent] = co_await asio::async_write(transport, asio::buffer(request),
                                                   asio::as_tuple(asio::use_awaitable));
  if (unsent) co_return Unavailable("write: " + unsent.message());
  std::string head;
  char buffer[1024];
  while (head.find('\n') == std::string::npos) {
    auto [error, n] = co_await transport.async_read_some(asio::buffer(buffer),
                                                         asio::as_tuple(asio::use_awaitable));
    if (error == asio::error::eof || (error && head.empty() && n == 0))
      co_return Unavailable("EOF");
    if (error) co_return Unavailable("read: " + error.message());
    head.append(buffer, n);
    if (head.size() > kMaxHead) break;
  }
  if (!head.starts_with("HTTP/1.") || head.size() < 12) {
    co_return Unavailable(
        "net/http: HTTP/1.x transport connection broken: malformed HTTP response \"" +
        head.substr(0, head.find('\r')) + "\"");
  }
  co_return std::atoi(head.c_str() + 9);
}

std::string RequestText(const api::core::v1::HTTPGetAction& action, const std::string& authority,
                        const std::string& path, const std::string& user_agent) {
  std::string host = authority, headers;
  bool has_agent = false, has_accept = false;
  auto equals = [](std::string_view a, std::string_view b) {
    return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
  };
  for (const auto& header : action.http_headers()) {
    if (equals(header.name(), "host")) {
      host = header.value();
      continue;
    }
    has_agent |= equals(header.name(), "user-agent");
    has_accept |= equals(header.name(), "accept");
    headers += header.name() + ": " + header.value() + "\r\n";
  }
  std::string text = "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n";
  if (!has_agent) text += "User-Agent: " + user_agent + "\r\n";
  if (!has_accept) text += "Accept: */*\r\n";
  return text + headers + "Connection: close\r\n\r\n";
}

}  // namespace

Task<Result<int>> HttpStatusOf(Env& env, api::core::v1::HTTPGetAction action, std::string host,
                               uint16_t port, Duration timeout, CancelToken cancel,
                               std::string user_agent) {
  bool tls = action.scheme() == "HTTPS";
  std::string authority =
      (host.find(':') != std::string::npos ? "[" + host + "]" : host) + ":" + std::to_string(port);
  std::string path = action.path().empty() ? "/" : action.path();
  if (path[0] != '/') path = "/" + path;
  std::string context =
      "Get \"" + std::string(tls ? "https" : "http") + "://" + authority + path + "\"";
  std::string request = RequestText(action, authority, path, user_agent);
  TimedConnection connection(env, co_await asio::this_coro::executor, timeout, cancel);
  Status connected = co_await connection.Connect(host, port);
  Result<int> code = connected;
  if (connected.ok() && !tls) {
    code = co_await Exchange(connection.socket(), std::move(request));
  } else if (connected.ok()) {
    asio::ssl::context ssl(asio::ssl::context::tls_client);
    asio::ssl::stream<asio::ip::tcp::socket&> stream(connection.socket(), ssl);
    auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::client,
                                                   asio::as_tuple(asio::use_awaitable));
    if (error) {
      code = Unavailable("tls: " + error.message());
    } else {
      code = co_await Exchange(stream, std::move(request));
    }
  }
  if (code.ok()) co_return code;
  if (connection.timed_out()) {
    co_return Unavailable(
        context + ": " +
        (connected.ok()
             ? "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
             : connected.message()));
  }
  co_return Unavailable(context + ": " + code.status().message());
}

}  // namespace gantry::node
