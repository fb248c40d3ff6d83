#include "node/pages/pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "api/json_value.h"
#include "base/env/testing/virtual_env.h"
#include "node/os/fs.h"

namespace gantry::node {
namespace {

using api::JsonValue;
using api::core::v1::Pod;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

NodeUsage Example() {
  NodeUsage usage;
  usage.node_name = "n1";
  usage.now = WallTime(std::chrono::seconds(1'700'000'000));
  usage.booted_at = WallTime(std::chrono::seconds(1'600'000'000));
  usage.machine.cpus = 2;
  usage.machine.memory_bytes = 1000;
  usage.machine.disk_bytes = 100;
  usage.machine.disk_free_bytes = 40;
  usage.used.cpu_nanoseconds = 5'000'000'000;
  usage.used.working_set_bytes = 300;
  InterfaceUsage interface;
  interface.name = "eth0";
  interface.received_bytes = 7;
  interface.sent_bytes = 8;
  PodUsage pod;
  pod.ns = "default";
  pod.name = "web";
  pod.uid = "u1";
  pod.cgroup = "/g/podu1";
  pod.started_at = WallTime(std::chrono::seconds(1'650'000'000));
  pod.used.cpu_nanoseconds = 2'500'000'000;
  pod.used.working_set_bytes = 64;
  pod.used.pids = 3;
  pod.interfaces.push_back(interface);
  ContainerUsage container;
  container.name = "c\"1";
  container.id = "id1";
  container.image = "busybox";
  container.cgroup = "/g/podu1/id1";
  container.started_at = WallTime(std::chrono::milliseconds(1'650'000'000'500));
  container.used.cpu_nanoseconds = 2'000'000'000;
  container.used.working_set_bytes = 60;
  container.used.memory_bytes = 70;
  container.used.rss_bytes = 50;
  pod.containers.push_back(container);
  usage.pods.push_back(pod);
  return usage;
}

TEST(Pages, SummaryHasWhatReadersLookFor) {
  Result<JsonValue> parsed = JsonValue::Parse(StatsSummary(Example()));
  ASSERT_TRUE(parsed.ok());
  JsonValue& root = *parsed;
  EXPECT_EQ(root["node"]["nodeName"].as_string(), "n1");
  EXPECT_EQ(root["node"]["memory"]["availableBytes"].as_int(), 700);
  EXPECT_EQ(root["node"]["fs"]["usedBytes"].as_int(), 60);
  JsonValue& pod = root["pods"].as_array()[0];
  EXPECT_EQ(pod["podRef"]["name"].as_string(), "web");
  EXPECT_EQ(pod["cpu"]["usageCoreNanoSeconds"].as_int(), 2'500'000'000);
  EXPECT_EQ(pod["network"]["rxBytes"].as_int(), 7);
  EXPECT_EQ(pod["process_stats"]["process_count"].as_int(), 3);
  JsonValue& container = pod["containers"].as_array()[0];
  EXPECT_EQ(container["memory"]["workingSetBytes"].as_int(), 60);
  EXPECT_EQ(container["memory"]["rssBytes"].as_int(), 50);
}

// metrics-server reads these lines, times included.
TEST(Pages, ResourceMetrics) {
  const std::string text = ResourceMetrics(Example());
  for (const char* line :
       {"# TYPE container_cpu_usage_seconds_total counter\n",
        "container_cpu_usage_seconds_total{container=\"c\\\"1\",namespace=\"default\",pod=\"web\"} "
        "2 "
        "1700000000000\n",
        "container_memory_working_set_bytes{container=\"c\\\"1\",namespace=\"default\",pod=\"web\"}"
        " 60 "
        "1700000000000\n",
        "container_start_time_seconds{container=\"c\\\"1\",namespace=\"default\",pod=\"web\"} "
        "1650000000.5 1700000000000\n",
        "node_cpu_usage_seconds_total 5 1700000000000\n",
        "node_memory_working_set_bytes 300 1700000000000\n",
        "pod_cpu_usage_seconds_total{namespace=\"default\",pod=\"web\"} 2.5 1700000000000\n",
        "pod_memory_working_set_bytes{namespace=\"default\",pod=\"web\"} 64 1700000000000\n",
        "resource_scrape_error 0\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(Pages, CadvisorMetrics) {
  const std::string text = CadvisorMetrics(Example());
  for (const char* line :
       {"container_cpu_usage_seconds_total{container=\"c\\\"1\",cpu=\"total\",id=\"/g/podu1/id1\","
        "image=\"busybox\",name=\"id1\",namespace=\"default\",pod=\"web\"} 2 1700000000000\n",
        "container_memory_usage_bytes{container=\"c\\\"1\",id=\"/g/podu1/id1\",image=\"busybox\","
        "name=\"id1\",namespace=\"default\",pod=\"web\"} 70 1700000000000\n",
        "container_network_receive_bytes_total{id=\"/g/podu1\",interface=\"eth0\",namespace="
        "\"default\",pod=\"web\"} 7 1700000000000\n",
        "machine_cpu_cores 2 1700000000000\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(Pages, InterfacesOfTheKernelsTable) {
  const std::vector<InterfaceUsage> interfaces = ParseInterfaces(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
      "drop "
      "fifo colls carrier compressed\n"
      "    lo:  100       1    0    0    0     0          0         0      100       1    0    0   "
      " 0 "
      "    0       0          0\n"
      "  eth0: 1234       9    2    0    0     0          0         0     5678       8    3    0   "
      " 0 "
      "    0       0          0\n");
  ASSERT_EQ(interfaces.size(), 1u);
  EXPECT_EQ(interfaces[0].name, "eth0");
  EXPECT_EQ(interfaces[0].received_bytes, 1234u);
  EXPECT_EQ(interfaces[0].received_errors, 2u);
  EXPECT_EQ(interfaces[0].sent_bytes, 5678u);
  EXPECT_EQ(interfaces[0].sent_errors, 3u);
  EXPECT_TRUE(ParseInterfaces("").empty());
}

class FakeList : public PodList {
 public:
  Task<std::vector<api::Ref<Pod>>> Pods() override {
    std::vector<api::Ref<Pod>> pods;
    for (const char* phase : {"Running", "Pending"}) {
      auto pod = std::make_unique<Pod>();
      pod->mutable_metadata()->set_name(phase);
      pod->mutable_status()->set_phase(phase);
      pods.emplace_back(api::Object::FromServer(api::KindOf<Pod>(), std::move(pod)));
    }
    co_return pods;
  }
  Task<std::vector<PodUsage>> Groups() override { co_return std::vector<PodUsage>(); }
};

struct PagesTest : ::testing::Test {
  PagesTest() {
    char name[] = "/tmp/gantry-pages-XXXXXX";
    options.log_dir = mkdtemp(name);
    pages = std::make_unique<NodePages>(env, list, cgroups, options);
  }
  ~PagesTest() override {
    Status removed = RemoveTree(options.log_dir);
    EXPECT_TRUE(removed.ok());
  }

  static Task<> Ask(NodePages& pages, std::string path, int* status, std::string* body) {
    Result<client::NodePage> page = co_await pages.Get(std::move(path));
    *status = page.ok() ? page->status : 0;
    char buffer[7];
    while (page.ok()) {
      Result<size_t> count = co_await page->body->Read(buffer);
      if (!count.ok() || *count == 0) break;
      body->append(buffer, *count);
    }
  }
  std::string Get(const std::string& path) {
    int status = 0;
    std::string body;
    env.RunToEnd(Ask(*pages, path, &status, &body));
    return std::to_string(status) + " " + body;
  }

  VirtualEnv env;
  FakeList list;
  Cgroups cgroups;
  NodePages::Options options;
  std::unique_ptr<NodePages> pages;
};

TEST_F(PagesTest, HealthAndPods) {
  EXPECT_EQ(Get("/healthz"), "200 ok");
  EXPECT_EQ(Get("/healthz/syncloop"), "200 ok");
  EXPECT_EQ(Get("/nothing"), "404 404 page not found\n");
  EXPECT_THAT(Get("/pods"), HasSubstr("\"name\":\"Pending\""));
  EXPECT_EQ(Get("/runningpods/").find("Pending"), std::string::npos);
  EXPECT_THAT(Get("/metrics/resource"), HasSubstr("resource_scrape_error 0"));
}

TEST_F(PagesTest, LogFilesOfTheMachine) {
  ASSERT_TRUE(WriteFile(options.log_dir + "/syslog", "a line that takes several reads\n").ok());
  ASSERT_TRUE(MakeDirs(options.log_dir + "/a&b").ok());
  ASSERT_EQ(mkfifo((options.log_dir + "/pipe").c_str(), 0600), 0);
  EXPECT_EQ(Get("/logs/syslog"), "200 a line that takes several reads\n");
  EXPECT_THAT(Get("/logs/"), HasSubstr("<a href=\"syslog\">syslog</a>\n"));
  EXPECT_THAT(Get("/logs"), HasSubstr("<a href=\"a&amp;b/\">a&amp;b/</a>\n"));
  for (const char* path : {"/logs/none", "/logs/../etc/passwd", "/logs/a&b/..", "/logs/pipe"})
    EXPECT_EQ(Get(path), "404 404 page not found\n") << path;
}

}  // namespace
}  // namespace gantry::node
