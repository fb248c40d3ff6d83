#include "cli/client/describe_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/duration.h"

namespace gantry::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Describe, ShowsAPodInKubectlsLayout) {
  const auto pod = api::JsonValue::Parse(
      R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"default","labels":{"b":"2","a":"1"}},
    "spec":{"nodeName":"vm","serviceAccountName":"default","containers":[{"name":"main","image":"app:1","ports":[{"containerPort":80,"protocol":"TCP"}]}]},
    "status":{"phase":"Running","hostIP":"10.0.0.1","qosClass":"BestEffort","conditions":[{"type":"Ready","status":"True"}],
      "containerStatuses":[{"name":"main","ready":true,"restartCount":2,"state":{"running":{"startedAt":"2026-01-02T03:04:05Z"}}}]}})");
  const auto event = api::JsonValue::Parse(
      R"({"type":"Normal","reason":"Started","message":"Started container main",
    "source":{"component":"kubelet"},"lastTimestamp":"2026-01-02T03:04:05Z"})");
  Described what;
  what.object = *pod;
  what.events = {*event};
  what.now = *api::ParseTime("2026-01-02T03:05:05Z");
  const std::string text = DescribeObject(what);
  EXPECT_THAT(text, HasSubstr("Name:             web\n"));
  EXPECT_THAT(text, HasSubstr("Labels:           a=1\n                  b=2\n"));
  EXPECT_THAT(text, HasSubstr("Node:             vm/10.0.0.1\n"));
  EXPECT_THAT(text, HasSubstr("    Port:           80/TCP\n"));
  EXPECT_THAT(text, HasSubstr("      Started:      Fri, 02 Jan 2026 03:04:05 +0000\n"));
  EXPECT_THAT(text, HasSubstr("    Restart Count:  2\n"));
  EXPECT_THAT(text, HasSubstr("  Normal  Started  60s   kubelet  Started container main\n"));
}

TEST(Describe, DoesNotShowSecrets) {
  const auto secret = api::JsonValue::Parse(
      R"({"kind":"Secret","metadata":{"name":"s","namespace":"default"},"data":{"key":"c2VjcmV0"}})");
  Described what;
  what.object = *secret;
  const std::string text = DescribeObject(what);
  EXPECT_THAT(text, HasSubstr("6 bytes"));
  EXPECT_THAT(text, Not(HasSubstr("c2VjcmV0")));
}

}  // namespace
}  // namespace gantry::cli
