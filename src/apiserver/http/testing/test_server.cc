#include "apiserver/http/testing/test_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <utility>

#include "base/check.h"
#include "base/env/notifier.h"

namespace gantry::apiserver::testing {
namespace {

Task<> CountLines(BodyWriter& out, int count) {
  for (int i = 0; i < count; ++i) {
    auto line = std::make_shared<const std::string>("line " + std::to_string(i) + "\n");
    if (Status sent = co_await out.Write(std::move(line)); !sent.ok()) co_return;
  }
}

// Numbered lines, each a moment after the one before; timers wake whoever takes them.
class Ticks : public BodySource {
 public:
  Ticks(Env& env, int count) : env_(env), count_(count) {}
  void Start(std::shared_ptr<Waker> waker) override {
    waker_ = std::move(waker);
    SetTimer();
  }
  State Take(std::shared_ptr<const std::string>* chunk) override {
    if (next_ == count_) return State::kEnd;
    if (env_.Steady() < due_) return State::kIdle;
    *chunk = std::make_shared<const std::string>("line " + std::to_string(next_++) + "\n");
    SetTimer();
    return next_ == count_ ? State::kMore : State::kIdle;
  }

 private:
  void SetTimer() {
    due_ = env_.Steady() + std::chrono::microseconds(200);
    timer_ = env_.CallAt(due_, [waker = waker_] { waker->Wake(); });
  }

