#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "api/core/v1/pod_status.pb.h"
#include "cluster.h"
#include "node/os/fs.h"

namespace gantry::node::testing {
namespace {

using api::core::v1::Pod;

constexpr char kForever[] = "trap 'exit 0' TERM; while true; do sleep 1000 & wait $!; done";

// Takes out of a run's record that it was started.
Status ForgetStart(const std::string& home) {
  const std::string record = home + "/record.json";
  GANTRY_ASSIGN(std::string text, ReadFile(record));
  const size_t begin = text.find("\"startedAt\":");
  if (begin == std::string::npos) return Status(Code::kNotFound, text);
  const size_t end = text.find_first_of(",}", begin);
  text.erase(begin, end - begin + (text[end] == ',' ? 1 : 0));
  if (text[begin] == '}') text.erase(text.rfind(',', begin), 1);
  return WriteFile(record, text);
}

TEST(Agent, RunsAPodAndReportsIt) {
  TestNode node;
  node.StartAgent();
  node.Run(ShellPod("web", std::string("echo hello; ") + kForever));
  ASSERT_TRUE(node.UntilReady("web"));
  auto pod = node.Get("web");
  EXPECT_EQ(pod->status().phase(), "Running");
  EXPECT_EQ(pod->status().pod_ip(), "10.88.0.2");
  EXPECT_EQ(pod->status().qos_class(), "BestEffort");
  EXPECT_EQ(pod->status().container_statuses(0).image(), "docker.io/library/busybox:1");
  EXPECT_TRUE(node.UntilTrue([&] { return node.Logs("web") == "hello\n"; })) << node.Logs("web");
  EXPECT_TRUE(node.HasEvent("Started", "Started container main"));
  EXPECT_TRUE(node.HasEvent("Pulled", "Container image \"busybox:1\" already present on machine"));
  // Nothing had to be made in the container's own layer to mount something there.
  EXPECT_EQ(ListDir(node.paths().Home(pod->metadata().uid(), "main", 0) + "/upper"),
            std::vector<std::string>());
  auto [code, output] = node.Exec("web", {"sh", "-c", "hostname; cat; exit 3"}, "typed\n");
  EXPECT_EQ(code, 3);
  EXPECT_EQ(output, "web\ntyped\n");
  node.Delete("web", 5);
  EXPECT_TRUE(node.UntilGone("web"));
  EXPECT_TRUE(node.HasEvent("Killing", "Stopping container main"));
  EXPECT_TRUE(node.UntilTrue([&] { return ListDir(node.paths().Pods()).empty(); }));
}

TEST(Agent, ContainersOutliveIt) {
  TestNode node;
  node.StartAgent();
  node.Run(ShellPod("stay", "i=0; while true; do echo $i; i=$((i+1)); sleep 0.1; done"));
  node.Run(ShellPod("ends", "sleep 1; exit 4"));
  node.Run(ShellPod("deleted", kForever));
  ASSERT_TRUE(node.UntilReady("stay"));
  ASSERT_TRUE(node.UntilReady("ends"));
  ASSERT_TRUE(node.UntilReady("deleted"));
  std::string id = node.Get("stay")->status().container_statuses(0).container_id();
  node.DropAgent();
  node.api().Remove<Pod>("default", "deleted");
  usleep(1500000);
  node.StartAgent();
  // What ended meanwhile is known to have ended, and is run again.
  ASSERT_TRUE(node.Until("ends", [](const Pod& pod) {
    return pod.status().container_statuses(0).last_state().terminated().exit_code() == 4;
  }));
  ASSERT_TRUE(node.UntilTrue([&] { return ListDir(node.paths().Pods()).size() == 2; }));
  auto pod = node.Get("stay");
  EXPECT_EQ(pod->status().container_statuses(0).container_id(), id);
  EXPECT_EQ(pod->status().container_statuses(0).restart_count(), 0);
  std::string before = node.Logs("stay");
  EXPECT_NE(before.find("\n12\n"), std::string::npos) << before;
  EXPECT_TRUE(node.UntilTrue([&] { return node.Logs("stay").size() > before.size(); }));
}

// The watch of pods goes on where the lease can no longer be renewed.
TEST(Agent, StartsNothingThatMustNotRunTwiceWhenItsLeaseIsOver) {
  TestNode node;
  node.StartAgent(LeaseTimes{std::chrono::seconds(1), std::chrono::seconds(3)});
  auto identity = [](const std::string& name) {
    Pod pod = ShellPod(name, kForever);
    auto* owner = pod.mutable_metadata()->add_owner_references();
    owner->set_kind("StatefulSet");
    owner->set_name("db");
    owner->set_uid("db");
    owner->set_controller(true);
    return pod;
  };
  node.Run(identity("db-0"));
  ASSERT_TRUE(node.UntilReady("db-0"));
  node.api().SetFault([](const client::FakeClient::Call& call) {
    return call.kind->kind == "Lease" ? Unavailable("no server") : Status::Ok();
  });
  ASSERT_TRUE(
      node.UntilTrue([&] { return node.HasEvent("Fenced", "Stopped: the node reached no"); }));
  node.Run(identity("db-1"));
  node.Run(ShellPod("web", kForever));
  ASSERT_TRUE(node.UntilReady("web"));
  for (const auto& status : node.Get("db-1")->status().container_statuses()) {
    EXPECT_TRUE(status.state().has_waiting());
    EXPECT_FALSE(status.last_state().has_terminated());
  }
  node.api().SetFault({});
  EXPECT_TRUE(node.UntilReady("db-1"));
  EXPECT_TRUE(node.UntilReady("db-0"));
}

// It was killed when the program had been started and that had not been written down.
TEST(Agent, AStartThatWasNotRecordedIsFound) {
  TestNode node;
  node.StartAgent();
  node.Run(ShellPod("stay", kForever));
  ASSERT_TRUE(node.UntilReady("stay"));
  auto before = node.Get("stay");
  node.DropAgent();
  ASSERT_TRUE(ForgetStart(node.paths().Home(before->metadata().uid(), "main", 0)).ok());
  node.StartAgent();
  node.Run(ShellPod("after", kForever));
  ASSERT_TRUE(node.UntilReady("after"));
  auto after = node.Get("stay");
  EXPECT_EQ(after->status().container_statuses(0).container_id(),
            before->status().container_statuses(0).container_id());
  EXPECT_EQ(after->status().container_statuses(0).restart_count(), 0);
  EXPECT_TRUE(after->status().container_statuses(0).ready());
}

// It was killed while the monitor made the container: nobody knows of its process.
TEST(Agent, AContainerThatNobodySawMadeIsEnded) {
  TestNode node;
  node.StartAgent();
  node.Run(ShellPod("lost", kForever));
  ASSERT_TRUE(node.UntilReady("lost"));
  auto before = node.Get("lost");
  node.DropAgent();
  const std::string& uid = before->metadata().uid();
  const std::string bundle = node.paths().Bundle(uid, "main", 0);
  const std::string process = "/proc/" + ReadFile(bundle + "/pid").value_or("none");
  ASSERT_TRUE(Exists(process)) << process;
  ASSERT_TRUE(RemoveTree(bundle + "/process").ok());
  ASSERT_TRUE(ForgetStart(node.paths().Home(uid, "main", 0)).ok());
  node.StartAgent();
  ASSERT_TRUE(node.Until("lost", [&](const Pod& pod) {
    const auto& status = pod.status().container_statuses(0);
    return status.ready() &&
           status.container_id() != before->status().container_statuses(0).container_id();
  }));
  EXPECT_EQ(node.Get("lost")->status().container_statuses(0).restart_count(), 0);
  EXPECT_FALSE(Exists(process)) << "the container of before still runs";
}

TEST(Agent, PodsComeBackAfterAReboot) {
  TestNode node;
  node.StartAgent();
  node.Run(ShellPod("web", std::string("echo up; ") + kForever));
  ASSERT_TRUE(node.UntilReady("web"));
  node.DropAgent();
  node.Reboot();
  node.StartAgent();
  ASSERT_TRUE(node.Until("web", [](const Pod& pod) {
    const auto& status = pod.status().container_statuses(0);
    return status.restart_count() == 1 && status.ready();
  }));
  EXPECT_EQ(node.Get("web")->status().container_statuses(0).last_state().terminated().reason(),
            "Unknown");
  EXPECT_EQ(node.Get("web")->status().container_statuses(0).last_state().terminated().exit_code(),
            255);
}

}  // namespace
}  // namespace gantry::node::testing
