#include "cli/client/resources.h"

#include <gtest/gtest.h>

#include "api/json_value.h"
#include "cli/client/fields.h"

namespace gantry::cli {
namespace {

ResourceMap Map() {
  const auto core =
      api::JsonValue::Parse(R"({"items":[{"metadata":{},"versions":[{"version":"v1","resources":[
    {"resource":"pods","responseKind":{"kind":"Pod"},"scope":"Namespaced","singularResource":"pod","shortNames":["po"],"categories":["all"],"verbs":["list"]},
    {"resource":"nodes","responseKind":{"kind":"Node"},"scope":"Cluster","singularResource":"node","shortNames":["no"],"verbs":["list"]}]}]}]})");
  const auto groups = api::JsonValue::Parse(
      R"({"items":[{"metadata":{"name":"apps"},"versions":[{"version":"v1","resources":[
    {"resource":"deployments","responseKind":{"kind":"Deployment"},"scope":"Namespaced","singularResource":"deployment","shortNames":["deploy"],"categories":["all"],"verbs":["list"]}]}]}]})");
  return ResourceMap::FromDiscovery(*core, *groups);
}

std::string Read(const std::string& line) {
  const Result<std::vector<Target>> targets = ParseTargets(Map(), SplitText(line, ' '));
  if (!targets.ok()) return targets.status().message();
  std::vector<std::string> out;
  for (const Target& target : *targets)
    out.push_back(target.resource.GroupSingular() + "/" + target.name);
  return JoinText(out, " ");
}

TEST(Resources, ReadsTypesAndNames) {
  struct Row {
    const char* line;
    const char* want;
  };
  const Row rows[] = {
      {"pods", "pod/"},
      {"po", "pod/"},
      {"Pod", "pod/"},
      {"pods a b", "pod/a pod/b"},
      {"pod/a deploy/b", "pod/a deployment.apps/b"},
      {"po,deploy", "pod/ deployment.apps/"},
      {"deployments.apps", "deployment.apps/"},
      {"deployments.v1.apps web", "deployment.apps/web"},
      {"all", "pod/ deployment.apps/"},
      {"foos", "error: the server doesn't have a resource type \"foos\""},
      {"pods.apps", "error: the server doesn't have a resource type \"pods\""},
  };
  for (const Row& row : rows)
    EXPECT_EQ(Read(row.line), row.want) << row.line;
}

TEST(Resources, MakesPaths) {
  const ResourceMap map = Map();
  EXPECT_EQ(map.Find("deploy")->Path("default", "web", "scale"),
            "/apis/apps/v1/namespaces/default/deployments/web/scale");
  EXPECT_EQ(map.Find("po")->Path(""), "/api/v1/pods");
  EXPECT_EQ(map.Find("no")->Path("default", "vm"), "/api/v1/nodes/vm");
}

}  // namespace
}  // namespace gantry::cli
