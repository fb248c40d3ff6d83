#include "net/service/health_check_server.h"

#include <absl/synchronization/mutex.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <set>

#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "base/log.h"
#include "base/wire/http1.h"
#include "net/dns/watchdog.h"

namespace gantry::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto kUse = asio::as_tuple(asio::use_awaitable);
constexpr size_t kMaxHead = 8192;
constexpr int kMaxConnections = 128;
constexpr Duration kIdle = std::chrono::seconds(60);
constexpr Duration kAcceptPause = std::chrono::milliseconds(50);

// IPv6 and IPv4 in one socket, or IPv4 alone where the machine has no IPv6.
boost::system::error_code Listen(tcp::acceptor& acceptor, uint16_t port) {
  boost::system::error_code error;
  for (const tcp::endpoint& at : {tcp::endpoint(tcp::v6(), port), tcp::endpoint(tcp::v4(), port)}) {
    boost::system::error_code ignored;
    acceptor.close(ignored);
    acceptor.open(at.protocol(), error);
    if (error) continue;
    acceptor.set_option(tcp::acceptor::reuse_address(true), ignored);
    if (at.protocol() == tcp::v6()) acceptor.set_option(asio::ip::v6_only(false), ignored);
    acceptor.bind(at, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (!error || error == asio::error::address_in_use) return error;
  }
  return error;
}

std::string Answer(const HealthCheckState& service, bool healthy, bool keep) {
  const bool ok = service.local_endpoints > 0 && healthy;
  const std::string body =
      "{\n\t\"service\": {\n\t\t\"namespace\": \"" + service.ns + "\",\n\t\t\"name\": \"" +
      service.name + "\"\n\t},\n\t\"localEndpoints\": " + std::to_string(service.local_endpoints) +
      ",\n\t\"serviceProxyHealthy\": " + (healthy ? "true" : "false") + "\n}";
  return std::string("HTTP/1.1 ") + (ok ? "200 OK" : "503 Service Unavailable") +
         "\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
         "Content-Length: " +
         std::to_string(body.size()) + (keep ? "" : "\r\nConnection: close") + "\r\n\r\n" + body;
}

}  // namespace

struct HealthCheckServer::State : std::enable_shared_from_this<State> {
  explicit State(Env& e) : env(e), strand(e.MakeStrand()) {}

  void Open();
  Task<> Serve(uint16_t port, std::shared_ptr<tcp::acceptor> acceptor);
  Task<> ServeConnection(uint16_t port, std::shared_ptr<tcp::socket> socket);
  // What to say on a port now; "" where it is no longer served.
  std::string AnswerOn(uint16_t port, bool keep);

  Env& env;
  Executor strand;
  CancelSource cancel;
  Gate gate;
  // On the strand.
  std::map<uint16_t, std::shared_ptr<tcp::acceptor>> acceptors;
  int connections = 0;

  absl::Mutex mutex;
  std::map<uint16_t, HealthCheckState> services ABSL_GUARDED_BY(mutex);
  bool healthy ABSL_GUARDED_BY(mutex) = false;
};

HealthCheckServer::HealthCheckServer(Env& env) : state_(std::make_shared<State>(env)) {}
HealthCheckServer::~HealthCheckServer() = default;

void HealthCheckServer::Update(std::map<uint16_t, HealthCheckState> services, bool healthy) {
  {
    absl::MutexLock lock(&state_->mutex);
    state_->healthy = healthy;
    if (services.empty() && state_->services.empty()) return;
    state_->services = std::move(services);
  }
  asio::post(state_->strand, [state = state_] { state->Open(); });
}

Task<> HealthCheckServer::Stop() {
  state_->cancel.Cancel();
  co_await state_->gate.Close(state_->env);
}

void HealthCheckServer::State::Open() {
  if (cancel.token().cancelled()) return;
  std::map<uint16_t, HealthCheckState> wanted;
  {
    absl::MutexLock lock(&mutex);
    wanted = services;
  }
  std::erase_if(acceptors, [&](const auto& entry) {
    boost::system::error_code ignored;
    if (wanted.contains(entry.first)) return false;
    entry.second->close(ignored);
    return true;
  });
  for (const auto& [port, service] : wanted) {
    if (acceptors.contains(port)) continue;
    auto acceptor = std::make_shared<tcp::acceptor>(strand);
    if (boost::system::error_code error = Listen(*acceptor, port)) {
      log::Warning("net", "cannot listen on the health check port of a service",
                   {{"service", service.ns + "/" + service.name},
                    {"port", std::to_string(port)},
                    {"error", error.message()}});
      continue;
    }
    acceptors.emplace(port, acceptor);
    Spawn(strand, gate, "health check port", Serve(port, std::move(acceptor)));
  }
}

Task<> HealthCheckServer::State::Serve(uint16_t port, std::shared_ptr<tcp::acceptor> acceptor) {
  dns::Watchdog<tcp::acceptor> watchdog(env, strand, acceptor, std::nullopt, cancel.token());
  while (acceptor->is_open()) {
    auto socket = std::make_shared<tcp::socket>(strand);
    auto [error] = co_await acceptor->async_accept(*socket, kUse);
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) co_return;
    if (error) {  // out of descriptors, most likely
      if (co_await SleepFor(env, kAcceptPause, cancel.token()) == Wake::kCanceled) co_return;
      continue;
    }
    if (connections >= kMaxConnections) continue;
    Spawn(strand, gate, "health check", ServeConnection(port, std::move(socket)));
  }
}

Task<> HealthCheckServer::State::ServeConnection(uint16_t port,
                                                 std::shared_ptr<tcp::socket> socket) {
  ++connections;
  dns::Watchdog<tcp::socket> watchdog(env, strand, socket, env.Steady() + kIdle, cancel.token());
  std::string in;
  while (true) {
    wire::RequestHead head;
    wire::HeadResult parsed = wire::ParseHead(in, &head);
    if (parsed.state == wire::HeadResult::State::kMalformed || in.size() > kMaxHead) break;
    if (parsed.state == wire::HeadResult::State::kIncomplete) {
      char bytes[1024];
      auto into = asio::buffer(bytes);
      auto [error, got] = co_await socket->async_read_some(into, kUse);
      if (error) break;
      in.append(bytes, got);
      continue;
    }
    in.erase(0, parsed.consumed);
    // A body is of no interest here; behind one the connection ends.
    const bool keep = head.minor_version > 0 && !head.headers.HasToken("connection", "close") &&
                      wire::RequestFraming(head.headers).kind == wire::Framing::Kind::kNone;
    std::string answer = AnswerOn(port, keep);
    if (answer.empty()) break;
    if (head.method == "HEAD") answer.resize(answer.find("\r\n\r\n") + 4);
    auto out = asio::buffer(answer);
    auto [error, sent] = co_await asio::async_write(*socket, out, kUse);
    if (error || !keep) break;
    watchdog.Extend(env.Steady() + kIdle);
  }
  --connections;
}

std::string HealthCheckServer::State::AnswerOn(uint16_t port, bool keep) {
  absl::MutexLock lock(&mutex);
  auto found = services.find(port);
  return found == services.end() ? std::string() : Answer(found->second, healthy, keep);
}

}  // namespace gantry::net
