#include "cluster.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/core/v1/event.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod_status.pb.h"
#include "base/check.h"
#include "client/typed.h"
#include "node/cleanup.h"
#include "node/images/image_store.h"
#include "node/os/fs.h"
#include "test_image.h"

namespace gantry::node::testing {

using api::core::v1::Pod;
using std::chrono::milliseconds;

Task<Result<std::vector<std::string>>> PaperNetwork::Attach(net::PodAttachment) {
  std::vector<std::string> ips = {"10.88.0.2"};
  co_return ips;
}
Task<Status> PaperNetwork::Detach(std::string) { co_return Status::Ok(); }
Task<Status> PaperNetwork::ReleaseAllBut(std::vector<std::string>) { co_return Status::Ok(); }

TestNode::TestNode() {
  dir_ = "/tmp/gantry-node-XXXXXX";
  GANTRY_CHECK(mkdtemp(dir_.data()) != nullptr, "mkdtemp");
  paths_ = std::make_unique<Paths>(dir_ + "/data");
  api_ = std::make_unique<client::FakeClient>(env_);
  (void)MakeDirs(paths_->data_dir());
  ImageStore store(*paths_);
  auto imported = store.Import(WriteDockerArchive(dir_, Busybox()));
  EXPECT_TRUE(imported.ok()) << imported.status().ToString();
}

TestNode::~TestNode() {
  DropAgent();
  Status cleaned = CleanUpNode(paths_->data_dir());
  EXPECT_TRUE(cleaned.ok()) << cleaned.ToString();
  (void)RemoveTree(dir_);
}

void TestNode::StartAgent(LeaseTimes lease) {
  AgentOptions options;
  options.node_name = "node-1";
  options.node_ips = {"127.0.0.1"};
  options.lease = lease;
  options.data_dir = paths_->data_dir();
  options.cluster_dns = {"10.43.0.10"};
  agent_ = std::make_unique<Agent>(env_, *api_, options, &network_, nullptr);
  Status started;
  auto start = [](Agent& agent, Status& out) -> Task<> { out = co_await agent.Start(); };
  env_.RunToEnd(start(*agent_, started));
  ASSERT_TRUE(started.ok()) << started.ToString();
}

void TestNode::DropAgent() {
  if (!agent_) return;
  env_.RunToEnd(agent_->Stop());
  agent_.reset();
}

void TestNode::Reboot() {
  // The directories themselves stay: only what lives in memory goes.
  std::string keep = paths_->data_dir() + "-kept";
  auto copy = [&](const std::string& from, const std::string& to) {
    std::string command = "cp -a --one-file-system " + from + " " + to;
    GANTRY_CHECK(system(command.c_str()) == 0, "copy");
  };
  for (const std::string& name : ListDir("/proc")) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string line = ReadFile("/proc/" + name + "/cmdline").value_or("");
    if (line.find("conmon") != std::string::npos &&
        line.find(paths_->run_dir()) != std::string::npos)
      kill(std::atoi(name.c_str()), SIGKILL);
  }
  (void)MakeDirs(keep);
  copy(paths_->Pods(), keep);
  copy(paths_->Logs(), keep);
  Status cleaned = CleanUpNode(paths_->data_dir());
  EXPECT_TRUE(cleaned.ok()) << cleaned.ToString();
  copy(keep + "/pods", paths_->data_dir());
  copy(keep + "/logs", paths_->data_dir());
  (void)RemoveTree(keep);
}

std::string TestNode::Run(Pod pod) {
  pod.mutable_spec()->set_node_name("node-1");
  return api_->Put(std::move(pod))->metadata().uid();
}

api::Ref<Pod> TestNode::Get(const std::string& name) { return api_->Peek<Pod>("default", name); }

void TestNode::Delete(const std::string& name, int64_t grace_seconds) {
  auto remove = [](client::Client& client, std::string name, int64_t grace) -> Task<> {
    client::DeleteOptions options;
    options.grace_period_seconds = grace;
    std::string ns = "default";
    Status status =
        co_await client::Delete<Pod>(client, std::move(ns), std::move(name), std::move(options));
    EXPECT_TRUE(status.ok()) << status.ToString();
  };
  env_.RunToEnd(remove(*api_, name, grace_seconds));
}

bool TestNode::UntilTrue(std::function<bool()> condition) {
  for (int i = 0; i < 6000; ++i) {
    if (condition()) return true;
    usleep(5000);
  }
  return false;
}

