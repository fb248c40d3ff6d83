#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <thread>

#include "apiserver/http/testing/test_server.h"
#include "apiserver/streams/exec_status.h"
#include "apiserver/streams/serve.h"
#include "apiserver/streams/testing/fake_node.h"

namespace gantry::apiserver {
namespace {

using testing::FakeNode;
using ::testing::HasSubstr;
using testing::RunCommand;
using testing::SendRaw;

std::string Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

client::ExecOptions OptionsOf(std::string_view query) {
  client::ExecOptions options;
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view item = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    const size_t equals = item.find('=');
    const std::string_view name = item.substr(0, equals);
    const std::string value = Unescape(item.substr(equals + 1));
    if (name == "command") options.command.push_back(value);
    if (name == "container") options.container = value;
    if (name == "stdin") options.stdin_open = value == "true";
    if (name == "stdout") options.stdout_open = value == "true";
    if (name == "stderr") options.stderr_open = value == "true";
    if (name == "tty") options.tty = value == "true";
  }
  return options;
}

// Just enough of an API server for kubectl to find one pod.
class PodHandler : public Handler {
 public:
  PodHandler(Env& env, std::shared_ptr<FakeNode> node) : env_(env), node_(std::move(node)) {}

  Task<Response> Handle(Request request) override {
    const std::string pod = "/api/v1/namespaces/default/pods/web";
    if (request.path == "/api") co_return Json(R"({"kind":"APIVersions","versions":["v1"]})");
    if (request.path == "/apis")
      co_return Json(R"({"kind":"APIGroupList","apiVersion":"v1","groups":[]})");
    if (request.path == "/api/v1") {
      co_return Json(
          R"({"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"pods","singularName":"pod",)"
          R"("namespaced":true,"kind":"Pod","verbs":["get","list"]}]})");
    }
    if (request.path == pod) {
      co_return Json(
          R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"default","uid":"u1"},)"
          R"("spec":{"containers":[{"name":"c","image":"i","stdin":true,"tty":false,)"
          R"("ports":[{"containerPort":7},{"containerPort":9}]}]},"status":{"phase":"Running"}})");
    }
    if (request.path == pod + "/exec" || request.path == pod + "/attach")
      co_return co_await Exec(std::move(request));
    if (request.path == pod + "/portforward") {
      streams::ForwardTarget target;
      target.node = node_;
      target.ns = "default";
      target.pod = "web";
      target.uid = "u1";
      co_return OrError(streams::ServePortForward(env_, request, std::move(target)));
    }
    Response missing = Json(R"({"kind":"Status","apiVersion":"v1","status":"Failure","code":404})");
    missing.status = 404;
    co_return missing;
  }

 private:
  static Response Json(std::string body) {
    Response response;
    response.headers.Add("Content-Type", "application/json");
    response.body = std::move(body);
    return response;
  }
  static Response OrError(Result<Response> response) {
    if (response.ok()) return std::move(response).value();
    Response failed = Json(R"({"kind":"Status","apiVersion":"v1","status":"Failure","message":")" +
                           response.status().message() + "\"}");
    failed.status = HttpStatusOf(response.code());
    return failed;
  }
  Task<Response> Exec(Request request) {
    if (Status upgrade = streams::CheckUpgrade(request); !upgrade.ok()) co_return OrError(upgrade);
    const client::ExecOptions options = OptionsOf(request.query);
    Result<std::unique_ptr<client::ExecSession>> session =
        co_await node_->Exec(options, request.cancel);
    if (!session.ok()) co_return OrError(session.status());
    co_return OrError(streams::ServeExec(env_, request, options, std::move(*session)));
  }

  Env& env_;
  std::shared_ptr<FakeNode> node_;
};

