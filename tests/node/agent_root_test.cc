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

TEST(Agent, RunsAPodAndReportsIt) {
  TestNode node;
  node.StartAgent();
  node.Run(ShellPod("web", std::string("echo hello; ") + kForever));
  ASSERT_TRUE(node.UntilReady("web"));
  auto pod = node.Get("web");
  EXPECT_EQ(pod->status().phase(), "Running");
  EXPECT_EQ(pod->status().pod_ip(), "10.88.0.2");
  EXPECT_EQ(pod->status().qos_class(), "BestEffort");
  EXPECT_EQ(pod->status().container_statuses(0).image(), "busybox:1");
  EXPECT_TRUE(node.UntilTrue([&] { return node.Logs("web") == "hello\n"; })) << node.Logs("web");
  EXPECT_TRUE(node.HasEvent("Started", "Started container main"));
  EXPECT_TRUE(node.HasEvent("Pulled", "Container image \"busybox:1\" already present on machine"));
  auto [code, output] = node.Exec("web", {"sh", "-c", "hostname; cat; exit 3"}, "typed\n");
  EXPECT_EQ(code, 3);
  EXPECT_EQ(output, "web\ntyped\n");
  node.Delete("web", 5);
  EXPECT_TRUE(node.UntilGone("web"));
  EXPECT_TRUE(node.HasEvent("Killing", "Stopping container main"));
  EXPECT_TRUE(node.UntilTrue([&] { return ListDir(node.paths().Pods()).empty(); }));
}

}  // namespace
}  // namespace gantry::node::testing
