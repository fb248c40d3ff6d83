#include "net/cni/cni_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "net/netlink/route.h"
#include "net/testing/netns.h"

namespace gantry::net {
namespace {

using testing::Ask;
using testing::AskFrom;
using ::testing::HasSubstr;
using testing::TestHost;
using testing::TestNetns;
using testing::TestServer;

// With Debian's plug-ins (package containernetworking-plugins), and some that a test writes itself.
class CniNetworkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(host_.Ready()) << host_.problem();
    std::filesystem::create_directories(Dir("conf"));
    std::filesystem::create_directories(Dir("bin"));
    network_ = Make();
    ASSERT_EQ(host_.Await(network_->Start()).ToString(), "OK");
  }

  std::string Dir(const std::string& name) { return host_.data_dir() + "/" + name; }
  std::unique_ptr<CniNetwork> Make() {
    CniOptions options;
    options.data_dir = host_.data_dir();
    options.config_dir = Dir("conf");
    options.plugin_dirs = {Dir("bin"), "/usr/lib/cni"};
    return std::make_unique<CniNetwork>(host_.env(), options);
  }
  void Configure(const std::string& plugins) {
    std::ofstream(Dir("conf/10-test.conflist"))
        << R"({"cniVersion": "0.4.0", "name": "test", "plugins": [)" << plugins << "]}";
  }
  void UseBridge() {
    Configure(R"({"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
                  "ipam": {"type": "host-local", "dataDir": ")" +
              Dir("ipam") + R"(", "ranges": [[{"subnet": "10.22.0.0/24"}]],
                           "routes": [{"dst": "0.0.0.0/0"}]}},
                 {"type": "portmap", "capabilities": {"portMappings": true}})");
  }
  // A plug-in that writes down how it was called and then does as `body` says.
  void WritePlugin(const std::string& name, const std::string& body) {
    std::ofstream file(Dir("bin/" + name));
    file << "#!/bin/sh\ninput=$(cat)\necho \"$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME "
            "$CNI_ARGS\" >> "
         << Dir("calls") << "\n"
         << body << "\n";
    file.close();
    std::filesystem::permissions(Dir("bin/" + name), std::filesystem::perms::owner_all);
  }
  std::string Calls() {
    std::ifstream file(Dir("calls"));
    std::string text, line;
    while (std::getline(file, line))
      text += line.substr(0, line.find(' ')) + " ";
    return text;
  }
  PodAttachment Pod(const std::string& uid, const TestNetns& netns,
                    std::vector<HostPort> ports = {}) {
    PodAttachment pod;
    pod.uid = uid;
    pod.ns = "default";
    pod.name = "pod-" + uid;
    // Plug-ins are processes of their own.
    pod.netns_path =
        "/proc/" + std::to_string(getpid()) + netns.path().substr(sizeof("/proc/self") - 1);
    pod.host_ports = std::move(ports);
    return pod;
  }
  std::string Attach(PodAttachment pod) {
    Result<std::vector<std::string>> ips = host_.Await(network_->Attach(std::move(pod)));
    return ips.ok() ? ips->at(0) : ips.status().message();
  }
  size_t Leases() {
    size_t leases = 0;
    std::error_code error;
    for (const auto& file : std::filesystem::directory_iterator(Dir("ipam/test"), error))
      leases += IpAddress::Parse(file.path().filename().string()).has_value() ? 1 : 0;
    return leases;
  }

  TestHost host_;
  std::unique_ptr<CniNetwork> network_;
};

TEST_F(CniNetworkTest, PodsAreOnTheNetworkOfThePlugins) {
  TestNetns a, b;
  EXPECT_EQ(network_->NotReadyReason(), "Network plugin returns error: cni plugin not initialized");
  EXPECT_EQ(Attach(Pod("a", a)),
            "failed to setup network for sandbox \"a\": cni plugin not initialized");
  UseBridge();
  EXPECT_EQ(network_->NotReadyReason(), "");
  HostPort port;
  port.protocol = "TCP", port.host_port = 18080, port.container_port = 8080;
  ASSERT_EQ(Attach(Pod("a", a, {port})), "10.22.0.2");
  ASSERT_EQ(Attach(Pod("b", b)), "10.22.0.3");
  EXPECT_EQ(network_->NamespaceOf(*IpAddress::Parse("10.22.0.3")), "default");
  TestServer in_a(&a, "a", 8080);
  TestServer outside(&host_.outside(), "outside", 7070);
  EXPECT_EQ(AskFrom(b, "10.22.0.2", 8080).text, "a 10.22.0.3");
  EXPECT_EQ(AskFrom(b, "192.168.77.2", 7070).text, "outside 192.168.77.1");
  EXPECT_EQ(AskFrom(host_.outside(), "192.168.77.1", 18080).text, "a 192.168.77.2");
  EXPECT_EQ(AskFrom(a, "127.0.0.1", 8080).text, "a 127.0.0.1") << "the loopback is up";

  EXPECT_EQ(Attach(Pod("a", a, {port})), "10.22.0.2") << "attached already";
  EXPECT_TRUE(host_.Await(network_->Detach("a")).ok());
  EXPECT_TRUE(host_.Await(network_->Detach("a")).ok());
  EXPECT_EQ(Leases(), 1u);
  EXPECT_NE(AskFrom(host_.outside(), "192.168.77.1", 18080, false, 0, 300).error, 0);
}

