#include "client/http/transport.h"

#include <absl/synchronization/mutex.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <charconv>
#include <utility>

#include "base/env/notifier.h"
#include "base/env/run_on.h"
#include "base/wire/http1.h"
#include "base/wire/http2_connection.h"
#include "base/wire/socket.h"
#include "base/wire/websocket.h"
#include "client/http/http1_exchange.h"
#include "client/http/reply_status.h"

namespace gantry::client {
namespace asio = boost::asio;
using internal::Http1Exchange;
using wire::Http2Connection;

namespace {

constexpr int kAttempts = 3;
constexpr size_t kMaxIdleHttp1 = 8;

struct Server {
  std::string host;
  uint16_t port = 0;
  bool https = false;
  std::string prefix;  // of all paths
  std::string authority;
};

Result<Server> ParseServer(std::string_view url) {
  Server server;
  const std::string text(url);
  server.https = url.starts_with("https://");
  if (!server.https && !url.starts_with("http://"))
    return BadRequest("server \"" + text + "\": not an http(s) URL");
  url.remove_prefix(server.https ? 8 : 7);
  const size_t slash = url.find('/');
  server.authority = url.substr(0, slash);
  if (slash != std::string_view::npos) server.prefix = url.substr(slash);
  while (server.prefix.ends_with('/'))
    server.prefix.pop_back();
  std::string_view host = server.authority;
  server.port = server.https ? 443 : 80;
  const size_t colon = host.rfind(':');
  const size_t bracket = host.rfind(']');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    const std::string_view digits = host.substr(colon + 1);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), server.port);
    if (error != std::errc() || end != digits.data() + digits.size() || server.port == 0) {
      return BadRequest("server \"" + text + "\": malformed port");
    }
    host = host.substr(0, colon);
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty()) return BadRequest("server \"" + text + "\": no host");
  server.host = host;
  return server;
}

// An HTTP/1.1 connection; `exchange` belongs to the strand.
struct Http1Connection {
  Executor strand;
  std::unique_ptr<Http1Exchange> exchange;
};
using Http1Ptr = std::shared_ptr<Http1Connection>;

// Any thread.
void CloseLater(const Http1Ptr& connection) {
  asio::post(connection->strand, [connection] { connection->exchange->Close(); });
}

std::string GoUrlError(const HttpRequest& request, const Server& server) {
  std::string verb = request.method;
  for (size_t i = 1; i < verb.size(); ++i)
    verb[i] = static_cast<char>(verb[i] | 0x20);
  return verb + " \"" + (server.https ? "https://" : "http://") + server.authority + server.prefix +
         request.target + "\"";
}

}  // namespace

class HttpTransport::Impl : public std::enable_shared_from_this<HttpTransport::Impl> {
 public:
  Impl(Env& env, HttpTransportOptions options) : env_(env), options_(std::move(options)) {
    for (const std::string& url : options_.servers) {
      Result<Server> server = ParseServer(url);
      if (server.ok()) {
        servers_.push_back(std::move(server).value());
      } else {
        malformed_ = server.status();
      }
    }
    if (servers_.empty() && malformed_.ok()) malformed_ = BadRequest("no server is configured");
  }

  Task<Result<HttpResponse>> Send(HttpRequest request, CancelToken cancel) {
    GANTRY_CO_TRY(malformed_);
    for (const auto& [name, value] : options_.headers.all())
      request.headers.Add(name, value);
    for (int attempt = 1;; ++attempt) {
      if (cancel.cancelled()) co_return Canceled("context canceled");
      Connection connection;
      Status connected = co_await Connect(request, &connection, cancel);
      if (!connected.ok()) co_return connected;
      bool refused = false;
      HttpRequest sent = request;
      sent.target = connection.server.prefix + sent.target;
      // One task to await: GCC 12 destroys twice what a conditional co_await gives.
      Task<Result<HttpResponse>> answer =
          connection.http2 ? connection.http2->Send(std::move(sent), cancel, &refused)
                           : SendHttp1(connection, std::move(sent), cancel, &refused);
      Result<HttpResponse> response = co_await std::move(answer);
      if (response.ok() || !refused || attempt == kAttempts) {
        if (response.ok() || response.code() == Code::kCanceled) co_return response;
        co_return response.status().WithContext(GoUrlError(request, connection.server));
      }
    }
  }

