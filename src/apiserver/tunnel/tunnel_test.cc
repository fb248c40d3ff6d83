#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "apiserver/http/listener.h"
#include "apiserver/streams/testing/fake_node.h"
#include "apiserver/tunnel/agent.h"
#include "apiserver/tunnel/cluster_drain.h"
#include "apiserver/tunnel/mux.h"
#include "apiserver/tunnel/server.h"
#include "base/env/real/real_env.h"

namespace gantry::apiserver::tunnel {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FakeNode;

class TunnelHandler : public Handler {
 public:
  explicit TunnelHandler(TunnelServer& server) : server_(server) {}
  Task<Response> Handle(Request request) override {
    Result<Response> response = server_.Accept(request, "node-1");
    if (response.ok() && request.path == kTunnelPath) co_return std::move(response).value();
    Response refused;
    refused.status = 400;
    co_return refused;
  }

 private:
  TunnelServer& server_;
};

// Never sees an address drained.
class StuckNode : public FakeNode {
 public:
  using FakeNode::FakeNode;
  Task<Status> AwaitDrained(std::vector<std::string>, Duration timeout,
                            CancelToken cancel) override {
    std::vector<std::string> stuck = {"stuck"};
    co_return co_await FakeNode::AwaitDrained(std::move(stuck), timeout, std::move(cancel));
  }
};

// A server and an agent in one process, with a tunnel between them.
class Tunnel : public ::testing::Test {
 protected:
  Tunnel() : server_(env_, milliseconds(600)), handler_(server_) {
    listener_ = std::make_unique<Listener>(env_, handler_, ListenerOptions());
    EXPECT_TRUE(listener_->Start().ok());
    node_ = std::make_shared<FakeNode>(env_);
    StartAgent();
  }
  ~Tunnel() override {
    stop_.Cancel();
    env_.RunToEnd(agents_.Close(env_));
    env_.RunToEnd(listener_->Stop(seconds(1)));
    EXPECT_EQ(node_->open_sessions, 0);
    EXPECT_EQ(node_->open_streams, 0);
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(listener_->port()); }

  void StartAgent() {
    AgentOptions options;
    options.http.servers = {url()};
    options.on_connected = [this](const std::string&, const wire::Headers&) { ++connected_; };
    options.dead_after = milliseconds(600);
    options.min_pause = milliseconds(10);
    agent_ = std::make_unique<TunnelAgent>(env_, node_, options);
    Spawn(env_.executor(), agents_, "agent", agent_->Run(stop_.token()));
  }

  // Runs `body` with the remote node on a strand, to its end.
  template <class Body>
  void WithNode(Body body) {
    Gate gate;
    auto run = [](Tunnel* self, Body body) -> Task<> {
      Result<std::shared_ptr<client::NodeApi>> node = self->server_.Find("node-1");
      for (int i = 0; i < 500 && !node.ok(); ++i) {
        co_await SleepFor(self->env_, milliseconds(10));
        node = self->server_.Find("node-1");
      }
      EXPECT_TRUE(node.ok());
      if (node.ok()) co_await body(**node);
    };
    Spawn(env_.MakeStrand(), gate, "test", run(this, body));
    env_.RunToEnd(gate.Close(env_));
  }

  // Until the condition holds; the test fails when it never does.
  void Until(std::function<bool()> holds) {
    auto wait = [](Env& env, std::function<bool()>& holds) -> Task<> {
      for (int i = 0; i < 1000 && !holds(); ++i)
        co_await SleepFor(env, milliseconds(10));
      EXPECT_TRUE(holds());
    };
    env_.RunToEnd(wait(env_, holds));
  }

