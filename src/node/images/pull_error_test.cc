#include "node/images/pull_error.h"

#include <gtest/gtest.h>

namespace gantry::node {
namespace {

std::string Line(const std::string& message) {
  return "time=\"2024-05-01T00:00:00Z\" level=warning msg=\"something else\"\n"
         "time=\"2024-05-01T00:00:00Z\" level=fatal msg=\"" +
         message + "\"\n";
}

TEST(PullError, IsWordedAsUsersKnowIt) {
  struct Row {
    std::string output;
    bool with_credentials;
    std::string text;
  };
  const std::string unpack = "failed to pull and unpack image \"r.example.com/team/app:v1\": ";
  const std::string resolve =
      unpack + "failed to resolve reference \"r.example.com/team/app:v1\": ";
  const std::string denied =
      resolve + "pull access denied, repository does not exist or may require authorization: ";
  const Row kRows[] = {
      {Line("initializing source docker://r.example.com/team/app:v1: reading manifest v1 in "
            "r.example.com/team/app: manifest unknown: manifest unknown"),
       false, resolve + "r.example.com/team/app:v1: not found"},
      {Line("initializing source docker://r.example.com/team/app:v1: reading manifest v1 in "
            "r.example.com/team/app: unauthorized: authentication required"),
       false, denied + "authorization failed: no basic auth credentials"},
      {Line("initializing source docker://r.example.com/team/app:v1: reading manifest v1 in "
            "r.example.com/team/app: unauthorized: authentication required"),
       true, denied + "authorization failed: the credentials were refused"},
      {Line("initializing source docker://r.example.com/team/app:v1: pinging container registry "
            "r.example.com: Get \\\"https://r.example.com/v2/\\\": dial tcp 10.0.0.1:443: connect: "
            "connection refused"),
       false,
       resolve + "failed to do request: Head \"https://r.example.com/v2/team/app/manifests/v1\": "
                 "dial tcp 10.0.0.1:443: connect: connection refused"},
      {Line("initializing source docker://r.example.com/team/app:v1: pinging container registry "
            "r.example.com: Get \\\"https://r.example.com/v2/\\\": x509: certificate signed by "
            "unknown authority"),
       false,
       resolve + "failed to do request: Head \"https://r.example.com/v2/team/app/manifests/v1\": "
                 "x509: certificate signed by unknown authority"},
      {Line("writing blob: no space left on device"), false,
       unpack + "writing blob: no space left on device"},
      {"killed", false, unpack + "killed"},
  };
  Result<ImageReference> image = ParseImageReference("r.example.com/team/app:v1");
  ASSERT_TRUE(image.ok());
  for (const Row& row : kRows)
    EXPECT_EQ(DescribePullError(*image, row.output, row.with_credentials), row.text);
}

}  // namespace
}  // namespace gantry::node