  Task<Result<HttpUpgrade>> Upgrade(HttpRequest request, CancelToken cancel) {
    GANTRY_CO_TRY(malformed_);
    for (const auto& [name, value] : options_.headers.all())
      request.headers.Add(name, value);
    Status last;
    const size_t first = current();
    for (size_t i = 0; i < servers_.size(); ++i) {
      const size_t index = (first + i) % servers_.size();
      const Server& server = servers_[index];
      wire::DialOptions dial = DialFor(server);
      dial.http1_only = true;
      Result<std::shared_ptr<wire::Socket>> socket = co_await wire::Dial(env_, std::move(dial));
      if (!socket.ok()) {
        last = socket.status().WithContext(GoUrlError(request, server));
        continue;
      }
      set_current(index);
      co_return co_await UpgradeOn(std::move(*socket), server, std::move(request), cancel);
    }
    co_return last;
  }

  Env& env() { return env_; }

  Task<> Stop() {
    std::vector<std::shared_ptr<Http2Connection>> http2;
    std::vector<Http1Ptr> idle;
    {
      absl::MutexLock lock(&mutex_);
      stopped_ = true;
      http2.swap(http2_);
      idle.swap(idle_);
    }
    for (const auto& connection : http2)
      connection->Close();
    for (const auto& connection : idle)
      CloseLater(connection);
    dialed_.Notify();
    co_return;
  }

  void Keep(const Http1Ptr& connection) {
    {
      absl::MutexLock lock(&mutex_);
      if (!stopped_ && idle_.size() < kMaxIdleHttp1) {
        idle_.push_back(connection);
        return;
      }
    }
    CloseLater(connection);
  }

 private:
  struct Connection {
    Connection() = default;
    Server server;
    std::shared_ptr<Http2Connection> http2;
    Http1Ptr http1;
    bool reused = false;
  };
  class Http1Body;

  size_t current() {
    absl::MutexLock lock(&mutex_);
    return current_;
  }
  void set_current(size_t index) {
    absl::MutexLock lock(&mutex_);
    current_ = index;
  }

  wire::DialOptions DialFor(const Server& server) const {
    wire::DialOptions dial;
    dial.host = server.host;
    dial.port = server.port;
    dial.tls = server.https ? options_.tls : nullptr;
    dial.server_name = options_.server_name;
    dial.timeout = options_.dial_timeout;
    return dial;
  }

  wire::Http2Options Http2For(const Server& server) const {
    wire::Http2Options http2;
    http2.authority = server.authority;
    http2.https = server.https;
    http2.user_agent = options_.user_agent;
    if (!options_.bearer_token.empty()) http2.authorization = "Bearer " + options_.bearer_token;
    http2.ping_after = options_.ping_after;
    http2.ping_timeout = options_.ping_timeout;
    return http2;
  }

  // A connection with room for a request: one that is there, or a new one. Only one is dialled at a
  // time, since with HTTP/2 the others will want to share it.
  Task<Status> Connect(const HttpRequest& request, Connection* out, CancelToken cancel) {
    while (true) {
      {
        absl::MutexLock lock(&mutex_);
        if (stopped_) co_return Unavailable("the client was stopped");
        std::erase_if(http2_, [](const auto& connection) { return connection->Dead(); });
        for (const auto& connection : http2_) {
          if (!connection->HasRoom()) continue;
          out->http2 = connection;
          out->server = servers_[current_];
          co_return Status::Ok();
        }
        if (!idle_.empty()) {
          out->http1 = std::move(idle_.back());
          idle_.pop_back();
          out->server = servers_[current_];
          out->reused = true;
          co_return Status::Ok();
        }
        if (!dialing_ || http1_only_) {
          dialing_ = true;
          break;
        }
      }
      if (co_await dialed_.Wait(env_, cancel) == Wake::kCanceled)
        co_return Canceled("context canceled");
    }
    Status status = co_await DialAny(request, out);
    {
      absl::MutexLock lock(&mutex_);
      dialing_ = false;
    }
    dialed_.Notify();
    co_return status;
  }

