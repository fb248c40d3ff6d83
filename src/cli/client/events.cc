#include <algorithm>
#include <cstdio>

#include "api/json_value.h"
#include "base/env/real/real_env.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/event_list.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/print_object.h"
#include "cli/client/print_table.h"
#include "cli/client/resources.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr CommandHelp kHelp = {"events", "List events, oldest first.",
                               "# Of the namespace\n"
                               "gantry events\n"
                               "# Of all namespaces, only what went wrong\n"
                               "gantry events -A --types=Warning\n"
                               "# About one pod, and those that come\n"
                               "gantry events --for pod/web-5d8c7 -w"};

}  // namespace

Result<int> RunEvents(Invocation call) {
  bool all_namespaces = false, watch = false, no_headers = false;
  std::string about, types;
  std::string output;
  FlagSet set(kHelp, &call.globals);
  set.Bool("all-namespaces", 'A', &all_namespaces, "In all namespaces");
  set.String("for", 0, &about, "Only those about this object: TYPE/NAME");
  set.Bool("no-headers", 0, &no_headers, "Without the line of names");
  set.String("output", 'o', &output, "json, yaml, jsonpath=, custom-columns=");
  set.String("types", 0, &types, "Only of these types: Normal, Warning");
  set.Bool("watch", 'w', &watch, "Go on with every event that comes");
  GANTRY_TRY(set.Parse(call.args));
  if (!set.args().empty())
    return LocalError("unknown command \"" + set.args()[0] + "\" for \"gantry events\"");
  GANTRY_TRY(CheckFormat(output, {}));
  const std::vector<std::string> wanted =
      types.empty() ? std::vector<std::string>() : SplitText(types, ',');
  for (const std::string& type : wanted) {
    if (type != "Normal" && type != "Warning")
      return LocalError("valid --types are Normal or Warning");
  }
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  std::string kind, name;
  if (!about.empty()) {
    GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(*connection));
    GANTRY_ASSIGN(const Target target, ParseTarget(map, {about}));
    kind = target.resource.kind;
    name = target.name;
  }
  std::string target =
      all_namespaces ? "/api/v1/events" : "/api/v1/namespaces/" + connection->ns() + "/events";
  target += "?fieldSelector=";
  if (!name.empty())
    target += client::QueryEscape("involvedObject.name=" + name + ",involvedObject.kind=" + kind);
  GANTRY_ASSIGN(const JsonValue list, connection->GetJson(target));
  std::vector<JsonValue> events = ItemsAt(list, "items");
  SortEvents(&events);
  if (!output.empty()) {
    JsonValue shown;
    shown["apiVersion"] = "v1";
    shown["items"] = events;
    shown["kind"] = "List";
    GANTRY_ASSIGN(const std::string text, PrintObject(output, std::move(shown)));
    std::fputs(text.c_str(), stdout);
    return 0;
  }

  TableText table;
  bool header_due = !no_headers;
  auto add = [&](const JsonValue& event) {
    const std::string type = TextAt(event, "type");
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), type) == wanted.end()) return;
    std::vector<std::string> header = {"LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"};
    std::vector<std::string> cells = {
        EventAge(event, connection->env().Now()), type, TextAt(event, "reason"),
        TextAt(event, "involvedObject.kind") + "/" + TextAt(event, "involvedObject.name"),
        TextAt(event, "message")};
    while (cells.back().ends_with('\n'))
      cells.back().pop_back();
    if (all_namespaces) {
      header.insert(header.begin(), "NAMESPACE");
      cells.insert(cells.begin(), TextAt(event, "metadata.namespace"));
    }
    if (header_due) table.Row(std::move(header));
    header_due = false;
    table.Row(std::move(cells));
  };
  for (const JsonValue& event : events)
    add(event);
  if (table.empty() && !watch) {
    std::fprintf(stderr,
                 all_namespaces ? "No events found.\n" : "No events found in %s namespace.\n",
                 connection->ns().c_str());
    return 0;
  }
  std::fputs(table.Take().c_str(), stdout);
  if (!watch) return 0;
  std::fflush(stdout);
  target += "&watch=true&resourceVersion=" + TextAt(list, "metadata.resourceVersion");
  GANTRY_TRY(connection->Watch(target, "application/json",
                               [&](const std::string& type, const JsonValue& event) {
                                 if (type == "ADDED" || type == "MODIFIED") add(event);
                                 std::fputs(table.Take().c_str(), stdout);
                                 std::fflush(stdout);
                                 return true;
                               }));
  return 0;
}

}  // namespace gantry::cli