// Parameter: whether kubectl uses WebSockets (else SPDY).
class Kubectl : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (RunCommand("command -v kubectl").empty()) GTEST_SKIP() << "no kubectl here";
    node_ = std::make_shared<FakeNode>(env_);
    char name[] = "/tmp/gantry-streams-XXXXXX";
    cache_ = mkdtemp(name);
    handler_ = std::make_unique<PodHandler>(env_, node_);
    listener_ = std::make_unique<Listener>(env_, *handler_, ListenerOptions());
    ASSERT_TRUE(listener_->Start().ok());
  }
  void TearDown() override {
    if (!listener_) return;
    env_.RunToEnd(listener_->Stop(std::chrono::seconds(1)));
    std::filesystem::remove_all(cache_);
    EXPECT_EQ(node_->open_sessions, 0);
    EXPECT_EQ(node_->open_streams, 0);
  }

  std::string Command(const std::string& arguments) const {
    const std::string with = GetParam() ? "true" : "false";
    return "KUBECTL_REMOTE_COMMAND_WEBSOCKETS=" + with +
           " KUBECTL_PORT_FORWARD_WEBSOCKETS=" + with +
           " KUBECONFIG=/dev/null timeout --foreground 20 kubectl --cache-dir=" + cache_ +
           " --server http://127.0.0.1:" + std::to_string(listener_->port()) + " " + arguments;
  }
  std::string Run(const std::string& arguments) const {
    return RunCommand(Command(arguments) + " 2>&1; echo \"code $?\"");
  }

  std::string cache_;
  RealEnv env_{2};
  std::shared_ptr<FakeNode> node_;
  std::unique_ptr<PodHandler> handler_;
  std::unique_ptr<Listener> listener_;
};

TEST_P(Kubectl, ExecSeparatesStdoutFromStderr) {
  const std::string other = cache_ + "/other";
  EXPECT_EQ(RunCommand(Command("exec web -- both 2>" + other)), "to stdout\n");
  EXPECT_EQ(RunCommand("cat " + other), "to stderr\n");
}

TEST_P(Kubectl, ExecReturnsTheExitCode) {
  EXPECT_EQ(Run("exec web -- exit 0"), "code 0\n");
  EXPECT_EQ(Run("exec web -- exit 3"), "command terminated with exit code 3\ncode 3\n");
}

TEST_P(Kubectl, ExecPassesStdinToItsEnd) {
  EXPECT_EQ(RunCommand("printf 'one\\ntwo' | " + Command("exec -i web -- cat")), "one\ntwo");
  EXPECT_EQ(RunCommand("seq 1 200000 | " + Command("exec -i web -- cat") + " | md5sum"),
            RunCommand("seq 1 200000 | md5sum"));
}

TEST_P(Kubectl, ExecLosesNoOutput) {
  for (int count : {1, 9'999, 3'000'000}) {
    EXPECT_EQ(
        std::stoi(RunCommand(Command("exec web -- bytes " + std::to_string(count)) + " | wc -c")),
        count);
  }
}

TEST_P(Kubectl, ExecTellsTheTerminalsSize) {
  const std::string out = RunCommand("script -qec 'stty cols 91 rows 33; " +
                                     Command("exec -it web -- size") + "' /dev/null </dev/null");
  EXPECT_THAT(out, HasSubstr("91x33"));
}

TEST_P(Kubectl, ExecReportsWhatTheRuntimeSays) {
  EXPECT_THAT(Run("exec web -- broken"),
              HasSubstr("error executing command in container: the runtime is broken"));
  EXPECT_THAT(Run("exec web -c missing -- cat"), HasSubstr("missing"));
}

TEST_P(Kubectl, AttachShowsOutputAndDetachesWhenTheClientLeaves) {
  const std::string out = RunCommand(Command("attach web") + " & sleep 0.7; kill $!; wait");
  EXPECT_THAT(out, HasSubstr("attached"));
  for (int i = 0; i < 300 && node_->open_sessions > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

TEST_P(Kubectl, PortForwardCarriesConnections) {
  FILE* kubectl =
      popen(("echo $$; exec env " + Command("port-forward web :7 :9 :11 2>&1")).c_str(), "r");
  ASSERT_NE(kubectl, nullptr);
  char line[256];
  const pid_t pid = fgets(line, sizeof line, kubectl) ? std::atoi(line) : 0;
  std::map<std::string, uint16_t> local;  // by the pod's port
  while (local.size() < 3 && fgets(line, sizeof line, kubectl)) {
    const std::string text = line;  // Forwarding from 127.0.0.1:40000 -> 7
    const size_t colon = text.find("127.0.0.1:"), arrow = text.find(" -> ");
    if (colon == std::string::npos || arrow == std::string::npos) continue;
    local[text.substr(arrow + 4, text.find('\n') - arrow - 4)] =
        static_cast<uint16_t>(std::stoi(text.substr(colon + 10)));
  }
  ASSERT_EQ(local.size(), 3u);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(SendRaw(local["9"], "", 5000), "hello\n");
  const std::string large(300'000, 'e');
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(SendRaw(local["7"], large, 5000, true), large);
  EXPECT_EQ(SendRaw(local["11"], "", 5000), "");
  kill(pid, SIGTERM);
  std::string said;
  while (fgets(line, sizeof line, kubectl))
    said += line;
  pclose(kubectl);
  EXPECT_THAT(said, HasSubstr("error forwarding port 11 to pod web, uid u1: dial tcp4 "
                              "127.0.0.1:11: connect: connection "
                              "refused"));
}

INSTANTIATE_TEST_SUITE_P(Streams, Kubectl, ::testing::Values(true, false),
                         [](const auto& info) { return info.param ? "WebSocket" : "Spdy"; });

TEST(ExecStatus, IsWordedAsKubelet) {
  EXPECT_EQ(streams::ExecStatus::Exited(0).Json(), R"({"metadata":{},"status":"Success"})");
  EXPECT_EQ(
      streams::ExecStatus::Exited(7).Json(),
      R"({"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: command )"
      R"(terminated with exit code 7","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode",)"
      R"("message":"7"}]}})");
  EXPECT_EQ(
      streams::ExecStatus::Failed(InternalError("a \"b\"\n")).Json(),
      R"({"metadata":{},"status":"Failure","message":"Internal error occurred: error executing command in )"
      R"(container: a \"b\"\u000a","reason":"InternalError","details":{"causes":[{"message":"error executing )"
      R"(command in container: a \"b\"\u000a"}]},"code":500})");
}