  Task<Status> DialAny(const HttpRequest& request, Connection* out) {
    Status last;
    const size_t first = current();
    for (size_t i = 0; i < servers_.size(); ++i) {
      const size_t index = (first + i) % servers_.size();
      const Server& server = servers_[index];
      if (server.https && !options_.tls)
        co_return BadRequest("no TLS settings for " + server.authority);
      const Executor strand = env_.MakeStrand();
      Result<std::shared_ptr<wire::Socket>> socket =
          co_await RunOn(strand, wire::Dial(env_, DialFor(server)));
      if (!socket.ok()) {
        last = socket.status().WithContext(GoUrlError(request, server));
        continue;
      }
      out->server = server;
      const bool http2 = (*socket)->negotiated_http2();
      absl::MutexLock lock(&mutex_);
      current_ = index;
      http1_only_ = !http2;
      if (http2) {
        out->http2 = std::make_shared<Http2Connection>(env_, std::move(*socket), Http2For(server));
        out->http2->Start();
        if (!stopped_) http2_.push_back(out->http2);
      } else {
        out->http1 = std::make_shared<Http1Connection>();
        out->http1->strand = strand;
        out->http1->exchange =
            std::make_unique<Http1Exchange>(wire::MakeStream(std::move(*socket), std::string()));
      }
      co_return Status::Ok();
    }
    co_return last;
  }

  std::string Http1Head(const HttpRequest& request, const Server& server) const {
    std::string head =
        request.method + " " + request.target + " HTTP/1.1\r\nHost: " + server.authority + "\r\n";
    for (const auto& [name, value] : request.headers.all())
      head += name + ": " + value + "\r\n";
    if (!options_.bearer_token.empty() && !request.headers.Has("authorization")) {
      head += "Authorization: Bearer " + options_.bearer_token + "\r\n";
    }
    if (!request.headers.Has("user-agent")) head += "User-Agent: " + options_.user_agent + "\r\n";
    if (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
        request.method == "PATCH") {
      head += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
    }
    return head + "\r\n";
  }

  Task<Result<HttpResponse>> SendHttp1(Connection connection, HttpRequest request,
                                       CancelToken cancel, bool* refused);

  Task<Result<HttpUpgrade>> UpgradeOn(std::shared_ptr<wire::Socket> socket, Server server,
                                      HttpRequest request, CancelToken cancel) {
    request.target = server.prefix + request.target;
    auto close = [socket] { asio::post(socket->executor(), [socket] { socket->Close(); }); };
    CancelToken::Registration registration = cancel.OnCancel(close);
    Http1Exchange exchange(wire::MakeStream(socket, std::string()));
    Result<wire::ResponseHead> head =
        co_await exchange.Begin(Http1Head(request, server), request.body, request.method);
    if (!head.ok()) {
      if (cancel.cancelled()) co_return Canceled("context canceled");
      co_return head.status().WithContext(GoUrlError(request, server));
    }
    if (head->status != 101) {
      std::string body;
      while (body.size() < 64 * 1024) {
        Result<std::string> more = co_await exchange.ReadBody();
        if (!more.ok() || more->empty()) break;
        body += *more;
      }
      co_return StatusOfReply(head->status, body);
    }
    HttpUpgrade upgrade;
    upgrade.headers = std::move(head->headers);
    upgrade.stream = exchange.Detach();
    co_return upgrade;
  }

  Env& env_;
  const HttpTransportOptions options_;
  std::vector<Server> servers_;
  Status malformed_;
  Notifier dialed_;

  absl::Mutex mutex_;
  size_t current_ ABSL_GUARDED_BY(mutex_) = 0;
  bool dialing_ ABSL_GUARDED_BY(mutex_) = false;
  bool http1_only_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::shared_ptr<Http2Connection>> http2_ ABSL_GUARDED_BY(mutex_);
  std::vector<Http1Ptr> idle_ ABSL_GUARDED_BY(mutex_);
};

class HttpTransport::Impl::Http1Body : public HttpBody {
 public:
  Http1Body(std::shared_ptr<Impl> impl, Http1Ptr connection, CancelToken cancel,
            CancelToken::Registration registration)
      : impl_(std::move(impl)),
        connection_(std::move(connection)),
        cancel_(std::move(cancel)),
        registration_(std::move(registration)) {}
  ~Http1Body() override {
    if (connection_) CloseLater(connection_);
  }

  Task<Result<std::string>> Read() override {
    if (!connection_) co_return std::string();
    Result<std::string> bytes =
        co_await RunOn(connection_->strand, connection_->exchange->ReadBody());
    if (!bytes.ok() && cancel_.cancelled()) co_return Canceled("context canceled");
    if (bytes.ok() && bytes->empty()) {
      registration_ = CancelToken::Registration();
      const Http1Ptr done = std::exchange(connection_, nullptr);
      if (done->exchange->Reusable() && !cancel_.cancelled()) {
        impl_->Keep(done);
      } else {
        CloseLater(done);
      }
    }
    co_return bytes;
  }

