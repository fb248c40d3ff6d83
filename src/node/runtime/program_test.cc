#include "node/runtime/program.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/os/fs.h"

namespace gantry::node {
namespace {

TEST(Program, IsLookedUpAsTheContainerWould) {
  std::string root = ::testing::TempDir() + "/program-XXXXXX";
  ASSERT_NE(mkdtemp(root.data()), nullptr);
  ASSERT_TRUE(MakeDirs(root + "/bin").ok());
  ASSERT_TRUE(MakeDirs(root + "/work").ok());
  ASSERT_TRUE(WriteFile(root + "/bin/sh", "", 0755).ok());
  ASSERT_TRUE(WriteFile(root + "/bin/data", "", 0644).ok());
  ASSERT_TRUE(WriteFile(root + "/work/run", "", 0755).ok());
  ASSERT_EQ(chmod((root + "/bin/sh").c_str(), 0755), 0);
  ASSERT_EQ(chmod((root + "/work/run").c_str(), 0755), 0);
  ASSERT_EQ(symlink("/bin/sh", (root + "/work/link").c_str()), 0);
  ASSERT_EQ(symlink("/etc/hosts", (root + "/work/out").c_str()), 0);
  const std::string config = R"({"process":{"cwd":"/work","env":["A=B","PATH=/usr/bin:/bin"]}})";
  struct Row {
    const char *program, *why;  // null: it is there
  };
  const Row kRows[] = {
      {"sh", nullptr},
      {"/bin/sh", nullptr},
      {"./run", nullptr},
      {"/work/link", nullptr},
      {"nothing", "executable file not found in $PATH"},
      {"run", "executable file not found in $PATH"},
      {"data", "permission denied"},
      {"/bin/data", "permission denied"},
      {"/bin", "is a directory"},
      {"/nothing", "stat /nothing: no such file or directory"},
      {"/work/out", "stat /work/out: no such file or directory"},
  };
  for (const Row& row : kRows) {
    Status status = CheckProgram(root, config, row.program);
    EXPECT_EQ(status.ok(), row.why == nullptr) << row.program;
    if (row.why == nullptr) continue;
    EXPECT_EQ(status.message(),
              "OCI runtime exec failed: exec failed: unable to start container process: exec: \"" +
                  std::string(row.program) + "\": " + row.why + ": unknown");
  }
  EXPECT_TRUE(CheckProgram(root + "/absent", config, "nothing").ok());
  (void)RemoveTree(root);
}

}  // namespace
}  // namespace gantry::node
