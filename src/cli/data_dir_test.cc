#include "cli/data_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace gantry::cli {
namespace {

using ::testing::HasSubstr;

class DataDirTest : public ::testing::Test {
 protected:
  DataDirTest()
      : path_(std::filesystem::temp_directory_path() / ("data-dir-" + std::to_string(getpid()))) {}
  ~DataDirTest() override { std::filesystem::remove_all(path_); }
  std::filesystem::path path_;
};

TEST_F(DataDirTest, ANewOneHasTheNewestFormat) {
  EXPECT_EQ(DataDir::Open(path_)->Read("format").value_or(""), "2\n");
}

TEST_F(DataDirTest, ANewerFormatIsRefusedAndLeftAlone) {
  ASSERT_TRUE(DataDir::Open(path_)->Write("format", "3\n").ok());
  const Result<DataDir> opened = DataDir::Open(path_);
  EXPECT_THAT(
      opened.status().message(),
      HasSubstr("has format 3, and this gantry knows formats up to 2: use the newer gantry"));
}

TEST_F(DataDirTest, ADamagedFormatIsSaid) {
  ASSERT_TRUE(DataDir::Open(path_)->Write("format", "new\n").ok());
  EXPECT_THAT(DataDir::Open(path_).status().message(), HasSubstr("format is damaged"));
}

TEST_F(DataDirTest, TheFirstFormatIsBroughtUpToDate) {
  {
    Result<DataDir> dir = DataDir::Open(path_);
    ASSERT_TRUE(dir->Write("pki/node.crt", "certificate\n").ok());
    ASSERT_TRUE(dir->Write("pki/node.key", "key\n").ok());
  }
  std::filesystem::remove(path_ / "format");
  const Result<DataDir> dir = DataDir::Open(path_);
  ASSERT_TRUE(dir.ok());
  EXPECT_EQ(dir->Read("format").value_or(""), "2\n");
  EXPECT_EQ(dir->Read("pki/node.pem").value_or(""), "certificate\nkey\n");
  EXPECT_EQ(dir->Read("pki/node.key").status().code(), Code::kNotFound);
}

TEST_F(DataDirTest, IsForOneProcessAtATime) {
  const Result<DataDir> first = DataDir::Open(path_);
  ASSERT_TRUE(first.ok());
  EXPECT_THAT(DataDir::Open(path_).status().message(),
              HasSubstr("in use by process " + std::to_string(getpid())));
}

}  // namespace
}  // namespace gantry::cli