 private:
  std::shared_ptr<Impl> impl_;
  Http1Ptr connection_;
  CancelToken cancel_;
  CancelToken::Registration registration_;
};

Task<Result<HttpResponse>> HttpTransport::Impl::SendHttp1(Connection connection,
                                                          HttpRequest request, CancelToken cancel,
                                                          bool* refused) {
  const Http1Ptr http1 = connection.http1;
  auto close = [http1] { CloseLater(http1); };
  CancelToken::Registration registration = cancel.OnCancel(close);
  std::string head_text = Http1Head(request, connection.server);
  Result<wire::ResponseHead> head = co_await RunOn(
      http1->strand,
      http1->exchange->Begin(std::move(head_text), std::move(request.body), request.method));
  if (!head.ok()) {
    CloseLater(http1);
    if (cancel.cancelled()) co_return Canceled("context canceled");
    // A kept connection may have been closed by the server while the request was on its way.
    *refused = connection.reused && (request.method == "GET" || request.method == "HEAD");
    co_return head.status();
  }
  HttpResponse response;
  response.status = head->status;
  response.headers = std::move(head->headers);
  response.body =
      std::make_unique<Http1Body>(shared_from_this(), http1, cancel, std::move(registration));
  co_return response;
}

HttpTransport::HttpTransport(Env& env, HttpTransportOptions options)
    : impl_(std::make_shared<Impl>(env, std::move(options))) {}
HttpTransport::~HttpTransport() = default;

Task<Result<HttpResponse>> HttpTransport::Send(HttpRequest request, CancelToken cancel) {
  auto impl = impl_;
  co_return co_await impl->Send(std::move(request), std::move(cancel));
}

Task<Result<HttpReply>> HttpTransport::Fetch(HttpRequest request, CancelToken cancel,
                                             size_t max_bytes) {
  auto impl = impl_;
  GANTRY_CO_ASSIGN(HttpResponse response,
                   co_await impl->Send(std::move(request), std::move(cancel)));
  HttpReply reply;
  reply.status = response.status;
  reply.headers = std::move(response.headers);
  while (true) {
    GANTRY_CO_ASSIGN(const std::string bytes, co_await response.body->Read());
    if (bytes.empty()) break;
    if (reply.body.size() + bytes.size() > max_bytes) {
      co_return Status(Code::kRequestEntityTooLarge,
                       "the answer is larger than " + std::to_string(max_bytes) + " bytes");
    }
    reply.body += bytes;
  }
  co_return reply;
}

Task<Result<HttpUpgrade>> HttpTransport::Upgrade(HttpRequest request, CancelToken cancel) {
  auto impl = impl_;
  co_return co_await impl->Upgrade(std::move(request), std::move(cancel));
}

Task<Result<HttpUpgrade>> HttpTransport::OpenWebSocket(std::string target,
                                                       std::vector<std::string> protocols,
                                                       CancelToken cancel) {
  auto impl = impl_;
  std::array<uint8_t, 16> nonce{};
  impl->env().RandomBytes(nonce);
  const std::string key =
      wire::Base64(std::string_view(reinterpret_cast<char*>(nonce.data()), nonce.size()));
  HttpRequest request("GET", std::move(target));
  request.headers.Add("Connection", "Upgrade");
  request.headers.Add("Upgrade", "websocket");
  request.headers.Add("Sec-WebSocket-Version", "13");
  request.headers.Add("Sec-WebSocket-Key", key);
  std::string offer;
  for (const std::string& protocol : protocols)
    offer += (offer.empty() ? "" : ", ") + protocol;
  if (!offer.empty()) request.headers.Add("Sec-WebSocket-Protocol", offer);
  GANTRY_CO_ASSIGN(HttpUpgrade upgrade,
                   co_await impl->Upgrade(std::move(request), std::move(cancel)));
  if (upgrade.headers.Get("sec-websocket-accept") != wire::WebSocketAccept(key)) {
    co_return Unavailable("websocket: bad handshake");
  }
  co_return upgrade;
}

Task<> HttpTransport::Stop() { return impl_->Stop(); }

std::string QueryEscape(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
        c == '_' || c == '.' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

}  // namespace gantry::client
