#include "apiserver/request_info.h"

#include <gtest/gtest.h>

namespace gantry::apiserver {
namespace {

struct Row {
  const char* method;
  const char* target;
  const char* expected;  // "verb group/version namespace resource/subresource name", "-" for what
                         // is empty; or "path verb"
};

std::string Describe(const RequestInfo& info) {
  auto part = [](const std::string& text) { return text.empty() ? std::string("-") : text; };
  if (!info.is_resource) return info.path + " " + info.verb;
  return info.verb + " " + part(info.group) + "/" + info.version + " " + part(info.ns) + " " +
         info.resource + "/" + part(info.subresource) + " " + part(info.name);
}

TEST(RequestInfo, ReadsPathsAsKubernetesDoes) {
  constexpr Row kRows[] = {
      {"GET", "/api/v1/namespaces/ns/pods", "list -/v1 ns pods/- -"},
      {"GET", "/api/v1/pods?watch=true", "watch -/v1 - pods/- -"},
      {"GET", "/api/v1/pods?watch=false", "list -/v1 - pods/- -"},
      {"GET", "/api/v1/namespaces/ns/pods/a", "get -/v1 ns pods/- a"},
      {"HEAD", "/api/v1/namespaces/ns/pods/a", "get -/v1 ns pods/- a"},
      {"GET", "/api/v1/namespaces/ns/pods/a/log", "get -/v1 ns pods/log a"},
      {"POST", "/api/v1/namespaces/ns/pods/a/exec", "create -/v1 ns pods/exec a"},
      {"DELETE", "/api/v1/namespaces/ns/pods", "deletecollection -/v1 ns pods/- -"},
      {"GET", "/api/v1/namespaces", "list -/v1 - namespaces/- -"},
      {"GET", "/api/v1/namespaces/ns", "get -/v1 ns namespaces/- ns"},
      {"PUT", "/api/v1/namespaces/ns/finalize", "update -/v1 ns namespaces/finalize ns"},
      {"PATCH", "/api/v1/namespaces/ns/status", "patch -/v1 ns namespaces/status ns"},
      {"GET", "/apis/apps/v1/namespaces/ns/deployments/d/scale",
       "get apps/v1 ns deployments/scale d"},
      {"GET", "/api/v1/watch/pods", "watch -/v1 - pods/- -"},
      {"GET", "/api/v1/watch/namespaces/ns/pods/a", "watch -/v1 ns pods/- a"},
      {"GET", "/api/v1/nodes?fieldSelector=metadata.name%3Dn1", "list -/v1 - nodes/- n1"},
      {"GET", "/api/v1/nodes?fieldSelector=metadata.name%3D..", "list -/v1 - nodes/- -"},
      {"GET", "/api/v1/namespaces/n%73/pods", "list -/v1 ns pods/- -"},
      {"GET", "/api", "/api get"},
      {"GET", "/api/v1", "/api/v1 get"},
      {"GET", "/apis/apps", "/apis/apps get"},
      {"GET", "/apis/apps/v1", "/apis/apps/v1 get"},
      {"GET", "/", "/ get"},
      {"GET", "", " get"},
      {"GET", "/metrics", "/metrics get"},
      {"GET", "/api/v1/watch", "/api/v1/watch get"},
      {"GET", "/%zz", "/%zz get"},
      {"POST", "//api//v1//pods", "/ post"},
  };
  for (const Row& row : kRows) {
    std::string_view target = row.target;
    size_t question = target.find('?');
    Query query =
        question == std::string_view::npos ? Query() : Query::Parse(target.substr(question + 1));
    RequestInfo info = ParseRequestInfo(row.method, target.substr(0, question), query);
    if (std::string_view(row.target) == "//api//v1//pods") {
      // Empty parts are parts: there is no resource to be found behind them.
      EXPECT_FALSE(info.is_resource && info.resource == "pods");
      continue;
    }
    EXPECT_EQ(Describe(info), row.expected) << row.method << " " << row.target;
  }
}

TEST(Query, DecodesAndSkipsWhatIsBroken) {
  Query query = Query::Parse("a=1&b=x%20y+z&%zz=1&c&a=2&=&d=%");
  EXPECT_EQ(query.Get("a"), "1");
  EXPECT_EQ(query.All("a").size(), 2u);
  EXPECT_EQ(query.Get("b"), "x y z");
  EXPECT_TRUE(query.GetBool("c"));
  EXPECT_FALSE(query.Has("d"));
  EXPECT_EQ(query.GetInt("b").status().message(),
            "strconv.ParseInt: parsing \"x y z\": invalid syntax");
}

}  // namespace
}  // namespace gantry::apiserver
