#include "apiserver/subresources/proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apiserver/testing/api_fixture.h"
#include "base/env/notifier.h"

namespace gantry::apiserver {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What a server behind the proxy was asked, and what it says.
struct Backend {
  std::string address, seen;
  std::string answer = "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 5\r\n\r\nhello";
  bool echoes = false;  // all that comes behind the request
  bool closed = false;
};

// Its end of a connection. It answers once it has the whole head of a request.
class BackendStream : public Stream {
 public:
  BackendStream(Env& env, Backend& backend) : env_(env), backend_(backend) {}
  ~BackendStream() override { backend_.closed = true; }

  Task<Result<size_t>> Read(std::span<char> into) override {
    while (pending_.empty() && !ended_)
      co_await changed_.Wait(env_);
    const size_t count = pending_.copy(into.data(), into.size());
    pending_.erase(0, count);
    co_return count;
  }
  Task<Status> Write(std::string_view bytes) override {
    if (answered_ && backend_.echoes) pending_ += bytes;
    backend_.seen += bytes;
    if (!answered_ && backend_.seen.find("\r\n\r\n") != std::string::npos) {
      answered_ = true;
      pending_ += backend_.answer;
      ended_ = !backend_.echoes;
    }
    changed_.Notify();
    co_return Status();
  }
  Task<Status> CloseWrite() override {
    Close();
    co_return Status();
  }
  void Close() override {
    ended_ = true;
    changed_.Notify();
  }

 private:
  Env& env_;
  Backend& backend_;
  Notifier changed_;
  std::string pending_;
  bool answered_ = false, ended_ = false;
};

class TextStream : public Stream {
 public:
  explicit TextStream(std::string text) : text_(std::move(text)) {}
  Task<Result<size_t>> Read(std::span<char> into) override {
    const size_t count = text_.copy(into.data(), into.size());
    text_.erase(0, count);
    co_return count;
  }
  Task<Status> Write(std::string_view) override { co_return Status(); }
  Task<Status> CloseWrite() override { co_return Status(); }
  void Close() override {}

 private:
  std::string text_;
};

// One node, "n1".
class OneNode : public client::NodeDirectory, public client::NodeApi {
 public:
  Result<std::shared_ptr<NodeApi>> Find(const std::string& name) override {
    if (name != "n1") return Unavailable("error dialing backend: No agent available");
    return std::shared_ptr<NodeApi>(std::shared_ptr<NodeApi>(), this);
  }
  Task<Result<std::unique_ptr<Stream>>> Logs(client::LogOptions options, CancelToken) override {
    if (options.container != "c") co_return BadRequest("container x is not valid for pod p");
    co_return std::unique_ptr<Stream>(std::make_unique<TextStream>(
        "log of " + options.pod + ", last " + std::to_string(options.tail_lines.value_or(-1))));
  }
  Task<Result<std::unique_ptr<client::ExecSession>>> Exec(client::ExecOptions,
                                                          CancelToken) override {
    co_return Unavailable("no exec");
  }
  Task<Result<std::unique_ptr<Stream>>> PortForward(std::string, std::string, std::string,
                                                    uint16_t) override {
    co_return Unavailable("no ports");
  }
  Task<Result<std::unique_ptr<Stream>>> Dial(std::string address, uint16_t port) override {
    backend.address = address + ":" + std::to_string(port);
    co_return std::unique_ptr<Stream>(std::make_unique<BackendStream>(*env, backend));
  }
  Task<Status> AwaitDrained(std::vector<std::string>, Duration, CancelToken) override {
    co_return Status();
  }
  Task<Result<client::NodePage>> Page(std::string path, CancelToken) override {
    client::NodePage page;
    page.status = path == "/none" ? 404 : 200;
    page.content_type = "text/plain";
    page.body = std::make_unique<TextStream>("page " + path);
    co_return std::move(page);
  }

  Env* env = nullptr;
  Backend backend;
};

struct Proxy : ::testing::Test, OneNode, ApiFixture {
  Proxy() : ApiFixture(this) {
    OneNode::env = &ApiFixture::env();
    MakeDefaultAccount();
    MakePod("web");
  }
  void MakePod(const std::string& name) {
    Post("/api/v1/namespaces/default/pods", PodJson(name, R"("nodeName":"n1",)"));
    Patch("/api/v1/namespaces/default/pods/" + name + "/status", "merge-patch+json",
          R"({"status":{"podIP":"10.42.0.7","phase":"Running"}})");
  }
};

constexpr char kPod[] = "/api/v1/namespaces/default/pods/web:8080/proxy";

TEST_F(Proxy, PassesRequestsAndAnswersOn) {
  SetHeader("Authorization", "Bearer secret-token");
  SetHeader("X-Mine", "1");
  Reply reply = Get(std::string(kPod) + "/a%20b?c=d");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "hello");
  EXPECT_EQ(reply.headers.Get("content-type"), "text/x");
  EXPECT_EQ(backend.address, "10.42.0.7:8080");
  EXPECT_THAT(backend.seen, HasSubstr("GET /a%20b?c=d HTTP/1.1\r\nHost: 10.42.0.7:8080\r\n"));
  EXPECT_THAT(backend.seen, HasSubstr("X-Mine: 1\r\n"));
  EXPECT_THAT(backend.seen, HasSubstr("X-Forwarded-Uri: " + std::string(kPod) + "/a%20b\r\n"));
  EXPECT_THAT(backend.seen, Not(HasSubstr("secret-token")));
  EXPECT_TRUE(backend.closed);
}

