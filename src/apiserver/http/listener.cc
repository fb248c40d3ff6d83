#include "apiserver/http/listener.h"

#include <absl/synchronization/mutex.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_map>
#include <utility>
#include <vector>

#include "apiserver/http/connection.h"
#include "base/log.h"

namespace gantry::apiserver {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using internal::Connection;
using internal::ServerContext;

namespace {
constexpr int kBacklog = 4096;
constexpr int kAcceptsPerTurn = 32;
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);

std::string LowerFirst(std::string text) {
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] + 32);
  return text;
}
}  // namespace

class Listener::Impl : public std::enable_shared_from_this<Listener::Impl> {
 public:
  Impl(Env& env, Handler& handler, ListenerOptions options)
      : context_(std::make_shared<ServerContext>(env, handler, std::move(options))),
        strand_(env.MakeStrand()),
        acceptor_(strand_),
        tls_(context_->options.tls) {}

  Status Start() {
    const ListenerOptions& options = context_->options;
    error_code error;
    const auto address = asio::ip::make_address(options.address, error);
    const bool v6 = options.address.find(':') != std::string::npos;
    const std::string where = "listen tcp " + (v6 ? "[" + options.address + "]" : options.address) +
                              ":" + std::to_string(options.port);
    if (error) return Unavailable(where + ": not an IP address");
    const tcp::endpoint endpoint(address, options.port);
    const char* step = "socket";
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && address.is_v6()) acceptor_.set_option(asio::ip::v6_only(false), error);
    if (!error) {
      step = "bind";
      acceptor_.bind(endpoint, error);
    }
    if (!error) {
      step = "listen";
      acceptor_.listen(kBacklog, error);
    }
    if (!error) acceptor_.non_blocking(true, error);
    if (error) {
      error_code ignored;
      acceptor_.close(ignored);
      return Unavailable(where + ": " + step + ": " + LowerFirst(error.message()));
    }
    port_ = acceptor_.local_endpoint(error).port();
    asio::post(strand_, [self = shared_from_this()] { self->WaitForClients(); });
    Spawn(strand_, own_gate_, "http deadlines", Sweep(shared_from_this()));
    return Status::Ok();
  }

  uint16_t port() const { return port_; }

  void ReplaceTls(std::shared_ptr<const wire::TlsContext> tls) {
    absl::MutexLock lock(&mutex_);
    tls_ = std::move(tls);
  }

  Task<> Stop(Duration grace) {
    Env& env = context_->env;
    stop_.Cancel();
    // `this` outlives the posted call: own_gate_ and the connections are waited for below, and
    // Listener holds us.
    asio::post(strand_, [self = shared_from_this()] {
      error_code ignored;
      self->acceptor_.close(ignored);
    });
    for (const auto& connection : Connections())
      connection->PostShutdown();
    const SteadyTime deadline = env.Steady() + grace;
    while (connection_count() > 0 && env.Steady() < deadline) {
      co_await gone_.Wait(env, CancelToken(), deadline);
    }
    for (const auto& connection : Connections())
      connection->PostAbort();
    co_await context_->gate.Close(env);
    co_await own_gate_.Close(env);
    while (connection_count() > 0)
      co_await gone_.Wait(env);
  }

  size_t connection_count() const {
    absl::MutexLock lock(&mutex_);
    return connections_.size();
  }

 private:
  void WaitForClients() {
    if (!acceptor_.is_open()) return;
    acceptor_.async_wait(tcp::acceptor::wait_read, [self = shared_from_this()](error_code error) {
      if (!error) self->Accept();
    });
  }

  void Accept() {
    for (int turn = 0; turn < kAcceptsPerTurn && acceptor_.is_open(); ++turn) {
      if (connection_count() >= context_->options.max_connections) return PauseAccepting();
      const int fd =
          ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) break;
        if (errno == EINTR || errno == ECONNABORTED) continue;
        log::Warning("http", "accept failed", {{"error", std::strerror(errno)}});
        return PauseAccepting();
      }
      auto on_gone = [self = shared_from_this()](Connection* gone) { self->Remove(gone); };
      auto connection = std::make_shared<Connection>(context_, context_->env.MakeStrand(), fd,
                                                     tls(), std::move(on_gone));
      {
        absl::MutexLock lock(&mutex_);
        connections_.emplace(connection.get(), connection);
      }
      arrived_.Notify();
      connection->Start();
    }
    WaitForClients();
  }

  // Out of connections or of file descriptors: those who wait in the kernel's queue are served when
  // there is room.
  void PauseAccepting() {
    pause_ = context_->env.CallAt(context_->env.Steady() + kAcceptPause, [weak = weak_from_this()] {
      if (auto self = weak.lock()) asio::post(self->strand_, [self] { self->Accept(); });
    });
  }

  void Remove(Connection* gone) {
    std::shared_ptr<Connection> last;  // not destroyed under the lock
    absl::MutexLock lock(&mutex_);
    if (auto it = connections_.find(gone); it != connections_.end()) {
      last = std::move(it->second);
      connections_.erase(it);
    }
    gone_.Notify();
  }

  std::shared_ptr<const wire::TlsContext> tls() const {
    absl::MutexLock lock(&mutex_);
    return tls_;
  }

  std::vector<std::shared_ptr<Connection>> Connections() const {
    absl::MutexLock lock(&mutex_);
    std::vector<std::shared_ptr<Connection>> out;
    out.reserve(connections_.size());
    for (const auto& [key, connection] : connections_)
      out.push_back(connection);
    return out;
  }

  // Looks for connections whose deadline has passed. One coarse walk costs less than a timer per
  // request; it rests while there are no connections.
  static Task<> Sweep(std::shared_ptr<Impl> self) {
    Env& env = self->context_->env;
    const ListenerOptions& options = self->context_->options;
    const Duration shortest = std::min({options.handshake_timeout, options.header_timeout,
                                        options.body_timeout, options.idle_timeout});
    const Duration pause =
        std::clamp<Duration>(shortest / 4, std::chrono::milliseconds(5), std::chrono::seconds(2));
    while (!self->stop_.token().cancelled()) {
      if (self->connection_count() == 0) {
        co_await self->arrived_.Wait(env, self->stop_.token());
        continue;
      }
      if (co_await SleepFor(env, pause, self->stop_.token()) == Wake::kCanceled) break;
      const int64_t now = env.Steady().time_since_epoch().count();
      absl::MutexLock lock(&self->mutex_);
      for (const auto& [key, connection] : self->connections_) {
        const int64_t deadline = connection->deadline_ns();
        if (deadline != 0 && deadline < now) connection->PostDeadline();
      }
    }
  }

  std::shared_ptr<ServerContext> context_;
  Executor strand_;
  tcp::acceptor acceptor_;  // used on strand_
  uint16_t port_ = 0;
  std::unique_ptr<TimerHandle> pause_;  // used on strand_
  Gate own_gate_;
  CancelSource stop_;
  Notifier gone_;
  Notifier arrived_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const wire::TlsContext> tls_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_ ABSL_GUARDED_BY(mutex_);
};

Listener::Listener(Env& env, Handler& handler, ListenerOptions options)
    : impl_(std::make_shared<Impl>(env, handler, std::move(options))) {}
Listener::~Listener() = default;
Status Listener::Start() { return impl_->Start(); }
uint16_t Listener::port() const { return impl_->port(); }
void Listener::ReplaceTls(std::shared_ptr<const wire::TlsContext> tls) {
  impl_->ReplaceTls(std::move(tls));
}
Task<> Listener::Stop(Duration grace) { return impl_->Stop(grace); }
size_t Listener::connection_count() const { return impl_->connection_count(); }

}  // namespace gantry::apiserver
