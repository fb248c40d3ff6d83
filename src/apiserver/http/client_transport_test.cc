// The client's transport against the listener.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "apiserver/http/testing/test_server.h"
#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "client/http/reply_status.h"
#include "client/http/transport.h"

namespace gantry::client {
namespace {

using apiserver::testing::TestServer;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Parameter: TLS with HTTP/2, or plain HTTP/1.1.
class Transport : public ::testing::TestWithParam<bool> {
 protected:
  Transport() : server_(GetParam()) {}

  HttpTransportOptions Options() {
    HttpTransportOptions options;
    options.servers = {server_.url()};
    if (GetParam()) options.tls = Tls("client");
    return options;
  }
  std::shared_ptr<const wire::TlsContext> Tls(const std::string& name) {
    wire::TlsClientOptions settings;
    settings.ca_pem = server_.Read("ca.crt");
    settings.certificate_pem = server_.Read(name + ".crt");
    settings.private_key_pem = server_.Read(name + ".key");
    return wire::TlsContext::Client(settings).value();
  }
  Result<HttpReply> Fetch(HttpTransport& transport, HttpRequest request,
                          CancelToken cancel = CancelToken()) {
    std::optional<Result<HttpReply>> out;
    auto body = [](HttpTransport& transport, HttpRequest request, CancelToken cancel,
                   std::optional<Result<HttpReply>>& out) -> Task<> {
      out = co_await transport.Fetch(std::move(request), std::move(cancel));
    };
    server_.env().RunToEnd(body(transport, std::move(request), std::move(cancel), out));
    return std::move(*out);
  }
  void Stop(HttpTransport& transport) { server_.env().RunToEnd(transport.Stop()); }