Request UpgradeRequest(const char* to, const char* header, const char* protocols) {
  Request request;
  request.method = "GET";
  request.headers.Add("Connection", "keep-alive, Upgrade");
  request.headers.Add("Upgrade", to);
  request.headers.Add("Sec-WebSocket-Version", "13");
  request.headers.Add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
  if (*protocols) request.headers.Add(header, protocols);
  return request;
}

TEST(Negotiation, TakesTheClientsFirstThatWeKnow) {
  RealEnv env(1);
  FakeNode node(env);
  const struct {
    const char* upgrade;
    const char* header;
    const char* offered;
    const char* expected;  // the protocol, or the beginning of the message
  } rows[] = {
      {"websocket", "Sec-WebSocket-Protocol", "v5.channel.k8s.io", "v5.channel.k8s.io"},
      {"websocket", "Sec-WebSocket-Protocol", "x, v4.channel.k8s.io,channel.k8s.io",
       "v4.channel.k8s.io"},
      {"websocket", "Sec-WebSocket-Protocol", "", ""},
      {"websocket", "Sec-WebSocket-Protocol", "x",
       "websocket: none of the subprotocols [x] is supported"},
      {"SPDY/3.1", "X-Stream-Protocol-Version", "v4.channel.k8s.io, v3.channel.k8s.io",
       "v4.channel.k8s.io"},
      {"SPDY/3.1", "X-Stream-Protocol-Version", "x",
       "unable to upgrade: unable to negotiate protocol: client supports [x], server accepts ["},
      {"h2c", "X", "x", "Upgrade request required"},
  };
  for (const auto& row : rows) {
    const Request request = UpgradeRequest(row.upgrade, row.header, row.offered);
    std::unique_ptr<client::ExecSession> session;
    client::ExecOptions options;
    options.command = {"sleep"};
    auto open = [](FakeNode& node, client::ExecOptions options,
                   std::unique_ptr<client::ExecSession>& out) -> Task<> {
      out = (co_await node.Exec(options, CancelToken())).value();
    };
    env.RunToEnd(open(node, options, session));
    Result<Response> response = streams::ServeExec(env, request, options, std::move(session));
    if (response.ok()) {
      EXPECT_EQ(response->headers.Get(row.header), row.expected) << row.offered;
      EXPECT_EQ(response->status, 101);
    } else {
      EXPECT_THAT(response.status().message(), ::testing::StartsWith(row.expected)) << row.offered;
    }
  }
  EXPECT_EQ(node.open_sessions, 0);
}

}  // namespace
}  // namespace gantry::apiserver
