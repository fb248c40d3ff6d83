#include "apiserver/http/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "apiserver/http/testing/test_server.h"

namespace gantry::apiserver {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::RunCommand;
using testing::SendRaw;
using ::testing::StartsWith;
using testing::TestServer;

std::string Curl(const TestServer& server, const std::string& flags, const std::string& path) {
  return RunCommand("curl -sS --max-time 20 --cacert " + server.path("ca.crt") + " " + flags +
                    " '" + server.url() + path + "' 2>&1");
}

void WaitFor(const std::function<bool()>& condition) {
  for (int i = 0; i < 500 && !condition(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(condition());
}

TEST(Listener, SpeaksBothProtocolsOverTls) {
  TestServer server(true);
  EXPECT_EQ(Curl(server, "--http1.1", "/echo?a=b%20c"), "GET /echo [a=b%20c] h1 0 \n");
  EXPECT_EQ(Curl(server, "--http2", "/echo?a=b%20c"), "GET /echo [a=b%20c] h2 0 \n");
  EXPECT_EQ(Curl(server, "--http1.1 -X PATCH -d hello", "/echo"), "PATCH /echo [] h1 5 hello\n");
  EXPECT_EQ(Curl(server, "--http2 -X PATCH -d hello", "/echo"), "PATCH /echo [] h2 5 hello\n");
  EXPECT_EQ(Curl(server, "--http1.1 -H 'Transfer-Encoding: chunked' -d hello", "/echo"),
            "POST /echo [] h1 5 hello\n");
}

TEST(Listener, SpeaksBothProtocolsWithoutTls) {
  TestServer server(false);
  EXPECT_EQ(Curl(server, "", "/echo"), "GET /echo [] h1 0 \n");
  EXPECT_EQ(Curl(server, "--http2-prior-knowledge", "/echo"), "GET /echo [] h2 0 \n");
}

TEST(Listener, BodiesOfEverySizeAndKindArriveWhole) {
  TestServer server(true);
  for (const char* protocol : {"--http1.1", "--http2"}) {
    for (const char* path :
         {"/body?0", "/body?1", "/body?16384", "/body?16385", "/body?5000000", "/pieces?3000000"}) {
      const std::string count = RunCommand("curl -sS --cacert " + server.path("ca.crt") + " " +
                                           protocol + " '" + server.url() + path + "' | wc -c");
      EXPECT_EQ(std::stol(count),
                std::stol(std::string(path).substr(std::string(path).find('?') + 1)))
          << protocol << path;
    }
    const std::string lines =
        RunCommand("curl -sS --cacert " + server.path("ca.crt") + " " + protocol + " '" +
                   server.url() + "/stream?20000' | md5sum");
    EXPECT_EQ(lines, RunCommand("seq -f 'line %.0f' 0 19999 | md5sum")) << protocol;
  }
}

// The kernel has no room for most of it at first, and the records that it did not take must follow
// in order.
TEST(Listener, AReaderThatPausesGetsEveryByte) {
  TestServer server(true);
  for (const char* protocol : {"--http1.1", "--http2"}) {
    const std::string count =
        RunCommand("curl -sS --cacert " + server.path("ca.crt") + " " + protocol + " '" +
                   server.url() + "/body?40000000' | (sleep 0.3; wc -c)");
    EXPECT_EQ(std::stol(count), 40'000'000) << protocol;
  }
}

TEST(Listener, GzipsLargeBodiesForThoseWhoTakeIt) {
  TestServer server(true);
  for (const char* protocol : {"--http1.1", "--http2"}) {
    EXPECT_THAT(
        Curl(server, std::string(protocol) + " -o /dev/null -D - -H 'Accept-Encoding: gzip'",
             "/pieces?200000"),
        HasSubstr("gzip"));
    EXPECT_THAT(
        Curl(server, std::string(protocol) + " -o /dev/null -D - -H 'Accept-Encoding: gzip'",
             "/pieces?100000"),
        Not(HasSubstr("gzip")));
    EXPECT_EQ(
        Curl(server, std::string(protocol) + " --compressed -o /dev/null -w '%{size_header}' ",
             "/body?1")
            .empty(),
        false);
    const std::string size =
        RunCommand("curl -sS --compressed --cacert " + server.path("ca.crt") + " " + protocol +
                   " '" + server.url() + "/pieces?200000' | wc -c");
    EXPECT_EQ(std::stol(size), 200000);
  }
}

TEST(Listener, ReportsTheClientsCertificateAndLeavesTheVerdictToTheHandler) {
  TestServer server(true);
  const struct {
    const char* name;
    const char* expected;
  } rows[] = {
      {"client", "cn=alice o=dev o=ops error=\n"},
      {"expired", "cn= expired error=certificate has expired\n"},
      {"stranger", "cn= error=unable to get local issuer certificate\n"},
      {"server", "cn= error=unsuitable certificate purpose\n"},
  };
  for (const char* protocol : {"--http1.1", "--http2"}) {
    EXPECT_EQ(Curl(server, protocol, "/peer"), "cn= error=\n");
    for (const auto& row : rows) {
      const std::string flags = std::string(protocol) + " --cert " +
                                server.path(row.name + std::string(".crt")) + " --key " +
                                server.path(row.name + std::string(".key"));
      EXPECT_EQ(Curl(server, flags, "/peer"), row.expected) << row.name;
    }
  }
}

TEST(Listener, BodiesOverTheLimitAreRefusedAsKubeApiserverDoes) {
  ListenerOptions options;
  options.max_body_bytes = 100'000;
  TestServer server(true, options);
  const std::string file = server.path("large");
  RunCommand("head -c 1000000 /dev/zero | tr '\\0' a > " + file);
  for (const char* flags : {"--http1.1 -H 'Expect:'", "--http1.1", "--http2",
                            "--http1.1 -H 'Expect:' -H 'Transfer-Encoding: chunked'"}) {
    EXPECT_EQ(
        Curl(server, std::string(flags) + " -w '%{http_code}' --data-binary @" + file, "/echo"),
        "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
        "\"message\":\"Request "
        "entity too large: limit is "
        "100000\",\"reason\":\"RequestEntityTooLarge\",\"code\":413}\n413")
        << flags;
  }
}

TEST(Listener, AClientThatLeavesCancelsItsRequest) {
  TestServer server(true);
  for (const char* protocol : {"--http1.1", "--http2"}) {
    const int before = server.handler().cancelled;
    RunCommand("timeout 0.3 curl -sN --cacert " + server.path("ca.crt") + " " + protocol + " " +
               server.url() + "/wait 2>&1");
    WaitFor(
        [&] { return server.handler().cancelled == before + 1 && server.handler().waiting == 0; });
  }
}

TEST(Listener, StopEndsStreamsAndIdleConnections) {
  TestServer server(true);
  std::vector<std::thread> clients;
  for (const char* protocol : {"--http1.1", "--http2"}) {
    clients.emplace_back(
        [&server, protocol] { EXPECT_EQ(Curl(server, protocol, "/wait"), "waiting\n"); });
  }
  WaitFor([&] { return server.handler().waiting == 2; });
  server.Stop();
  for (std::thread& client : clients)
    client.join();
  EXPECT_EQ(server.handler().cancelled, 2);
  EXPECT_EQ(server.listener().connection_count(), 0u);
}

TEST(Listener, UpgradesHandOverTheConnectionWithWhatCameEarly) {
  TestServer server(false);
  const std::string answer =
      SendRaw(server.port(), "GET /upgrade HTTP/1.1\r\nHost: x\r\n\r\nearly bytes", 300, true);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 101 Switching Protocols\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nearly bytes"));
}

TEST(Listener, KeepsConnectionsAndAnswersPipelinedRequestsInOrder) {
  TestServer server(false);
  std::string requests;
  for (int i = 0; i < 3000; ++i)
    requests += "GET /echo?" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  requests += "GET /echo?last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const std::string answer = SendRaw(server.port(), requests);
  size_t at = 0;
  for (int i = 0; i < 3000; ++i) {
    at = answer.find("GET /echo [" + std::to_string(i) + "]", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_NE(answer.find("[last]", at), std::string::npos);
}

TEST(Listener, MalformedRequestsAreRefusedAndDoNoHarm) {
  ListenerOptions options;
  options.max_header_bytes = 4096;
  TestServer server(false, options);
  const std::string host = "Host: x\r\n";
  const struct {
    const char* name;
    std::string request;
    const char* expected;
  } rows[] = {
      {"no version", "GET /echo\r\n\r\n", "HTTP/1.1 400 "},
      {"wrong version", "GET /echo HTTP/2.0\r\n" + host + "\r\n", "HTTP/1.1 400 "},
      {"control in target", "GET /ec\x01ho HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 400 "},
      {"relative target", "GET echo HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 400 "},
      {"space before colon", "GET /echo HTTP/1.1\r\nHost : x\r\n\r\n", "HTTP/1.1 400 "},
      {"folded header", "GET /echo HTTP/1.1\r\nHost: x\r\n y\r\n\r\n", "HTTP/1.1 400 "},
      {"no colon", "GET /echo HTTP/1.1\r\nHost x\r\n\r\n", "HTTP/1.1 400 "},
      {"no host", "GET /echo HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
      {"nul in value", "GET /echo HTTP/1.1\r\nHost: x" + std::string(1, '\0') + "\r\n\r\n",
       "HTTP/1.1 400 "},
      {"two lengths",
       "POST /echo HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
       "HTTP/1.1 400 "},
      {"length and chunked",
       "POST /echo HTTP/1.1\r\n" + host +
           "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "HTTP/1.1 400 "},
      {"negative length", "POST /echo HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n",
       "HTTP/1.1 400 "},
      {"length of letters", "POST /echo HTTP/1.1\r\n" + host + "Content-Length: 0x5\r\n\r\n",
       "HTTP/1.1 400 "},
      {"huge length", "POST /echo HTTP/1.1\r\n" + host + "Content-Length: 99999999999999\r\n\r\n",
       "HTTP/1.1 413 "},
      {"unknown coding",
       "POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n",
       "HTTP/1.1 501 "},
      {"bad chunk size",
       "POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
       "HTTP/1.1 400 "},
      {"chunk size overflow",
       "POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
       "HTTP/1.1 400 "},
      {"chunk too long",
       "POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
       "HTTP/1.1 400 "},
      {"long header", "GET /echo HTTP/1.1\r\n" + host + "X: " + std::string(8192, 'a') + "\r\n\r\n",
       "HTTP/1.1 431 "},
      {"endless header", "GET /echo HTTP/1.1\r\n" + host + "X: " + std::string(8192, 'a'),
       "HTTP/1.1 431 "},
      {"binary", std::string("\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 11), "HTTP/1.1 400 "},
  };
  for (const auto& row : rows)
    EXPECT_THAT(SendRaw(server.port(), row.request), StartsWith(row.expected)) << row.name;
  EXPECT_EQ(Curl(server, "", "/echo"), "GET /echo [] h1 0 \n");
}

TEST(Listener, ToleratesWhatTheStandardTolerates) {
  TestServer server(false);
  const struct {
    std::string request;
    const char* expected;
  } rows[] = {
      {"\r\n\r\nGET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
       "GET /echo [] h1 0 \n"},
      {"GET http://x/echo?q HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
       "GET /echo [q] h1 0 \n"},
      {"GET /echo HTTP/1.0\r\n\r\n", "GET /echo [] h1 0 \n"},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
       "3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
       "POST /echo [] h1 13 abc0123456789\n"},
  };
  for (const auto& row : rows)
    EXPECT_THAT(SendRaw(server.port(), row.request), HasSubstr(row.expected));
}

TEST(Listener, HeadHasTheHeadersOfGetAndNoBody) {
  TestServer server(true);
  for (const char* protocol : {"--http1.1", "--http2"}) {
    const std::string answer = Curl(server, std::string(protocol) + " -I", "/body?12345");
    EXPECT_THAT(answer, HasSubstr("200"));
    EXPECT_THAT(answer, HasSubstr("ength: 12345"));
  }
}

TEST(Listener, TellsThoseWhoSpeakPlainHttpToATlsPort) {
  TestServer server(true);
  EXPECT_THAT(SendRaw(server.port(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
              HasSubstr("Client sent an HTTP request to an HTTPS server."));
}

TEST(Listener, SlowAndSilentClientsAreDropped) {
  ListenerOptions options;
  options.header_timeout = std::chrono::milliseconds(100);
  options.idle_timeout = std::chrono::milliseconds(200);
  options.body_timeout = std::chrono::milliseconds(100);
  options.handshake_timeout = std::chrono::milliseconds(100);
  for (bool tls : {false, true}) {
    TestServer server(tls, options);
    for (const char* request :
         {"", "GET /echo HT", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"}) {
      if (tls && *request != '\0') continue;
      SendRaw(server.port(), request, 10'000);
      WaitFor([&] { return server.listener().connection_count() == 0; });
    }
  }
}

TEST(Listener, NewConnectionsUseReplacedCertificates) {
  TestServer server(true);
  const std::string before =
      RunCommand("openssl s_client -connect 127.0.0.1:" + std::to_string(server.port()) +
                 " </dev/null 2>/dev/null | openssl x509 -noout -subject");
  pki::KeyPair fresh = server.authority()
                           .IssueServer(server.env(), "fresh", {"127.0.0.1"}, std::chrono::hours(1))
                           .value();
  wire::TlsServerOptions settings;
  settings.certificate_pem = fresh.certificate_pem;
  settings.private_key_pem = fresh.private_key_pem;
  server.listener().ReplaceTls(wire::TlsContext::Server(settings).value());
  const std::string after =
      RunCommand("openssl s_client -connect 127.0.0.1:" + std::to_string(server.port()) +
                 " </dev/null 2>/dev/null | openssl x509 -noout -subject");
  EXPECT_THAT(before, HasSubstr("CN = server"));
  EXPECT_THAT(after, HasSubstr("CN = fresh"));
}

TEST(Listener, AcceptsTls12AndRefusesOlder) {
  TestServer server(true);
  EXPECT_EQ(Curl(server, "--tls-max 1.2", "/echo"), "GET /echo [] h2 0 \n");
  EXPECT_THAT(Curl(server, "--tls-max 1.1", "/echo"), HasSubstr("curl: (35)"));
}

TEST(Listener, APortInUseIsOneClearLine) {
  TestServer server(false);
  ListenerOptions options;
  options.port = server.port();
  Listener second(server.env(), server.handler(), options);
  Status started = second.Start();
  EXPECT_EQ(started.message(), "listen tcp 127.0.0.1:" + std::to_string(server.port()) +
                                   ": bind: address already in use");
}

TEST(Listener, SourcesThatWakeAreTakenFromToTheirEnd) {
  TestServer server(true);
  for (const char* protocol : {"--http1.1", "--http2"}) {
    EXPECT_EQ(RunCommand("curl -sS --cacert " + server.path("ca.crt") + " " + protocol + " '" +
                         server.url() + "/ticks?300' | md5sum"),
              RunCommand("seq -f 'line %.0f' 0 299 | md5sum"))
        << protocol;
  }
  const std::string out =
      RunCommand("h2load -n 400 -c 4 -m 50 '" + server.url() + "/ticks?40' 2>&1");
  EXPECT_THAT(out, HasSubstr("400 succeeded, 0 failed"));
}

TEST(Listener, ManyStreamsShareAnHttp2Connection) {
  TestServer server(true);
  const std::string out = RunCommand("h2load -n 5000 -c 4 -m 100 " + server.url() + "/echo 2>&1");
  EXPECT_THAT(out, HasSubstr("5000 succeeded, 0 failed"));
}

}  // namespace
}  // namespace gantry::apiserver
