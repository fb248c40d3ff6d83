#include <cstdio>

#include "api/json_value.h"
#include "base/env/real/real_env.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/describe_text.h"
#include "cli/client/event_list.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/resources.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

Status DescribeOne(Connection& connection, const Resource& resource, JsonValue object,
                   bool* first) {
  object["apiVersion"] = resource.ApiVersion();
  object["kind"] = resource.kind;
  const std::string name = TextAt(object, "metadata.name");
  // The node's own events carry its name where others have the uid.
  const std::string uid = resource.kind == "Node" ? "" : TextAt(object, "metadata.uid");
  GANTRY_ASSIGN(
      const std::vector<JsonValue> events,
      EventsOf(connection, TextAt(object, "metadata.namespace"), resource.kind, name, uid));
  std::vector<JsonValue> pods;
  if (resource.kind == "Node") {
    const std::string selector =
        "spec.nodeName=" + name + ",status.phase!=Succeeded,status.phase!=Failed";
    GANTRY_ASSIGN(const JsonValue list, connection.GetJson("/api/v1/pods?fieldSelector=" +
                                                           client::QueryEscape(selector)));
    pods = ItemsAt(list, "items");
  }
  if (!*first) std::fputs("\n\n", stdout);
  *first = false;
  std::fputs(DescribeObject(object, events, pods, connection.env().Now()).c_str(), stdout);
  return Status::Ok();
}

}  // namespace

Result<int> RunDescribe(Invocation call) {
  std::string selector;
  bool all_namespaces = false;
  FlagSet set("describe TYPE [NAME...] | TYPE/NAME...", &call.globals);
  set.String("selector", 'l', &selector, "Only objects with these labels");
  set.Bool("all-namespaces", 'A', &all_namespaces, "In all namespaces");
  GANTRY_TRY(set.Parse(call.args));
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(*connection));
  GANTRY_ASSIGN(const std::vector<Target> targets, ParseTargets(map, set.args()));
  bool first = true;
  for (const Target& target : targets) {
    std::string path = target.resource.Path(
        all_namespaces && target.name.empty() ? "" : connection->ns(), target.name);
    if (target.name.empty() && !selector.empty())
      path += "?labelSelector=" + client::QueryEscape(selector);
    GANTRY_ASSIGN(JsonValue answer, connection->GetJson(path));
    if (!target.name.empty()) {
      GANTRY_TRY(DescribeOne(*connection, target.resource, std::move(answer), &first));
      continue;
    }
    for (const JsonValue& item : ItemsAt(answer, "items"))
      GANTRY_TRY(DescribeOne(*connection, target.resource, item, &first));
  }
  if (first)
    std::fprintf(stderr,
                 all_namespaces ? "No resources found\n" : "No resources found in %s namespace.\n",
                 connection->ns().c_str());
  return 0;
}

}  // namespace gantry::cli
