#include "node/images/reference.h"

#include <gtest/gtest.h>

namespace gantry::node {
namespace {

constexpr char kDigest[] =
    "sha256:0123456789012345678901234567890123456789012345678901234567890123";

TEST(ImageReference, NamesAreCompleted) {
  struct Row {
    std::string text, full;
  };
  const Row kRows[] = {
      {"nginx", "docker.io/library/nginx:latest"},
      {"nginx:1.25", "docker.io/library/nginx:1.25"},
      {"team/app", "docker.io/team/app:latest"},
      {"localhost/app", "localhost/app:latest"},
      {"localhost:5000/app:v1", "localhost:5000/app:v1"},
      {"registry.example.com/a/b/c:x", "registry.example.com/a/b/c:x"},
      {"index.docker.io/library/nginx", "docker.io/library/nginx:latest"},
      {std::string("nginx@") + kDigest, std::string("docker.io/library/nginx@") + kDigest},
      {std::string("nginx:1.25@") + kDigest, std::string("docker.io/library/nginx@") + kDigest},
      {"a__b-c.d", "docker.io/library/a__b-c.d:latest"},
  };
  for (const Row& row : kRows) {
    Result<ImageReference> ref = ParseImageReference(row.text);
    ASSERT_TRUE(ref.ok()) << row.text << ": " << ref.status().ToString();
    EXPECT_EQ(ref->ToString(), row.full);
  }
}

TEST(ImageReference, OthersAreRefused) {
  for (const char* text : {"", ":tag", "UPPER", "a//b", "/a", "a/", "a:b:c", "a@sha256:12", "a___b",
                           "-a", "a:-tag", "ex ample", "host:port/a"}) {
    EXPECT_EQ(ParseImageReference(text).code(), Code::kInvalid) << text;
  }
  EXPECT_EQ(ParseImageReference("UPPER").status().message(),
            "couldn't parse image name \"UPPER\": invalid reference format: repository name "
            "(library/UPPER) must be lowercase");
  EXPECT_EQ(ParseImageReference("Host/Repo/x").status().message(),
            "couldn't parse image name \"Host/Repo/x\": invalid reference format: repository name "
            "(Repo/x) must be lowercase");
}

}  // namespace
}  // namespace gantry::node