bool TestNode::Until(const std::string& name, std::function<bool(const Pod&)> condition) {
  bool held = UntilTrue([&] {
    api::Ref<Pod> pod = Get(name);
    return pod && condition(*pod);
  });
  EXPECT_TRUE(held) << (Get(name) ? Get(name)->status().DebugString() : name + " is gone")
                    << Events();
  return held;
}

bool TestNode::UntilGone(const std::string& name) {
  bool gone = UntilTrue([&] { return !Get(name); });
  EXPECT_TRUE(gone) << (Get(name) ? Get(name)->status().DebugString() : "") << Events();
  return gone;
}

bool TestNode::UntilPhase(const std::string& name, const std::string& phase) {
  return Until(name, [&](const Pod& pod) { return pod.status().phase() == phase; });
}

bool TestNode::UntilReady(const std::string& name) {
  return Until(name, [](const Pod& pod) {
    for (const auto& condition : pod.status().conditions()) {
      if (condition.type() == "Ready") return condition.status() == "True";
    }
    return false;
  });
}

std::string TestNode::Logs(const std::string& name, const std::string& container, bool previous) {
  std::string out;
  auto read = [](client::NodeApi& node, std::string name, std::string container, bool previous,
                 std::string& out) -> Task<> {
    client::LogOptions options;
    options.ns = "default";
    options.pod = name;
    options.container = container;
    options.previous = previous;
    auto stream = co_await node.Logs(std::move(options), CancelToken());
    if (!stream.ok()) {
      out = stream.status().message();
      co_return;
    }
    char buffer[4096];
    while (true) {
      auto n = co_await (*stream)->Read(buffer);
      if (!n.ok() || *n == 0) break;
      out.append(buffer, *n);
    }
  };
  env_.RunToEnd(read(*agent_->node_api(), name, container, previous, out));
  return out;
}

std::pair<int, std::string> TestNode::Exec(const std::string& name,
                                           std::vector<std::string> command,
                                           const std::string& input, bool tty) {
  std::pair<int, std::string> result{-1, ""};
  auto run = [](client::NodeApi& node, std::string name, std::vector<std::string> command,
                std::string input, bool tty, std::pair<int, std::string>& result) -> Task<> {
    client::ExecOptions options;
    options.ns = "default";
    options.pod = name;
    options.command = command;
    options.stdin_open = !input.empty() || tty;
    options.stdout_open = options.stderr_open = true;
    options.tty = tty;
    auto session = co_await node.Exec(std::move(options), CancelToken());
    if (!session.ok()) {
      result.second = session.status().message();
      co_return;
    }
    if (!input.empty()) {
      Status written = co_await (*session)->WriteStdin(input);
      written = co_await (*session)->CloseStdin();
    }
    while (true) {
      auto output = co_await (*session)->ReadOutput();
      if (!output.ok()) result.second += output.status().message();
      if (!output.ok() || !*output) break;
      result.second += (*output)->bytes;
    }
    auto code = co_await (*session)->ExitCode();
    result.first = code.ok() ? *code : -2;
  };
  env_.RunToEnd(run(*agent_->node_api(), name, command, input, tty, result));
  return result;
}

std::string TestNode::Events() {
  std::string out = "\nevents:\n";
  for (const auto& event : api_->All<api::core::v1::Event>())
    out += "  " + event->type() + " " + event->reason() + ": " + event->message() + "\n";
  return out;
}

bool TestNode::HasEvent(const std::string& reason, const std::string& part) {
  return UntilTrue([&] {
    for (const auto& event : api_->All<api::core::v1::Event>()) {
      if (event->reason() == reason && event->message().find(part) != std::string::npos)
        return true;
    }
    return false;
  });
}

Pod ShellPod(const std::string& name, const std::string& script) {
  Pod pod;
  pod.mutable_metadata()->set_name(name);
  pod.mutable_metadata()->set_namespace_("default");
  pod.mutable_spec()->set_restart_policy("Always");
  pod.mutable_spec()->set_termination_grace_period_seconds(30);
  auto* container = pod.mutable_spec()->add_containers();
  container->set_name("main");
  container->set_image("busybox:1");
  container->set_image_pull_policy("IfNotPresent");
  for (const char* part : {"sh", "-c"})
    container->add_command(part);
  container->add_command(script);
  return pod;
}

}  // namespace gantry::node::testing
