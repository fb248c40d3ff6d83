#include "node/images/credentials.h"

#include <gtest/gtest.h>

namespace gantry::node {
namespace {

std::vector<std::string> For(const PullSecrets& secrets, const std::string& image) {
  return AuthFilesFor(secrets, *ParseImageReference(image));
}

std::string Secret(const std::string& registry, const std::string& auth) {
  return R"({"auths":{")" + registry + R"(":{"auth":")" + auth + R"("}}})";
}

TEST(Credentials, KeysNameRegistriesInManyWays) {
  struct Row {
    const char *key, *image;
    bool matches;
  };
  const Row kRows[] = {
      {"r.example.com", "r.example.com/app:1", true},
      {"https://r.example.com", "r.example.com/app:1", true},
      {"https://r.example.com/v2/", "r.example.com/app:1", true},
      {"r.example.com:5000", "r.example.com:5000/app:1", true},
      {"r.example.com", "r.example.com:5000/app:1", false},
      {"r.example.com:5001", "r.example.com:5000/app:1", false},
      {"*.example.com", "r.example.com/app:1", true},
      {"*.example.com", "a.b.example.com/app:1", false},
      {"*.example.com:5000", "r.example.com:5000/app:1", true},
      {"r.example.com/team", "r.example.com/team/app:1", true},
      {"r.example.com/team", "r.example.com/other/app:1", false},
      {"https://index.docker.io/v1/", "nginx", true},
      {"docker.io", "team/app:1", true},
      {"other.example.com", "r.example.com/app:1", false},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(For({Secret(row.key, "YTpi")}, row.image).size(), row.matches ? 1u : 0u)
        << row.key << " " << row.image;
  }
}

TEST(Credentials, TheLongestKeyComesFirstAndAllAreTried) {
  std::vector<std::string> files =
      For({Secret("r.example.com", "b25l"), Secret("r.example.com/team", "dHdv"),
           Secret("r.example.com", "dGhyZWU=")},
          "r.example.com/team/app:1");
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0], R"({"auths":{"r.example.com":{"auth":"dHdv"}}})");
  EXPECT_EQ(files[1], R"({"auths":{"r.example.com":{"auth":"b25l"}}})");
  EXPECT_EQ(files[2], R"({"auths":{"r.example.com":{"auth":"dGhyZWU="}}})");
}

TEST(Credentials, OldFormsAndDamagedOnes) {
  EXPECT_EQ(For({R"({"r.example.com":{"auth":"YTpi","email":"x"}})"}, "r.example.com/app"),
            std::vector<std::string>{R"({"auths":{"r.example.com":{"auth":"YTpi"}}})"});
  EXPECT_EQ(
      For({R"({"auths":{"r.example.com":{"username":"a","password":"b"}}})"}, "r.example.com/app"),
      std::vector<std::string>{R"({"auths":{"r.example.com":{"auth":"YTpi"}}})"});
  for (const char* damaged :
       {"", "nothing", "[]", R"({"auths":[]})", R"({"auths":{"r.example.com":1}})",
        R"({"auths":{"r.example.com":{}}})"}) {
    EXPECT_TRUE(For({damaged}, "r.example.com/app").empty()) << damaged;
  }
}

}  // namespace
}  // namespace gantry::node