  Env& env_;
  const int count_;
  int next_ = 0;
  SteadyTime due_{};
  std::shared_ptr<Waker> waker_;
  std::unique_ptr<TimerHandle> timer_;
};

Task<> DrainTicks(Env& env, BodyWriter& out, int count) {
  Ticks ticks(env, count);
  const Status ended = co_await out.Drain(env, ticks);
  if (!ended.ok()) co_return;
}

Task<> WaitForCancel(Env& env, TestHandler& handler, CancelToken cancel, BodyWriter& out) {
  auto hello = std::make_shared<const std::string>("waiting\n");
  ++handler.waiting;
  if (Status sent = co_await out.Write(std::move(hello)); sent.ok()) {
    if (co_await SleepFor(env, std::chrono::hours(1), cancel) == Wake::kCanceled)
      ++handler.cancelled;
  }
  --handler.waiting;
}

Task<> EchoStream(std::unique_ptr<Stream> stream) {
  std::array<char, 4096> buffer{};
  while (true) {
    Result<size_t> got = co_await stream->Read(buffer);
    if (!got.ok() || *got == 0) co_return;
    if (Status sent = co_await stream->Write(std::string_view(buffer.data(), *got)); !sent.ok())
      co_return;
  }
}

std::string Describe(const Request& request) {
  return request.method + " " + request.path + " [" + request.query + "] " +
         (request.http2 ? "h2" : "h1") + " " + std::to_string(request.body.size()) + " " +
         request.body.substr(0, 64) + "\n";
}

std::string DescribePeer(const PeerInfo& peer) {
  std::string out = "cn=" + peer.certificate_common_name;
  for (const std::string& group : peer.certificate_organizations)
    out += " o=" + group;
  out += peer.certificate_expired ? " expired" : "";
  return out + " error=" + peer.certificate_error + "\n";
}

}  // namespace

Task<Response> TestHandler::Handle(Request request) {
  Response response;
  response.headers.Add("Content-Type", "text/plain");
  const int number = std::atoi(request.query.c_str());
  if (request.path == "/echo") {
    response.body = Describe(request);
  } else if (request.path == "/peer") {
    response.body = DescribePeer(request.peer);
  } else if (request.path == "/body") {
    response.body.assign(static_cast<size_t>(number), 'x');
  } else if (request.path == "/pieces") {
    auto piece = std::make_shared<const std::string>(std::string(1000, 'p'));
    for (int left = number; left > 0; left -= 1000)
      response.pieces.push_back(piece);
  } else if (request.path == "/stream") {
    response.stream = [number](BodyWriter& out) { return CountLines(out, number); };
  } else if (request.path == "/ticks") {
    response.stream = [this, number](BodyWriter& out) { return DrainTicks(env_, out, number); };
  } else if (request.path == "/wait") {
    response.stream = [this, cancel = request.cancel](BodyWriter& out) {
      return WaitForCancel(env_, *this, cancel, out);
    };
  } else if (request.path == "/upgrade") {
    response.status = 101;
    response.headers.Add("Upgrade", "echo");
    response.headers.Add("Connection", "Upgrade");
    response.upgrade = [](std::unique_ptr<Stream> stream) { return EchoStream(std::move(stream)); };
  } else if (request.path == "/sleep") {
    co_await SleepFor(env_, std::chrono::milliseconds(number), request.cancel);
    response.body = "slept\n";
  } else {
    response.status = 404;
    response.body = "no such page\n";
  }
  co_return response;
}

TestServer::TestServer(bool tls, ListenerOptions options) : tls_(tls) {
  char name[] = "/tmp/gantry-http-XXXXXX";
  GANTRY_CHECK(mkdtemp(name) != nullptr, "mkdtemp");
  directory_ = name;
  env_ = std::make_unique<RealEnv>(2);
  handler_ = std::make_unique<TestHandler>(*env_);
  const auto day = std::chrono::hours(24);
  authority_ = std::make_unique<pki::Authority>(pki::Authority::Create(*env_, "test-ca").value());
  pki::Authority stranger = pki::Authority::Create(*env_, "another-ca").value();
  pki::KeyPair server =
      authority_->IssueServer(*env_, "server", {"localhost", "127.0.0.1"}, day).value();
  pki::KeyPair client = authority_->IssueClient(*env_, "alice", {"dev", "ops"}, day).value();
  pki::KeyPair expired =
      authority_->IssueClient(*env_, "alice", {"dev"}, -std::chrono::seconds(60)).value();
  pki::KeyPair unknown = stranger.IssueClient(*env_, "mallory", {"system:masters"}, day).value();
  WriteFile("ca.crt", authority_->certificate_pem());
  for (const auto& [file, pair] : {std::pair("client", client), std::pair("expired", expired),
                                   std::pair("stranger", unknown), std::pair("server", server)}) {
    WriteFile(file + std::string(".crt"), pair.certificate_pem);
    WriteFile(file + std::string(".key"), pair.private_key_pem);
  }
  if (tls) {
    wire::TlsServerOptions settings;
    settings.certificate_pem = server.certificate_pem;
    settings.private_key_pem = server.private_key_pem;
    settings.client_ca_pem = authority_->certificate_pem();
    options.tls = wire::TlsContext::Server(settings).value();
  }
  listener_ = std::make_unique<Listener>(*env_, *handler_, std::move(options));
  Status started = listener_->Start();
  GANTRY_CHECK(started.ok(), started.message());
}

TestServer::~TestServer() {
  Stop();
  listener_.reset();
  env_->Stop();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void TestServer::Stop() {
  if (!std::exchange(stopped_, true)) env_->RunToEnd(listener_->Stop(std::chrono::seconds(1)));
}

std::string TestServer::url() const {
  return (tls_ ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port());
}

void TestServer::WriteFile(const std::string& name, const std::string& text) {
  std::ofstream(directory_ / name) << text;
}

std::string TestServer::Read(const std::string& file) const {
  std::stringstream text;
  text << std::ifstream(directory_ / file).rdbuf();
  return text.str();
}

std::string RunCommand(const std::string& command) {
  std::string out;
  FILE* pipe = popen(command.c_str(), "r");
  GANTRY_CHECK(pipe != nullptr, "popen");
  char buffer[4096];
  while (size_t got = fread(buffer, 1, sizeof buffer, pipe))
    out.append(buffer, got);
  pclose(pipe);
  return out;
}

std::string SendRaw(uint16_t port, const std::string& request, int timeout_ms, bool half_close) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  std::string out;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    size_t sent = 0;
    while (sent < request.size()) {
      const ssize_t count = ::send(fd, request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) break;
      sent += static_cast<size_t>(count);
    }
    if (half_close) ::shutdown(fd, SHUT_WR);
    char buffer[4096];
    pollfd ready{fd, POLLIN, 0};
    while (::poll(&ready, 1, timeout_ms) > 0) {
      const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
      if (got <= 0) break;
      out.append(buffer, static_cast<size_t>(got));
    }
  }
  ::close(fd);
  return out;
}

}  // namespace gantry::apiserver::testing
