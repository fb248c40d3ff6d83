#include <cstdio>

#include "api/json_value.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/dry_run.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/resources.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr CommandHelp kHelp = {"scale (TYPE/NAME... | TYPE NAME... | TYPE -l LABELS) --replicas=N",
                               "Set the number of replicas.",
                               "# A deployment\n"
                               "gantry scale deploy/web --replicas=3\n"
                               "# Only when it has two now\n"
                               "gantry scale deploy/web --current-replicas=2 --replicas=3\n"
                               "# All with a label\n"
                               "gantry scale deploy -l app=web --replicas=0"};

struct ScaleFlags {
  int64_t replicas = -1, current = -1;
  std::string selector, dry_run, output;
  bool all = false;
};

Status ScaleOne(Connection& connection, const ScaleFlags& flags, const Target& target) {
  const std::string path = target.resource.Path(connection.ns(), target.name, "scale");
  const std::string shown = target.resource.GroupSingular() + "/" + target.name;
  JsonValue patch;
  patch["spec"]["replicas"] = flags.replicas;
  if (flags.current >= 0) {
    GANTRY_ASSIGN(const JsonValue scale, connection.GetJson(path));
    const int64_t now = IntAt(scale, "spec.replicas");
    if (now != flags.current)
      return LocalError("Expected replicas to be " + std::to_string(flags.current) + ", was " +
                        std::to_string(now));
    patch["metadata"]["resourceVersion"] = TextAt(scale, "metadata.resourceVersion");
  }
  if (flags.dry_run != "client") {
    GANTRY_TRY(connection.Send(
        "PATCH", path + "?fieldManager=gantry" + (flags.dry_run == "server" ? "&dryRun=All" : ""),
        patch, "application/merge-patch+json"));
  }
  if (flags.output == "name")
    std::printf("%s\n", shown.c_str());
  else
    std::printf("%s scaled%s\n", shown.c_str(), DryRunMark(flags.dry_run));
  return Status::Ok();
}

}  // namespace

Result<int> RunScale(Invocation call) {
  ScaleFlags flags;
  FlagSet set(kHelp, &call.globals);
  set.Bool("all", 0, &flags.all, "All objects of the type");
  set.Int("current-replicas", 0, &flags.current, "Only when this is the number now");
  set.Optional("dry-run", &flags.dry_run, "unchanged", "client or server: change nothing");
  set.String("output", 'o', &flags.output, "name");
  set.Int("replicas", 0, &flags.replicas, "The number wanted");
  set.String("selector", 'l', &flags.selector, "All objects with these labels");
  GANTRY_TRY(set.Parse(call.args));
  if (!set.Given("replicas")) return LocalError("required flag(s) \"replicas\" not set");
  if (flags.replicas < 0)
    return LocalError(
        "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
  GANTRY_TRY(CheckDryRun(&flags.dry_run));
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(*connection));
  GANTRY_ASSIGN(std::vector<Target> targets, ParseTargets(map, set.args()));
  const bool many = flags.all || !flags.selector.empty();
  GANTRY_ASSIGN(targets, NamedTargets(*connection, std::move(targets), many, flags.selector));
  int exit_code = 0;
  for (const Target& target : targets) {
    const Status status = ScaleOne(*connection, flags, target);
    if (status.ok()) continue;
    const std::string_view mark = "Error from server (NotFound): ";
    const bool absent = status.message().starts_with(mark) &&
                        status.message().find("\"" + target.name + "\"") != std::string::npos;
    std::fprintf(
        stderr, "%s\n",
        absent
            ? ("error: no objects passed to scale " + status.message().substr(mark.size())).c_str()
            : status.message().c_str());
    exit_code = 1;
  }
  return exit_code;
}

}  // namespace gantry::cli
