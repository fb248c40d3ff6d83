#include <cstdio>

#include "api/json_value.h"
#include "base/env/real/real_env.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/describe_text.h"
#include "cli/client/event_list.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/manifests.h"
#include "cli/client/pods_of.h"
#include "cli/client/resources.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr CommandHelp kHelp = {
    "describe (-f FILE | TYPE [NAME | NAME_PREFIX | -l LABELS] | TYPE/NAME)",
    "Show an object in full, with what belongs to it and its latest events.",
    "# A pod\n"
    "gantry describe pod web-5d8c7\n"
    "# All pods whose names begin with \"web\"\n"
    "gantry describe pods web\n"
    "# A node, with what runs on it\n"
    "gantry describe node one\n"
    "# The objects of a file\n"
    "gantry describe -f web.yaml\n"
    "# Pods by label\n"
    "gantry describe pods -l app=web"};

std::string Filled(std::string text, const JsonValue& object) {
  const JsonValue* selector = At(object, "spec.selector");
  const std::pair<std::string_view, std::string> values[] = {
      {"{ns}", TextAt(object, "metadata.namespace")},
      {"{name}", TextAt(object, "metadata.name")},
      {"{selector}",
       client::QueryEscape(selector == nullptr ? std::string() : SelectorQuery(*selector))}};
  for (const auto& [mark, value] : values) {
    for (size_t at; (at = text.find(mark)) != std::string::npos;)
      text.replace(at, mark.size(), value);
  }
  return text;
}

class Descriptions {
 public:
  Descriptions(Connection& connection, bool with_events)
      : connection_(connection), with_events_(with_events) {}

  bool any() const { return any_; }

  Status Add(const Resource& resource, JsonValue object) {
    Described what;
    what.object = std::move(object);
    what.object["apiVersion"] = resource.ApiVersion();
    what.object["kind"] = resource.kind;
    what.now = connection_.env().Now();
    if (with_events_) {
      // The node's own events carry its name where others have the uid.
      const std::string uid = resource.kind == "Node" ? "" : TextAt(what.object, "metadata.uid");
      GANTRY_ASSIGN(what.events,
                    EventsOf(connection_, TextAt(what.object, "metadata.namespace"), resource.kind,
                             TextAt(what.object, "metadata.name"), uid));
    }
    // Who may not see the related objects sees the rest.
    for (const Relation& relation : RelationsOf(resource.kind)) {
      Result<JsonValue> answer = connection_.GetJson(Filled(relation.target, what.object));
      if (!answer.ok()) continue;
      if (answer->Find("items") == nullptr)
        what.related[relation.name] = {std::move(*answer)};
      else
        what.related[relation.name] = ItemsAt(*answer, "items");
    }
    if (any_) std::fputs(between_, stdout);
    any_ = true;
    std::fputs(DescribeObject(what).c_str(), stdout);
    return Status::Ok();
  }

  // Those of the list at `path` whose names begin with `prefix`.
  Status AddList(const Resource& resource, const std::string& path, const std::string& prefix) {
    GANTRY_ASSIGN(const JsonValue list, connection_.GetJson(path));
    for (const JsonValue& item : ItemsAt(list, "items")) {
      if (TextAt(item, "metadata.name").starts_with(prefix)) GANTRY_TRY(Add(resource, item));
    }
    return Status::Ok();
  }

  // The object of this name, or else those whose names begin with it.
  Status AddNamed(const Resource& resource, const std::string& ns, const std::string& name) {
    Result<JsonValue> object = connection_.GetJson(resource.Path(ns, name));
    if (object.ok()) return Add(resource, std::move(*object));
    if (object.status().code() != Code::kNotFound) return object.status();
    const bool before = any_;
    any_ = false;
    between_ = "\n";
    GANTRY_TRY(AddList(resource, resource.Path(ns), name));
    if (any_) std::fputc('\n', stdout);
    between_ = "\n\n";
    const bool found = any_;
    any_ = before || found;
    return found ? Status::Ok() : object.status();
  }

 private:
  Connection& connection_;
  const bool with_events_;
  bool any_ = false;
  const char* between_ = "\n\n";
};

}  // namespace

Result<int> RunDescribe(Invocation call) {
  std::string selector;
  std::vector<std::string> files;
  bool all_namespaces = false, recursive = false, events = true;
  FlagSet set(kHelp, &call.globals);
  set.Bool("all-namespaces", 'A', &all_namespaces, "In all namespaces");
  set.Strings("filename", 'f', &files, "File, directory or - with the objects");
  set.Bool("recursive", 'R', &recursive, "Directories with all that is below them");
  set.String("selector", 'l', &selector, "Only objects with these labels");
  set.Bool("show-events", 0, &events, "With the objects' events");
  GANTRY_TRY(set.Parse(call.args));
  if (set.args().empty() && files.empty())
    return LocalError("You must specify the type of resource to describe. See \"gantry get -h\".");
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(*connection));
  Descriptions out(*connection, events);
  if (!files.empty()) {
    GANTRY_ASSIGN(const std::vector<Manifest> manifests, ReadManifests(files, recursive));
    for (const Manifest& manifest : manifests) {
      GANTRY_ASSIGN(const Placed placed, PlaceManifest(map, manifest, connection->ns()));
      GANTRY_TRY(out.AddNamed(placed.resource, placed.ns, placed.name));
    }
    return 0;
  }
  GANTRY_ASSIGN(const std::vector<Target> targets, ParseTargets(map, set.args()));
  int exit_code = 0;
  for (const Target& target : targets) {
    if (!target.name.empty()) {
      const Status status = out.AddNamed(target.resource, connection->ns(), target.name);
      if (status.ok()) continue;
      std::fflush(stdout);
      std::fprintf(stderr, "%s\n", status.message().c_str());
      exit_code = 1;
      continue;
    }
    std::string path = target.resource.Path(all_namespaces ? "" : connection->ns());
    if (!selector.empty()) path += "?labelSelector=" + client::QueryEscape(selector);
    GANTRY_TRY(out.AddList(target.resource, path, ""));
  }
  if (!out.any() && exit_code == 0)
    std::fprintf(stderr,
                 all_namespaces ? "No resources found\n" : "No resources found in %s namespace.\n",
                 connection->ns().c_str());
  return exit_code;
}

}  // namespace gantry::cli
