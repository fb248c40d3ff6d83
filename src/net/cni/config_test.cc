#include "net/cni/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace gantry::net::cni {
namespace {

using ::testing::ElementsAre;

TEST(CniConfig, ReadsListsAndSinglePlugins) {
  Result<NetworkConfig> list = NetworkConfig::Parse(
      R"({"cniVersion": "0.4.0", "name": "n", "disableCheck": true,
          "plugins": [{"type": "bridge"}, {"type": "portmap"}]})");
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(list->plugins.size(), 2u);
  EXPECT_TRUE(list->disable_check);
  Result<NetworkConfig> again = NetworkConfig::Parse(list->ToString());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->ToString(), list->ToString());
  Result<NetworkConfig> single = NetworkConfig::Parse(R"({"name": "n", "type": "ptp"})");
  ASSERT_TRUE(single.ok());
  EXPECT_EQ(single->plugins.size(), 1u);
  EXPECT_EQ(single->cni_version, "0.1.0");
}

TEST(CniConfig, SaysWhatIsMissing) {
  struct Row {
    const char* text;
    const char* says;
  };
  for (const Row& row : {
           Row{R"({"type": "bridge"})", "the network has no name"},
           Row{R"({"name": "n", "plugins": []})", "network n has no plug-ins"},
           Row{R"({"name": "n", "plugins": {}})", "\"plugins\" is no list"},
           Row{R"({"name": "n", "plugins": [{}]})", "a plug-in of network n has no type"},
       }) {
    EXPECT_EQ(NetworkConfig::Parse(row.text).status().message(), row.says);
  }
}

TEST(CniConfig, VersionsKnowThePreviousResultFrom04On) {
  for (const auto& [version, knows] :
       {std::pair("0.2.0", false), std::pair("0.3.1", false), std::pair("0.4.0", true),
        std::pair("0.10.0", true), std::pair("1.0.0", true), std::pair("", false)}) {
    NetworkConfig config;
    config.cni_version = version;
    EXPECT_EQ(config.KnowsPreviousResult(), knows) << version;
  }
}

TEST(CniConfig, TheFirstGoodFileCounts) {
  char name[] = "/tmp/gantry-cni-test-XXXXXX";
  const std::string directory = mkdtemp(name);
  EXPECT_EQ(LoadConfig(directory).status().message(), "no networks found in " + directory);
  std::ofstream(directory + "/00-readme.txt") << R"({"name": "text", "type": "x"})";
  std::ofstream(directory + "/10-broken.conf") << "{";
  std::ofstream(directory + "/30-late.conf") << R"({"name": "late", "type": "x"})";
  std::ofstream(directory + "/20-first.conflist")
      << R"({"name": "first", "plugins": [{"type": "x"}]})";
  EXPECT_EQ(LoadConfig(directory)->name, "first");
  std::filesystem::remove_all(directory);
}

TEST(CniConfig, AddressesOfAllVersions) {
  auto addresses = [](const char* text) { return AddressesOf(*api::JsonValue::Parse(text)); };
  EXPECT_THAT(*addresses(R"({"ips": [{"version": "4", "address": "10.22.0.5/16"},
                                     {"version": "6", "address": "fd22::5/64"}]})"),
              ElementsAre("10.22.0.5", "fd22::5"));
  EXPECT_THAT(*addresses(R"({"ip4": {"ip": "10.22.0.5/16"}})"), ElementsAre("10.22.0.5"));
  EXPECT_EQ(addresses(R"({"interfaces": []})").status().message(),
            "the network gave the pod no address");
}

}  // namespace
}  // namespace gantry::net::cni
