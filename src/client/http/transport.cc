#include "client/http/transport.h"

#include <absl/synchronization/mutex.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
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
// For so long a server that was lost comes after the others.
constexpr Duration kMistrust = std::chrono::seconds(10);

struct Server {
  std::string url;
  std::string host;
  uint16_t port = 0;
  bool https = false;
  std::string prefix;  // of all paths
  std::string authority;
};
using ServerPtr = std::shared_ptr<const Server>;

Result<Server> ParseServer(std::string_view url) {
  Server server;
  const std::string text(url);
  server.url = text;
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
  ServerPtr server;
  uint64_t generation = 0;  // of the credentials that it was made with
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
  Impl(Env& env, HttpTransportOptions options)
      : env_(env), options_(std::move(options)), tls_(options_.tls) {
    Status malformed = Parse(options_.servers, &servers_);
    if (servers_.empty())
      malformed_ = malformed.ok() ? BadRequest("no server is configured") : malformed;
    else if (!malformed.ok())
      malformed_ = malformed;
  }

  void SetServers(const std::vector<std::string>& urls) {
    std::vector<ServerPtr> servers;
    (void)Parse(urls, &servers);
    if (servers.empty()) return;
    std::vector<Http1Ptr> dropped;
    SwapServers(std::move(servers), &dropped);
    for (const Http1Ptr& connection : dropped)
      CloseLater(connection);
  }

  // Gives out idle connections to servers that are no longer named.
  void SwapServers(std::vector<ServerPtr> servers, std::vector<Http1Ptr>* dropped) {
    absl::MutexLock lock(&mutex_);
    std::erase_if(idle_, [&](const Http1Ptr& connection) {
      const bool named = Contains(servers, *connection->server);
      if (!named) dropped->push_back(connection);
      return !named;
    });
    for (const Pooled& pooled : http2_) {
      const bool named = Contains(servers, *pooled.server);
      if (!named) pooled.connection->Retire();
    }
    std::erase_if(http2_, [](const Pooled& pooled) { return pooled.connection->Dead(); });
    std::erase_if(lost_, [&](const auto& entry) {
      return std::none_of(servers.begin(), servers.end(),
                          [&](const ServerPtr& server) { return server->url == entry.first; });
    });
    servers_ = std::move(servers);
    const auto [after, timeout] = Pings();
    for (const Pooled& pooled : http2_)
      pooled.connection->SetPings(after, timeout);
  }

  void SetTls(std::shared_ptr<const wire::TlsContext> tls) {
    std::vector<Http1Ptr> idle;
    {
      absl::MutexLock lock(&mutex_);
      tls_ = std::move(tls);
      ++generation_;
      for (const Pooled& pooled : http2_)
        pooled.connection->Retire();
      http2_.clear();
      idle.swap(idle_);
    }
    for (const Http1Ptr& connection : idle)
      CloseLater(connection);
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
      sent.target = connection.server->prefix + sent.target;
      // One task to await: GCC 12 destroys twice what a conditional co_await gives.
      Task<Result<HttpResponse>> answer =
          connection.http2 ? connection.http2->Send(std::move(sent), cancel, &refused)
                           : SendHttp1(connection, std::move(sent), cancel, &refused);
      Result<HttpResponse> response = co_await std::move(answer);
      // Reading twice does no harm, and there may be another server to read from.
      if (connection.http2 && connection.http2->Dead() && request.method == "GET") refused = true;
      if (response.ok() || !refused || attempt == kAttempts) {
        if (response.ok() || response.code() == Code::kCanceled) co_return response;
        co_return response.status().WithContext(GoUrlError(request, *connection.server));
      }
    }
  }

  Task<Result<HttpUpgrade>> Upgrade(HttpRequest request, CancelToken cancel) {
    GANTRY_CO_TRY(malformed_);
    for (const auto& [name, value] : options_.headers.all())
      request.headers.Add(name, value);
    Status last;
    for (const Candidate& candidate : Candidates()) {
      const Server& server = *candidate.server;
      wire::DialOptions dial = DialFor(candidate);
      dial.http1_only = true;
      Result<std::shared_ptr<wire::Socket>> socket = co_await wire::Dial(env_, std::move(dial));
      if (!socket.ok()) {
        NoteLost(server);
        last = socket.status().WithContext(GoUrlError(request, server));
        continue;
      }
      NoteUse(server);
      ServerPtr chosen = candidate.server;
      co_return co_await UpgradeOn(std::move(*socket), std::move(chosen), std::move(request),
                                   cancel);
    }
    co_return last;
  }

  Env& env() { return env_; }

  Task<> Stop() {
    std::vector<Pooled> http2;
    std::vector<Http1Ptr> idle;
    {
      absl::MutexLock lock(&mutex_);
      stopped_ = true;
      http2.swap(http2_);
      idle.swap(idle_);
    }
    for (const Pooled& pooled : http2)
      pooled.connection->Close();
    for (const auto& connection : idle)
      CloseLater(connection);
    dialed_.Notify();
    co_return;
  }

  void Keep(const Http1Ptr& connection) {
    {
      absl::MutexLock lock(&mutex_);
      if (!stopped_ && idle_.size() < kMaxIdleHttp1 && connection->generation == generation_ &&
          Contains(servers_, *connection->server)) {
        idle_.push_back(connection);
        return;
      }
    }
    CloseLater(connection);
  }

 private:
  struct Pooled {
    ServerPtr server;
    std::shared_ptr<Http2Connection> connection;
  };
  struct Connection {
    Connection() = default;
    ServerPtr server;
    std::shared_ptr<Http2Connection> http2;
    Http1Ptr http1;
    bool reused = false;
  };
  // A server to be dialled, and how.
  struct Candidate {
    ServerPtr server;
    std::shared_ptr<const wire::TlsContext> tls;
    uint64_t generation = 0;
    Duration timeout{};
  };
  class Http1Body;

  // The last problem; what is good is taken all the same.
  static Status Parse(const std::vector<std::string>& urls, std::vector<ServerPtr>* servers) {
    Status malformed;
    for (const std::string& url : urls) {
      Result<Server> server = ParseServer(url);
      if (server.ok()) {
        servers->push_back(std::make_shared<const Server>(std::move(server).value()));
      } else {
        malformed = server.status();
      }
    }
    return malformed;
  }

  static bool Contains(const std::vector<ServerPtr>& servers, const Server& wanted) {
    return std::any_of(servers.begin(), servers.end(),
                       [&](const ServerPtr& server) { return server->url == wanted.url; });
  }

  std::pair<Duration, Duration> Pings() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return servers_.size() > 1
               ? std::pair(options_.failover_ping_after, options_.failover_ping_timeout)
               : std::pair(options_.ping_after, options_.ping_timeout);
  }

  void NoteLost(const Server& server) {
    absl::MutexLock lock(&mutex_);
    lost_[server.url] = env_.Steady();
  }
  void NoteUse(const Server& server) {
    absl::MutexLock lock(&mutex_);
    current_ = server.url;
    lost_.erase(server.url);
  }

  // The order in which servers are tried: the one in use, the others, those that were lost lately.
  // Where there are several, each has a short time first, and all of them the full one then.
  std::vector<Candidate> Candidates() {
    absl::MutexLock lock(&mutex_);
    std::vector<ServerPtr> order = servers_;
    auto in_use = std::find_if(order.begin(), order.end(), [this](const ServerPtr& server) {
      mutex_.AssertHeld();
      return server->url == current_;
    });
    if (in_use != order.end()) std::rotate(order.begin(), in_use, order.end());
    const SteadyTime now = env_.Steady();
    auto lost_at = [&](const ServerPtr& server) {
      mutex_.AssertHeld();
      auto it = lost_.find(server->url);
      return it == lost_.end() || now - it->second > kMistrust ? SteadyTime::min() : it->second;
    };
    std::stable_sort(order.begin(), order.end(), [&](const ServerPtr& a, const ServerPtr& b) {
      return lost_at(a) < lost_at(b);
    });
    std::vector<Candidate> candidates;
    auto add = [&](Duration timeout) {
      mutex_.AssertHeld();
      for (const ServerPtr& server : order)
        candidates.push_back({server, tls_, generation_, timeout});
    };
    if (order.size() > 1) add(options_.failover_dial_timeout);
    add(options_.dial_timeout);
    return candidates;
  }

  wire::DialOptions DialFor(const Candidate& candidate) const {
    wire::DialOptions dial;
    dial.host = candidate.server->host;
    dial.port = candidate.server->port;
    dial.tls = candidate.server->https ? candidate.tls : nullptr;
    dial.server_name = options_.server_name;
    dial.timeout = candidate.timeout;
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
        for (const Pooled& pooled : http2_) {
          if (pooled.connection->Lost()) lost_[pooled.server->url] = env_.Steady();
        }
        std::erase_if(http2_, [](const Pooled& pooled) { return pooled.connection->Dead(); });
        for (const Pooled& pooled : http2_) {
          if (!pooled.connection->HasRoom()) continue;
          out->http2 = pooled.connection;
          out->server = pooled.server;
          co_return Status::Ok();
        }
        if (!idle_.empty()) {
          out->http1 = std::move(idle_.back());
          idle_.pop_back();
          out->server = out->http1->server;
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
    for (const Candidate& candidate : Candidates()) {
      const Server& server = *candidate.server;
      if (server.https && !candidate.tls)
        co_return BadRequest("no TLS settings for " + server.authority);
      const Executor strand = env_.MakeStrand();
      Result<std::shared_ptr<wire::Socket>> socket =
          co_await RunOn(strand, wire::Dial(env_, DialFor(candidate)));
      if (!socket.ok()) {
        NoteLost(server);
        last = socket.status().WithContext(GoUrlError(request, server));
        continue;
      }
      NoteUse(server);
      out->server = candidate.server;
      const bool http2 = (*socket)->negotiated_http2();
      absl::MutexLock lock(&mutex_);
      http1_only_ = !http2;
      if (http2) {
        out->http2 = std::make_shared<Http2Connection>(env_, std::move(*socket), Http2For(server));
        const auto [after, timeout] = Pings();
        out->http2->SetPings(after, timeout);
        out->http2->Start();
        if (!stopped_ && candidate.generation == generation_)
          http2_.push_back({candidate.server, out->http2});
      } else {
        out->http1 = std::make_shared<Http1Connection>();
        out->http1->server = candidate.server;
        out->http1->generation = candidate.generation;
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

  Task<Result<HttpUpgrade>> UpgradeOn(std::shared_ptr<wire::Socket> socket, ServerPtr server,
                                      HttpRequest request, CancelToken cancel) {
    request.target = server->prefix + request.target;
    auto close = [socket] { asio::post(socket->executor(), [socket] { socket->Close(); }); };
    CancelToken::Registration registration = cancel.OnCancel(close);
    Http1Exchange exchange(wire::MakeStream(socket, std::string()));
    Result<wire::ResponseHead> head =
        co_await exchange.Begin(Http1Head(request, *server), request.body, request.method);
    if (!head.ok()) {
      if (cancel.cancelled()) co_return Canceled("context canceled");
      co_return head.status().WithContext(GoUrlError(request, *server));
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
  Status malformed_;
  Notifier dialed_;

  absl::Mutex mutex_;
  std::vector<ServerPtr> servers_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const wire::TlsContext> tls_ ABSL_GUARDED_BY(mutex_);
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;                 // of tls_
  std::string current_ ABSL_GUARDED_BY(mutex_);                     // URL of the server in use
  std::map<std::string, SteadyTime> lost_ ABSL_GUARDED_BY(mutex_);  // by URL, and when
  bool dialing_ ABSL_GUARDED_BY(mutex_) = false;
  bool http1_only_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Pooled> http2_ ABSL_GUARDED_BY(mutex_);
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
  std::string head_text = Http1Head(request, *connection.server);
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

void HttpTransport::SetServers(const std::vector<std::string>& servers) {
  impl_->SetServers(servers);
}

void HttpTransport::SetTls(std::shared_ptr<const wire::TlsContext> tls) {
  impl_->SetTls(std::move(tls));
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