TEST_F(CniNetworkTest, WhatACrashLeftIsTakenDownWithTheConfigurationThatMadeIt) {
  UseBridge();
  TestNetns live;
  auto dead = std::make_unique<TestNetns>();
  ASSERT_EQ(Attach(Pod("live", live)), "10.22.0.2");
  ASSERT_EQ(Attach(Pod("dead", *dead)), "10.22.0.3");
  dead.reset();
  Configure(R"({"type": "other"})");
  network_ = Make();  // what a new process would do
  ASSERT_EQ(host_.Await(network_->Start()).ToString(), "OK");
  std::vector<std::string> live_uids = {"live"};
  EXPECT_EQ(host_.Await(network_->ReleaseAllBut(live_uids)).ToString(), "OK");
  EXPECT_EQ(Leases(), 1u);
  EXPECT_EQ(Attach(Pod("live", live)), "10.22.0.2");
}

TEST_F(CniNetworkTest, AnAddThatWasCutOffIsUndoneFirst) {
  WritePlugin("probe",
              "[ $CNI_COMMAND = ADD ] && echo '{\"ips\": [{\"address\": "
              "\"10.9.9.9/24\"}]}'\nexit 0");
  Configure(R"({"type": "probe"})");
  TestNetns a;
  ASSERT_EQ(Attach(Pod("a", a)), "10.9.9.9");
  // As a crash within ADD leaves it: recorded, without a result.
  const std::string path = host_.data_dir() + "/net/cni/a";
  Result<api::JsonValue> record = api::JsonValue::Parse([&] {
    std::ifstream in(path);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }());
  ASSERT_TRUE(record.ok());
  (*record)["result"] = nullptr;
  std::ofstream(path) << record->ToString();
  network_ = Make();
  ASSERT_EQ(host_.Await(network_->Start()).ToString(), "OK");
  EXPECT_EQ(Attach(Pod("a", a)), "10.9.9.9");
  EXPECT_EQ(Calls(), "ADD DEL ADD ");
  EXPECT_EQ(Attach(Pod("a", a)), "10.9.9.9");
  EXPECT_EQ(Calls(), "ADD DEL ADD CHECK ");
}

TEST_F(CniNetworkTest, FailuresAreWordedAsTheKubeletWordsThem) {
  TestNetns a;
  Configure(R"({"type": "nowhere"})");
  EXPECT_EQ(Attach(Pod("a", a)),
            "failed to setup network for sandbox \"a\": plugin type=\"nowhere\" failed (add): "
            "failed to find plugin \"nowhere\" in path [" +
                Dir("bin") + " /usr/lib/cni]");
  WritePlugin("sad",
              "[ $CNI_COMMAND = ADD ] || exit 0\necho '{\"code\": 100, \"msg\": "
              "\"no room\", \"details\": \"all taken\"}'\nexit 1");
  Configure(R"({"type": "sad"})");
  EXPECT_EQ(Attach(Pod("a", a)),
            "failed to setup network for sandbox \"a\": plugin type=\"sad\" failed (add): no "
            "room; all taken");
  EXPECT_EQ(Calls(), "ADD DEL ") << "what the failed ADD may have done is undone";
  WritePlugin("mute", "[ $CNI_COMMAND = ADD ] || exit 0\necho oops >&2\nexit 1");
  Configure(R"({"type": "mute"})");
  EXPECT_THAT(Attach(Pod("a", a)),
              HasSubstr("plugin type=\"mute\" failed (add): netplugin failed with no error "
                        "message: oops"));
  EXPECT_TRUE(std::filesystem::is_empty(host_.data_dir() + "/net/cni"));
}

TEST_F(CniNetworkTest, PluginsAreToldWhatTheyAreCapableOf) {
  WritePlugin("probe", "echo \"$input\" >> " + Dir("input") +
                           "\necho '{\"ips\": [{\"address\": \"10.9.9.9/24\"}]}'");
  Configure(R"({"type": "probe", "capabilities": {"portMappings": true, "ipRanges": true}},
               {"type": "probe"})");
  std::vector<std::string> cidrs = {"10.42.3.0/24"};
  network_->SetPodCidrs(cidrs);
  TestNetns a;
  HostPort port;
  port.protocol = "UDP", port.host_port = 53, port.container_port = 5353,
  port.host_ip = "192.0.2.1";
  ASSERT_EQ(Attach(Pod("a", a, {port})), "10.9.9.9");
  std::ifstream file(Dir("input"));
  std::string first, second;
  std::getline(file, first);
  std::getline(file, second);
  Result<api::JsonValue> told = api::JsonValue::Parse(first);
  ASSERT_TRUE(told.ok()) << first;
  EXPECT_EQ(told->Find("runtimeConfig")->ToString(),
            R"({"portMappings":[{"hostPort":53,"containerPort":5353,"protocol":"udp",)"
            R"("hostIP":"192.0.2.1"}],"ipRanges":[[{"subnet":"10.42.3.0/24"}]]})");
  EXPECT_EQ(told->Find("name")->as_string(), "test");
  EXPECT_EQ(told->Find("capabilities"), nullptr);
  Result<api::JsonValue> next = api::JsonValue::Parse(second);
  ASSERT_TRUE(next.ok()) << second;
  EXPECT_EQ(next->Find("runtimeConfig"), nullptr);
  ASSERT_NE(next->Find("prevResult"), nullptr) << "the result goes from one to the next";
}

}  // namespace
}  // namespace gantry::net