  RealEnv env_{2};
  std::atomic<int> connected_ = 0;
  TunnelServer server_;
  TunnelHandler handler_;
  std::unique_ptr<Listener> listener_;
  std::shared_ptr<FakeNode> node_;
  std::unique_ptr<TunnelAgent> agent_;
  Gate agents_;
  CancelSource stop_;
};

Task<std::string> ReadAll(Stream& stream, size_t limit = std::string::npos) {
  std::string out;
  std::array<char, 4096> buffer;
  while (out.size() < limit) {
    Result<size_t> got = co_await stream.Read(buffer);
    if (!got.ok()) co_return out + "[" + got.status().message() + "]";
    if (*got == 0) break;
    out.append(buffer.data(), *got);
  }
  co_return out;
}

TEST_F(Tunnel, CarriesLogs) {
  WithNode([](client::NodeApi& node) -> Task<> {
    client::LogOptions options;
    options.ns = "default";
    options.pod = "web";
    Result<std::unique_ptr<Stream>> stream = co_await node.Logs(options, CancelToken());
    EXPECT_TRUE(stream.ok());
    EXPECT_EQ(co_await ReadAll(**stream), "a log of default/web\n");
  });
}

TEST_F(Tunnel, ErrorsKeepTheirReasonAndWords) {
  WithNode([](client::NodeApi& node) -> Task<> {
    client::ExecOptions options;
    options.container = "missing";
    Result<std::unique_ptr<client::ExecSession>> session =
        co_await node.Exec(options, CancelToken());
    EXPECT_EQ(session.code(), Code::kNotFound);
    EXPECT_EQ(session.status().message(), "container not found (\"missing\")");
    Result<std::unique_ptr<Stream>> stream = co_await node.PortForward("ns", "pod", "uid", 11);
    EXPECT_EQ(stream.status().message(), "dial tcp4 127.0.0.1:11: connect: connection refused");
  });
}

TEST_F(Tunnel, FollowedLogsEndWhenTheReaderLeaves) {
  WithNode([](client::NodeApi& node) -> Task<> {
    client::LogOptions options;
    options.follow = true;
    CancelSource source;
    Result<std::unique_ptr<Stream>> stream = co_await node.Logs(options, source.token());
    EXPECT_TRUE(stream.ok());
    EXPECT_EQ(co_await ReadAll(**stream, 5), "a log of /\n");
    source.Cancel();
    EXPECT_EQ(co_await ReadAll(**stream), "[the other end has gone]");
    Result<std::unique_ptr<Stream>> dropped = co_await node.Logs(options, CancelToken());
    EXPECT_TRUE(dropped.ok());
  });
}

TEST_F(Tunnel, CarriesExecBothWays) {
  WithNode([](client::NodeApi& node) -> Task<> {
    client::ExecOptions options;
    options.command = {"cat"};
    options.stdin_open = options.stdout_open = true;
    Result<std::unique_ptr<client::ExecSession>> session =
        co_await node.Exec(options, CancelToken());
    EXPECT_TRUE(session.ok());
    const std::string text(500'000, 'c');
    Status sent = co_await (*session)->WriteStdin(text);
    EXPECT_TRUE(sent.ok());
    sent = co_await (*session)->CloseStdin();
    std::string out;
    while (true) {
      Result<std::optional<client::ExecSession::Output>> output = co_await (*session)->ReadOutput();
      EXPECT_TRUE(output.ok());
      if (!output.ok() || !*output) break;
      out += (*output)->bytes;
    }
    EXPECT_EQ(out, text);
    Result<int> code = co_await (*session)->ExitCode();
    EXPECT_EQ(code.ok() ? *code : -1, 0);
  });
}

TEST_F(Tunnel, CarriesConnections) {
  WithNode([](client::NodeApi& node) -> Task<> {
    for (int i = 0; i < 50; ++i) {
      Result<std::unique_ptr<Stream>> stream = co_await node.PortForward("default", "web", "u", 7);
      EXPECT_TRUE(stream.ok());
      Status sent = co_await (*stream)->Write("ping");
      EXPECT_EQ(co_await ReadAll(**stream, 4), "ping");
      sent = co_await (*stream)->CloseWrite();
      EXPECT_EQ(co_await ReadAll(**stream), "");
    }
    Result<std::unique_ptr<Stream>> hello = co_await node.Dial("10.0.0.1", 9);
    EXPECT_TRUE(hello.ok());
    EXPECT_EQ(co_await ReadAll(**hello), "hello\n");
    Result<client::NodePage> page = co_await node.Page("/stats/summary", CancelToken());
    EXPECT_TRUE(page.ok());
    EXPECT_EQ(page->status, 200);
    EXPECT_EQ(page->content_type, "text/plain");
    EXPECT_EQ(co_await ReadAll(*page->body), "the page /stats/summary\n");
    Result<client::NodePage> missing = co_await node.Page("/missing", CancelToken());
    EXPECT_EQ(missing->status, 404);
  });
}

TEST_F(Tunnel, LivesThroughSilence) {
  WithNode([](client::NodeApi& node) -> Task<> { co_return; });
  Result<std::shared_ptr<client::NodeApi>> before = server_.Find("node-1");
  auto sleep = [](Env& env) -> Task<> { co_await SleepFor(env, milliseconds(1500)); };
  env_.RunToEnd(sleep(env_));
  EXPECT_TRUE(server_.Find("node-1").ok());
  auto ask = [](client::NodeApi& node) -> Task<> {
    Result<client::NodePage> page = co_await node.Page("/healthz", CancelToken());
    EXPECT_TRUE(page.ok());  // the same tunnel as before
  };
  env_.RunToEnd(ask(**before));
}

TEST_F(Tunnel, ANewTunnelIsUsedInThePlaceOfTheOneBefore) {
  WithNode([](client::NodeApi& node) -> Task<> { co_return; });
  std::unique_ptr<TunnelAgent> first = std::move(agent_);
  StartAgent();
  Until([this] { return connected_ == 2; });
  WithNode([](client::NodeApi& node) -> Task<> { co_return; });
  EXPECT_EQ(connected_, 2) << "neither has driven the other away";
  stop_.Cancel();
  env_.RunToEnd(agents_.Close(env_));
}

TEST_F(Tunnel, ServersComeAndGo) {
  WithNode([](client::NodeApi& node) -> Task<> { co_return; });
  EXPECT_TRUE(server_.Hears("node-1"));
  agent_->SetServers({"http://127.0.0.1:1"});
  Until([this] { return !server_.Find("node-1").ok(); });
  EXPECT_FALSE(server_.Hears("node-1"));
  agent_->SetServers({"http://127.0.0.1:1", url()});
  Until([this] { return server_.Find("node-1").ok(); });
}

TEST_F(Tunnel, NewCredentialsBreakNoCall) {
  auto follow = [](Env& env, TunnelAgent& agent, FakeNode& fake, std::atomic<int>& connected,
                   client::NodeApi& node) -> Task<> {
    client::LogOptions options;
    options.follow = true;
    CancelSource source;
    Result<std::unique_ptr<Stream>> stream = co_await node.Logs(options, source.token());
    EXPECT_TRUE(stream.ok());
    EXPECT_EQ(co_await ReadAll(**stream, 5), "a log of /\n");
    agent.SetTls(wire::TlsContext::Client(wire::TlsClientOptions()).value());
    for (int i = 0; i < 500 && connected < 2; ++i)
      co_await SleepFor(env, milliseconds(10));
    EXPECT_EQ(connected, 2);
    // The stream goes on over the tunnel that it began on, longer than an idle one would be kept.
    co_await SleepFor(env, milliseconds(100));
    EXPECT_EQ(fake.open_streams, 1);
    source.Cancel();
    EXPECT_EQ(co_await ReadAll(**stream), "[the other end has gone]");
  };
  WithNode([this, follow](client::NodeApi& node) {
    return follow(env_, *agent_, *node_, connected_, node);
  });
  WithNode([](client::NodeApi& node) -> Task<> {
    Result<client::NodePage> page = co_await node.Page("/stats/summary", CancelToken());
    EXPECT_TRUE(page.ok());
  });
}

TEST_F(Tunnel, TheWholeClusterIsAskedWhetherAddressesAreDrained) {
  WithNode([](client::NodeApi& node) -> Task<> { co_return; });
  auto local = std::make_shared<FakeNode>(env_);
  server_.SetLocal("here", local);
  ClusterDrain drain(env_, server_);
  auto ask = [](ClusterDrain& drain, std::string address) -> Task<> {
    std::vector<std::string> addresses = {std::move(address)};
    co_await drain.AwaitDrained(std::move(addresses), seconds(30));
  };
  // What is asked together is one question to each.
  Gate gate;
  for (int i = 0; i < 10; ++i)
    Spawn(env_.executor(), gate, "ask", ask(drain, "10.0.0." + std::to_string(i)));
  env_.RunToEnd(gate.Close(env_));
  EXPECT_GE(node_->drains, 1);
  EXPECT_LT(node_->drains, 10);
  EXPECT_EQ(local->drains, node_->drains);

  // A node that does not answer is not waited for for long.
  server_.SetLocal("quick", std::make_shared<FakeNode>(env_));
  const SteadyTime began = env_.Steady();
  auto slow = std::make_shared<StuckNode>(env_);
  server_.SetLocal("here", slow);
  env_.RunToEnd(ask(drain, "10.0.1.1"));
  EXPECT_LT(env_.Steady() - began, seconds(20));
  EXPECT_EQ(slow->drains, 1);
  env_.RunToEnd(drain.Stop());
}

TEST_F(Tunnel, NodesThatAreNotThereAreUnavailable) {
  EXPECT_EQ(server_.Find("node-2").status().message(), "error dialing backend: No agent available");
  server_.SetLocal("node-2", node_);
  EXPECT_TRUE(server_.Find("node-2").ok());
  server_.SetLocal("node-2", nullptr);
  EXPECT_FALSE(server_.Find("node-2").ok());
}

}  // namespace
}  // namespace gantry::apiserver::tunnel
