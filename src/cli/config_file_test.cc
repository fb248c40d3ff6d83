#include "cli/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace gantry::cli {
namespace {

using ::testing::ElementsAre;

class ConfigFileTest : public ::testing::Test {
 protected:
  ~ConfigFileTest() override { std::filesystem::remove(file_); }
  void Write(const std::string& text) { std::ofstream(file_) << text; }

  std::string file_ =
      ::testing::TempDir() + "/gantry-config-" + std::to_string(::getpid()) + ".yaml";
};

TEST_F(ConfigFileTest, AddsItsFlagsBehindTheCommand) {
  Write("data-dir: /srv/gantry\nhttps-port: 7443\nno-agent: true\n");
  auto arguments = WithConfigFile({"server", "--node-name", "a"}, file_);
  ASSERT_TRUE(arguments.ok()) << arguments.status().message();
  EXPECT_THAT(*arguments, ElementsAre("server", "--data-dir=/srv/gantry", "--https-port=7443",
                                      "--no-agent", "--node-name", "a"));
}

TEST_F(ConfigFileTest, TheCommandLineWins) {
  Write("data-dir: /srv/gantry\nno-agent: false\n");
  EXPECT_THAT(*WithConfigFile({"server", "--data-dir", "/tmp/x"}, file_),
              ElementsAre("server", "--data-dir", "/tmp/x"));
  EXPECT_THAT(*WithConfigFile({"server", "--data-dir=/tmp/x"}, file_),
              ElementsAre("server", "--data-dir=/tmp/x"));
}

TEST_F(ConfigFileTest, OtherCommandsDoNotReadIt) {
  Write("data-dir: /srv/gantry\n");
  EXPECT_THAT(*WithConfigFile({"get", "pods"}, file_), ElementsAre("get", "pods"));
}

TEST_F(ConfigFileTest, OnlyAFileThatIsAskedForMustBeThere) {
  EXPECT_THAT(*WithConfigFile({"server"}, "/nonexistent.yaml"), ElementsAre("server"));
  auto missing = WithConfigFile({"server", "--config", "/nonexistent.yaml"}, file_);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().message(), "configuration file /nonexistent.yaml: cannot read it");
}

TEST_F(ConfigFileTest, SaysWhatIsWrong) {
  Write("- a\n");
  EXPECT_EQ(WithConfigFile({"server"}, file_).status().message(),
            "configuration file " + file_ + ": it must be a mapping of flags to values");
  Write("data-dir: {a: b}\n");
  EXPECT_EQ(
      WithConfigFile({"server"}, file_).status().message(),
      "configuration file " + file_ + ": \"data-dir\" must be a text, a number, true or false");
}

}  // namespace
}  // namespace gantry::cli
