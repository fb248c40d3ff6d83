#include "node/probes/http.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/read.hpp>
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

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  std::string frame;
  for (int shift : {16, 8, 0})
    frame.push_back(static_cast<char>(payload.size() >> shift));
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  for (int shift : {24, 16, 8, 0})
    frame.push_back(static_cast<char>(stream >> shift));
  return frame + payload;
}

// A header field without compression: 0, then both texts with their lengths (all shorter than 127).
std::string Field(std::string_view name, std::string_view value) {
  std::string out(1, '\0');
  out.push_back(static_cast<char>(name.size()));
  out.append(name);
  out.push_back(static_cast<char>(std::min<size_t>(value.size(), 126)));
  out.append(value.substr(0, 126));
  return out;
}

constexpr uint8_t kData = 0, kHeaders = 1, kResetStream = 3, kSettings = 4, kPing = 6, kGoAway = 7;
constexpr uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4;

// The `status` of a HealthCheckResponse behind its five bytes of gRPC framing. An absent field is
// 0.
int HealthStatus(const std::string& message) {
  if (message.size() >= 7 && message[5] == 0x08) return static_cast<unsigned char>(message[6]);
  return 0;
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

Task<Result<int>> GrpcHealthOf(Env& env, std::string host, uint16_t port, std::string service,
                               Duration timeout, CancelToken cancel) {
  TimedConnection connection(env, co_await asio::this_coro::executor, timeout, cancel);
  GANTRY_CO_TRY(co_await connection.Connect(host, port));
  std::string body;
  if (!service.empty()) body = std::string("\x0a", 1) + static_cast<char>(service.size()) + service;
  std::string message(1, '\0');
  for (int shift : {24, 16, 8, 0})
    message.push_back(static_cast<char>(body.size() >> shift));
  message += body;
  std::string request = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Frame(kSettings, 0, 0, {});
  request += Frame(kHeaders, kEndHeaders, 1,
                   Field(":method", "POST") + Field(":scheme", "http") +
                       Field(":path", "/grpc.health.v1.Health/Check") +
                       Field(":authority", host + ":" + std::to_string(port)) +
                       Field("content-type", "application/grpc") + Field("te", "trailers") +
                       Field("user-agent", "kube-probe"));
  request += Frame(kData, kEndStream, 1, message);
  asio::ip::tcp::socket& socket = connection.socket();
  auto [unsent, sent] = co_await asio::async_write(socket, asio::buffer(request),
                                                   asio::as_tuple(asio::use_awaitable));
  if (unsent) co_return Unavailable("write: " + unsent.message());
  std::string answer;
  while (true) {
    unsigned char head[9];
    auto [no_head, got] =
        co_await asio::async_read(socket, asio::buffer(head), asio::as_tuple(asio::use_awaitable));
    if (no_head)
      co_return Unavailable(connection.timed_out() ? "context deadline exceeded"
                                                   : no_head.message());
    size_t length = (size_t{head[0]} << 16) | (size_t{head[1]} << 8) | head[2];
    uint8_t type = head[3], flags = head[4];
    if (length > kMaxHead) co_return Unavailable("malformed HTTP/2 frame");
    std::string payload(length, '\0');
    auto [no_body, n] = co_await asio::async_read(socket, asio::buffer(payload),
                                                  asio::as_tuple(asio::use_awaitable));
    if (no_body) co_return Unavailable(no_body.message());
    std::string reply;
    if (type == kSettings && (flags & kAck) == 0) reply = Frame(kSettings, kAck, 0, {});
    if (type == kPing && (flags & kAck) == 0) reply = Frame(kPing, kAck, 0, payload);
    if (!reply.empty()) {
      co_await asio::async_write(socket, asio::buffer(reply), asio::as_tuple(asio::use_awaitable));
    }
    if (type == kData) answer += payload;
    if (answer.size() >= 5) {
      size_t size = (size_t{static_cast<unsigned char>(answer[3])} << 8) |
                    static_cast<unsigned char>(answer[4]);
      if (answer.size() >= 5 + size) co_return HealthStatus(answer);
    }
    bool ended = (type == kData || type == kHeaders) && (flags & kEndStream) != 0;
    if (ended || type == kResetStream || type == kGoAway)
      co_return Unavailable("rpc error: the service does not answer health checks");
  }
}

}  // namespace gantry::node