// The path behind the proxy begins behind the object's name, whatever that is.
TEST_F(Proxy, NamesThatBeginWithProxy) {
  MakePod("proxy");
  EXPECT_EQ(Get("/api/v1/namespaces/default/pods/proxy:80/proxy/proxy/x").status, 200);
  EXPECT_THAT(backend.seen, HasSubstr("GET /proxy/x HTTP/1.1\r\n"));
}

TEST_F(Proxy, PlacesToGoLeadThroughTheProxy) {
  struct Row {
    const char* from;
    std::string to;
  };
  const std::string prefix = kPod;
  const Row rows[] = {
      {"/login", prefix + "/login"},
      {"http://10.42.0.7:8080/login?a=b", prefix + "/login?a=b"},
      {"http://10.42.0.7:8080", prefix + "/"},
      {"http://example.com/x", "http://example.com/x"},
      {"//example.com/x", "//example.com/x"},
      {"next", "next"},
      {"/api/v1/namespaces/default/pods/web:8080/proxy/x", prefix + "/x"},
  };
  for (const Row& row : rows) {
    backend.seen.clear();
    backend.answer = "HTTP/1.1 302 Found\r\nLocation: " + std::string(row.from) +
                     "\r\nContent-Length: 0\r\n\r\n";
    Reply reply = Get(prefix + "/");
    EXPECT_EQ(reply.status, 302);
    EXPECT_EQ(reply.headers.Get("location"), row.to) << row.from;
  }
  Reply root = Get(prefix + "?a=b");
  EXPECT_EQ(root.status, 301);
  EXPECT_EQ(root.headers.Get("location"), prefix + "/?a=b");
}

TEST_F(Proxy, AChangeOfProtocolJoinsBothSides) {
  SetHeader("Connection", "Upgrade");
  SetHeader("Upgrade", "websocket");
  SetHeader("Sec-WebSocket-Key", "k");
  backend.echoes = true;
  backend.answer =
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Accept: a\r\n\r\nwelcome,";
  Reply reply = Get(std::string(kPod) + "/ws");
  EXPECT_EQ(reply.status, 101);
  EXPECT_EQ(reply.headers.Get("sec-websocket-accept"), "a");
  EXPECT_EQ(reply.headers.Get("upgrade"), "websocket");
  EXPECT_THAT(backend.seen, HasSubstr("Upgrade: websocket\r\n"));
  EXPECT_THAT(backend.seen, HasSubstr("Sec-WebSocket-Key: k\r\n"));
  EXPECT_EQ(reply.body, "welcome,ping");
  EXPECT_TRUE(backend.closed);
  // A server that does not want to says so.
  backend = Backend();
  Reply refused = Get(std::string(kPod) + "/ws");
  EXPECT_EQ(refused.status, 200);
  EXPECT_EQ(refused.body, "hello");
}

TEST_F(Proxy, AnswersThatAreNone) {
  for (const char* answer : {"", "nonsense\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"}) {
    backend = Backend();
    backend.answer = answer;
    Reply reply = Get(std::string(kPod) + "/");
    EXPECT_EQ(reply.status, 503) << answer;
    EXPECT_THAT(reply.At("message"), HasSubstr("error trying to reach service: "));
  }
  backend = Backend();
  backend.answer =
      "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
  EXPECT_EQ(Get(std::string(kPod) + "/").body, "hello");
}

TEST_F(Proxy, ANodeAnswersAsAKubelet) {
  ASSERT_EQ(Post("/api/v1/nodes", R"({"metadata":{"name":"n1"}})").status, 201);
  Patch("/api/v1/nodes/n1/status", "merge-patch+json",
        R"({"status":{"addresses":[{"type":"InternalIP","address":"192.0.2.1"}],)"
        R"("daemonEndpoints":{"kubeletEndpoint":{"Port":10250}}}})");
  EXPECT_EQ(Get("/api/v1/nodes/n1/proxy/healthz").body, "page /healthz");
  EXPECT_EQ(Get("/api/v1/nodes/n1:10250/proxy/metrics/resource").body, "page /metrics/resource");
  EXPECT_EQ(Get("/api/v1/nodes/n1/proxy/none").status, 404);
  EXPECT_EQ(Get("/api/v1/nodes/n1/proxy/logs/a%20b").body, "page /logs/a b");
  EXPECT_EQ(Post("/api/v1/nodes/n1/proxy/run", "").status, 405);
  EXPECT_EQ(Get("/api/v1/nodes/n1/proxy/containerLogs/default/web/c?tailLines=3").body,
            "log of web, last 3");
  EXPECT_EQ(Get("/api/v1/nodes/n1/proxy/containerLogs/default/none/c").body,
            "pod \"none\" does not exist\n");
  EXPECT_EQ(Get("/api/v1/nodes/n1/proxy/containerLogs/default/web").status, 404);
  // Another port is another server of the machine.
  EXPECT_EQ(Get("/api/v1/nodes/n1:9100/proxy/metrics").body, "hello");
  EXPECT_EQ(backend.address, "192.0.2.1:9100");
  EXPECT_EQ(Get("/api/v1/nodes/n2/proxy/healthz").status, 404);
  As("bob");
  EXPECT_EQ(Get("/api/v1/nodes/n1/proxy/healthz").At("message"),
            "nodes \"n1\" is forbidden: User \"bob\" cannot get resource \"nodes/proxy\" in API "
            "group \"\" at the cluster scope");
}

}  // namespace
}  // namespace gantry::apiserver