  TestServer server_;
};

TEST_P(Transport, AnswersComeWhole) {
  HttpTransport transport(server_.env(), Options());
  const std::string protocol = GetParam() ? "h2" : "h1";
  EXPECT_EQ(Fetch(transport, HttpRequest("GET", "/echo?a=b"))->body,
            "GET /echo [a=b] " + protocol + " 0 \n");
  HttpRequest post("POST", "/echo");
  post.body = "hello";
  EXPECT_EQ(Fetch(transport, post)->body, "POST /echo [] " + protocol + " 5 hello\n");
  post.body.assign(2'000'000, 'z');
  EXPECT_THAT(Fetch(transport, post)->body, StartsWith("POST /echo [] " + protocol + " 2000000 "));
  for (size_t size : {size_t{0}, size_t{1}, size_t{100'000}, size_t{20'000'000}}) {
    EXPECT_EQ(Fetch(transport, HttpRequest("GET", "/body?" + std::to_string(size)))->body.size(),
              size);
  }
  EXPECT_EQ(Fetch(transport, HttpRequest("HEAD", "/body?500"))->body, "");
  EXPECT_EQ(Fetch(transport, HttpRequest("GET", "/nowhere"))->status, 404);
  EXPECT_THAT(Fetch(transport, HttpRequest("GET", "/stream?3"))->body, "line 0\nline 1\nline 2\n");
  if (GetParam()) {
    EXPECT_EQ(Fetch(transport, HttpRequest("GET", "/peer"))->body, "cn=alice o=dev o=ops error=\n");
  }
  EXPECT_LE(server_.listener().connection_count(), 1u);
  Stop(transport);
}

Task<> FetchInto(HttpTransport& transport, std::string target, std::atomic<int>& good) {
  Result<HttpReply> reply = co_await transport.Fetch(HttpRequest("GET", target));
  if (reply.ok() && reply->status == 200) ++good;
}

TEST_P(Transport, ManyRequestsAtOnce) {
  HttpTransport transport(server_.env(), Options());
  std::atomic<int> good = 0;
  Gate gate;
  for (int i = 0; i < 600; ++i) {
    Spawn(server_.env().executor(), gate, "fetch",
          FetchInto(transport, i % 2 ? "/stream?100" : "/sleep?20", good));
  }
  server_.env().RunToEnd(gate.Close(server_.env()));
  EXPECT_EQ(good, 600);
  Stop(transport);
}

TEST_P(Transport, CancellingEndsTheRequestOnBothSides) {
  HttpTransport transport(server_.env(), Options());
  CancelSource source;
  auto body = [](HttpTransport& transport, CancelSource& source) -> Task<> {
    Result<HttpResponse> response =
        co_await transport.Send(HttpRequest("GET", "/wait"), source.token());
    EXPECT_TRUE(response.ok());
    if (!response.ok()) co_return;
    Result<std::string> first = co_await response->body->Read();
    EXPECT_EQ(std::move(first).value_or("failed"), "waiting\n");
    source.Cancel();
    Result<std::string> second = co_await response->body->Read();
    EXPECT_EQ(second.code(), Code::kCanceled);
  };
  server_.env().RunToEnd(body(transport, source));
  auto wait = [](RealEnv& env, apiserver::testing::TestHandler& handler) -> Task<> {
    for (int i = 0; i < 500 && handler.waiting > 0; ++i)
      co_await SleepFor(env, std::chrono::milliseconds(10));
  };
  server_.env().RunToEnd(wait(server_.env(), server_.handler()));
  EXPECT_EQ(server_.handler().cancelled, 1);
  EXPECT_EQ(Fetch(transport, HttpRequest("GET", "/wait"), source.token()).code(), Code::kCanceled);
  Stop(transport);
}

TEST_P(Transport, FailsOverToAServerThatAnswers) {
  HttpTransportOptions options = Options();
  options.servers.insert(options.servers.begin(),
                         GetParam() ? "https://127.0.0.1:1" : "http://127.0.0.1:1");
  HttpTransport transport(server_.env(), options);
  EXPECT_EQ(Fetch(transport, HttpRequest("GET", "/echo"))->status, 200);
  Stop(transport);
}

TEST_P(Transport, AServerThatSaysNothingIsNotWaitedFor) {
  // The kernel accepts the connection, and nobody reads from it.
  const int silent = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(bind(silent, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(listen(silent, 10), 0);
  ASSERT_EQ(getsockname(silent, reinterpret_cast<sockaddr*>(&address), &length), 0);
  HttpTransportOptions options = Options();
  options.failover_dial_timeout = std::chrono::milliseconds(200);
  options.failover_ping_after = std::chrono::milliseconds(100);
  options.failover_ping_timeout = std::chrono::milliseconds(100);
  const std::string url = std::string(GetParam() ? "https" : "http") +
                          "://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  if (GetParam()) {
    options.servers.insert(options.servers.begin(), url);
    HttpTransport transport(server_.env(), options);
    EXPECT_EQ(Fetch(transport, HttpRequest("GET", "/echo"))->status, 200);
    Stop(transport);
  }
  close(silent);
}

TEST_P(Transport, ServersAndCredentialsChangeUnderWay) {
  HttpTransportOptions options = Options();
  const std::string good = options.servers[0];
  options.servers = {GetParam() ? "https://127.0.0.1:1" : "http://127.0.0.1:1"};
  HttpTransport transport(server_.env(), options);
  EXPECT_EQ(Fetch(transport, HttpRequest("GET", "/echo")).code(), Code::kUnavailable);
  transport.SetServers({"nonsense"});  // changes nothing
  transport.SetServers({good, options.servers[0]});
  EXPECT_EQ(Fetch(transport, HttpRequest("GET", "/echo"))->status, 200);
  if (GetParam()) {
    EXPECT_EQ(Fetch(transport, HttpRequest("GET", "/peer"))->body, "cn=alice o=dev o=ops error=\n");
    // What is under way goes on over the old connection.
    auto body = [](TestServer& server, HttpTransport& transport) -> Task<> {
      Result<HttpResponse> response = co_await transport.Send(HttpRequest("GET", "/wait"));
      EXPECT_TRUE(response.ok());
      if (!response.ok()) co_return;
      Result<std::string> first = co_await response->body->Read();
      EXPECT_EQ(std::move(first).value_or("failed"), "waiting\n");
      wire::TlsClientOptions settings;
      settings.ca_pem = server.Read("ca.crt");
      transport.SetTls(wire::TlsContext::Client(settings).value());
      Result<HttpReply> other = co_await transport.Fetch(HttpRequest("GET", "/peer"));
      EXPECT_EQ(other.ok() ? other->body : "", "cn= error=\n");
      EXPECT_EQ(server.handler().waiting, 1);
    };
    server_.env().RunToEnd(body(server_, transport));
  }
  transport.SetServers({options.servers[0]});
  EXPECT_EQ(Fetch(transport, HttpRequest("GET", "/echo")).code(), Code::kUnavailable);
  Stop(transport);
}

TEST_P(Transport, SaysWhyAServerCannotBeReached) {
  HttpTransportOptions options = Options();
  options.servers = {GetParam() ? "https://127.0.0.1:1/prefix" : "http://127.0.0.1:1/prefix"};
  HttpTransport transport(server_.env(), options);
  const Result<HttpReply> reply = Fetch(transport, HttpRequest("GET", "/api"));
  EXPECT_EQ(reply.code(), Code::kUnavailable);
  EXPECT_EQ(
      reply.status().message(),
      "Get \"" + options.servers[0] + "/api\": dial tcp 127.0.0.1:1: connect: connection refused");
  Stop(transport);
}

TEST_P(Transport, TheServersEndIsSeenAndTheNextRequestDialsAnew) {
  HttpTransport transport(server_.env(), Options());
  EXPECT_EQ(Fetch(transport, HttpRequest("GET", "/echo"))->status, 200);
  server_.Stop();
  EXPECT_EQ(Fetch(transport, HttpRequest("GET", "/echo")).code(), Code::kUnavailable);
  Stop(transport);
}

TEST_P(Transport, UpgradesGiveTheRawConnection) {
  HttpTransport transport(server_.env(), Options());
  auto body = [](HttpTransport& transport) -> Task<> {
    HttpRequest request("GET", "/upgrade");
    request.headers.Add("Connection", "Upgrade");
    request.headers.Add("Upgrade", "echo");
    Result<HttpUpgrade> upgrade = co_await transport.Upgrade(std::move(request));
    EXPECT_TRUE(upgrade.ok()) << upgrade.status().message();
    if (!upgrade.ok()) co_return;
    Status sent = co_await upgrade->stream->Write("to and fro");
    EXPECT_TRUE(sent.ok());
    std::array<char, 64> buffer;
    Result<size_t> got = co_await upgrade->stream->Read(buffer);
    EXPECT_EQ(std::string(buffer.data(), got.ok() ? *got : 0), "to and fro");
    Result<HttpUpgrade> refused = co_await transport.Upgrade(HttpRequest("GET", "/nowhere"));
    EXPECT_EQ(refused.code(), Code::kNotFound);
  };
  Gate gate;
  Spawn(server_.env().MakeStrand(), gate, "upgrade", body(transport));
  server_.env().RunToEnd(gate.Close(server_.env()));
  Stop(transport);
}

INSTANTIATE_TEST_SUITE_P(Http, Transport, ::testing::Values(true, false),
                         [](const auto& info) { return info.param ? "Http2OverTls" : "Http1"; });

TEST(TransportTls, RefusesAServerThatItDoesNotTrust) {
  TestServer server(true);
  const struct {
    const char* name;
    std::string ca;
    const char* url_host;
    const char* expected;
  } rows[] = {
      {"another authority", server.Read("stranger.crt"), "127.0.0.1",
       "failed to verify certificate"},
      {"another name", server.Read("ca.crt"), "127.0.0.2", "failed to verify certificate"},
  };
  for (const auto& row : rows) {
    wire::TlsClientOptions settings;
    settings.ca_pem = row.ca;
    HttpTransportOptions options;
    options.servers = {"https://127.0.0.1:" + std::to_string(server.port())};
    options.server_name = row.url_host;
    options.tls = wire::TlsContext::Client(settings).value();
    HttpTransport transport(server.env(), options);
    std::optional<Result<HttpReply>> out;
    auto body = [](HttpTransport& transport, std::optional<Result<HttpReply>>& out) -> Task<> {
      out = co_await transport.Fetch(HttpRequest("GET", "/echo"));
    };
    server.env().RunToEnd(body(transport, out));
    EXPECT_EQ(out->code(), Code::kUnavailable) << row.name;
    EXPECT_THAT(out->status().message(), HasSubstr(row.expected)) << row.name;
    server.env().RunToEnd(transport.Stop());
  }
}

TEST(StatusOfReply, ReadsWhatTheApiServerSays) {
  const Status status = StatusOfReply(
      409,
      R"({"kind":"Status","apiVersion":"v1","status":"Failure","message":"pods \"a\" already exists",)"
      R"("reason":"AlreadyExists","details":{"name":"a","kind":"pods","causes":[{"reason":"R","message":"M",)"
      R"("field":"F"}]},"code":409})");
  EXPECT_EQ(status.code(), Code::kAlreadyExists);
  EXPECT_EQ(status.message(), "pods \"a\" already exists");
  EXPECT_EQ(status.details().name, "a");
  ASSERT_EQ(status.details().causes.size(), 1u);
  EXPECT_EQ(status.details().causes[0].field, "F");
  EXPECT_EQ(StatusOfReply(404, "404 page not found\n").message(),
            "the server answered: 404 page not found");
  EXPECT_EQ(StatusOfReply(503, "").code(), Code::kServiceUnavailable);
}

}  // namespace
}  // namespace gantry::client
