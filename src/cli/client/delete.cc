#include <algorithm>
#include <cstdio>

#include "api/json_value.h"
#include "base/env/real/real_env.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/dry_run.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/manifests.h"
#include "cli/client/resources.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr CommandHelp kHelp = {
    "delete (-f FILE | TYPE (NAME... | -l LABELS | --all) | TYPE/NAME...)",
    "Delete objects, and wait until they are gone.",
    "# A pod\n"
    "gantry delete pod web-5d8c7\n"
    "# What a file has\n"
    "gantry delete -f web.yaml\n"
    "# By label\n"
    "gantry delete pods,services -l app=web\n"
    "# A deployment, but not its pods\n"
    "gantry delete deploy/web --cascade=orphan\n"
    "# A pod on a node that is gone for good\n"
    "gantry delete pod web-5d8c7 --force"};

struct DeleteFlags {
  std::vector<std::string> files;
  std::string selector, field_selector, cascade = "background", output, dry_run;
  std::optional<Duration> timeout;
  int64_t grace_period = -1;
  bool recursive = false, wait = true, all = false, all_namespaces = false, force = false,
       now = false;
  bool ignore_not_found = false;
};

struct Doomed {
  Resource resource;
  std::string ns, name;
  std::string source;  // the file that names it
  std::string uid;     // known once it is asked to go
};

JsonValue OptionsOf(const DeleteFlags& flags) {
  JsonValue options;
  options["apiVersion"] = "v1";
  options["kind"] = "DeleteOptions";
  options["propagationPolicy"] = flags.cascade == "foreground" ? "Foreground"
                                 : flags.cascade == "orphan"   ? "Orphan"
                                                               : "Background";
  if (flags.now) options["gracePeriodSeconds"] = 1;
  if (flags.force) options["gracePeriodSeconds"] = 0;
  // Only --force skips the containers' end.
  if (flags.grace_period >= 0)
    options["gracePeriodSeconds"] = flags.force ? 0 : std::max<int64_t>(flags.grace_period, 1);
  if (flags.dry_run == "server") options["dryRun"] = JsonValue::Array{"All"};
  return options;
}

Status DeleteOne(Connection& connection, const DeleteFlags& flags, Doomed* doomed) {
  const std::string path = doomed->resource.Path(doomed->ns, doomed->name);
  Result<JsonValue> answer = flags.dry_run == "client"
                                 ? connection.GetJson(path)
                                 : connection.Send("DELETE", path, OptionsOf(flags));
  if (!answer.ok()) {
    if (answer.status().code() == Code::kNotFound && flags.ignore_not_found) return Status::Ok();
    return WithSource(answer.status(), "deleting", doomed->source);
  }
  doomed->uid =
      TextAt(*answer, TextAt(*answer, "kind") == "Status" ? "details.uid" : "metadata.uid");
  if (flags.output == "name") {
    std::printf("%s/%s\n", doomed->resource.GroupSingular().c_str(), doomed->name.c_str());
  } else {
    std::printf("%s \"%s\" %sdeleted%s\n", doomed->resource.GroupSingular().c_str(),
                doomed->name.c_str(), flags.force ? "force " : "", DryRunMark(flags.dry_run));
  }
  std::fflush(stdout);
  return Status::Ok();
}

// Until it is gone, or another object has its name.
Status WaitUntilGone(Connection& connection, const Doomed& doomed,
                     std::optional<SteadyTime> until) {
  while (true) {
    Result<JsonValue> object = connection.GetJson(doomed.resource.Path(doomed.ns, doomed.name));
    if (!object.ok())
      return object.status().code() == Code::kNotFound ? Status::Ok() : object.status();
    if (!doomed.uid.empty() && TextAt(*object, "metadata.uid") != doomed.uid) return Status::Ok();
    bool gone = false;
    const std::string target = doomed.resource.Path(doomed.ns) + "?watch=true&fieldSelector=" +
                               client::QueryEscape("metadata.name=" + doomed.name) +
                               "&resourceVersion=" + TextAt(*object, "metadata.resourceVersion");
    const Status watched = connection.Watch(
        target, "application/json",
        [&gone](const std::string& type, const JsonValue&) {
          gone = type == "DELETED";
          return !gone;
        },
        until);
    if (gone) return Status::Ok();
    if (!watched.ok() && watched.code() != Code::kExpired && watched.code() != Code::kGone)
      return watched;
  }
}

Result<std::vector<Doomed>> FromManifests(Connection& connection, const ResourceMap& map,
                                          const std::vector<Manifest>& manifests) {
  std::vector<Doomed> out;
  for (const Manifest& manifest : manifests) {
    GANTRY_ASSIGN(Placed placed, PlaceManifest(map, manifest, connection.ns()));
    out.push_back({std::move(placed.resource), placed.ns, placed.name, manifest.source, ""});
  }
  return out;
}

Result<std::vector<Doomed>> FromArgs(Connection& connection, const ResourceMap& map,
                                     const DeleteFlags& flags,
                                     const std::vector<std::string>& args) {
  GANTRY_ASSIGN(const std::vector<Target> targets, ParseTargets(map, args));
  std::vector<Doomed> out;
  const bool many = flags.all || !flags.selector.empty() || !flags.field_selector.empty();
  for (const Target& target : targets) {
    if (!target.name.empty()) {
      if (many) return LocalError("name cannot be provided when a selector is specified");
      out.push_back({target.resource, connection.ns(), target.name, "", ""});
      continue;
    }
    if (!many) return LocalError("resource(s) were provided, but no name was specified");
    std::string path = target.resource.Path(flags.all_namespaces ? "" : connection.ns());
    path += "?labelSelector=" + client::QueryEscape(flags.selector) +
            "&fieldSelector=" + client::QueryEscape(flags.field_selector);
    Result<JsonValue> list = connection.GetJson(path);
    if (!list.ok())
      return ListError(list.status(), target.resource.Text(), flags.selector, flags.field_selector);
    for (const JsonValue& item : ItemsAt(*list, "items"))
      out.push_back({target.resource, TextAt(item, "metadata.namespace"),
                     TextAt(item, "metadata.name"), "", ""});
  }
  if (out.empty()) std::fputs("No resources found\n", stdout);
  return out;
}

}  // namespace

Result<int> RunDelete(Invocation call) {
  DeleteFlags flags;
  FlagSet set(kHelp, &call.globals);
  set.Bool("all", 0, &flags.all, "All objects of the type");
  set.Bool("all-namespaces", 'A', &flags.all_namespaces, "In all namespaces");
  set.Optional("cascade", &flags.cascade, "background",
               "What becomes of what it owns: background, foreground, orphan");
  set.Optional("dry-run", &flags.dry_run, "unchanged", "client or server: change nothing");
  set.String("field-selector", 0, &flags.field_selector, "All objects with these fields");
  set.Strings("filename", 'f', &flags.files, "File, directory or - with the objects");
  set.Bool("force", 0, &flags.force, "Remove it at once, without waiting for its containers");
  set.Int("grace-period", 0, &flags.grace_period, "Seconds that it has to end");
  set.Bool("ignore-not-found", 0, &flags.ignore_not_found, "What is not there is no failure");
  set.Bool("now", 0, &flags.now, "With one second to end");
  set.String("output", 'o', &flags.output, "name");
  set.Bool("recursive", 'R', &flags.recursive, "Directories with all that is below them");
  set.String("selector", 'l', &flags.selector, "All objects with these labels");
  set.Time("timeout", 0, &flags.timeout, "How long to wait (0: as long as it takes)");
  set.Bool("wait", 0, &flags.wait, "Wait until it is gone");
  GANTRY_TRY(set.Parse(call.args));
  if (!flags.files.empty() && !set.args().empty())
    return LocalError(
        "when paths, URLs, or stdin is provided as input, you may not specify resource arguments "
        "as "
        "well");
  if (flags.files.empty() && set.args().empty()) {
    if (flags.all || !flags.selector.empty())
      return LocalError("at least one resource must be specified to use a selector");
    return set.Misused("You must provide one or more resources by argument or filename.");
  }
  if (flags.cascade != "background" && flags.cascade != "foreground" && flags.cascade != "orphan") {
    return LocalError("invalid cascade value (" + flags.cascade +
                      "). Must be \"background\", \"foreground\", or \"orphan\"");
  }
  GANTRY_TRY(CheckDryRun(&flags.dry_run));
  struct Clash {
    bool found;
    const char* message;
  };
  const Clash clashes[] = {
      {flags.all && !flags.selector.empty(),
       "setting 'all' parameter but found a non empty selector. "},
      {flags.all && !flags.field_selector.empty(),
       "setting 'all' parameter but found a non empty selector. "},
      {flags.now && flags.grace_period >= 0,
       "--now and --grace-period cannot be specified together"},
      {flags.force && flags.grace_period > 0,
       "--force and --grace-period greater than 0 cannot be specified together"}};
  for (const Clash& clash : clashes) {
    if (clash.found) return LocalError(clash.message);
  }
  if (!flags.output.empty() && flags.output != "name")
    return LocalError("unexpected -o output mode: " + flags.output + ". We only support '-o name'");
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  std::optional<SteadyTime> until;
  if (flags.timeout && flags.timeout->count() > 0)
    until = connection->env().Steady() + *flags.timeout;
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(*connection));
  std::vector<Doomed> doomed;
  if (!flags.files.empty()) {
    GANTRY_ASSIGN(const std::vector<Manifest> manifests,
                  ReadManifests(flags.files, flags.recursive));
    GANTRY_ASSIGN(doomed, FromManifests(*connection, map, manifests));
  } else {
    GANTRY_ASSIGN(doomed, FromArgs(*connection, map, flags, set.args()));
  }
  if (flags.force && flags.dry_run.empty()) {
    std::fputs(
        "Warning: Immediate deletion does not wait for confirmation that the running resource has "
        "been terminated. "
        "The resource may continue to run on the cluster indefinitely.\n",
        stderr);
  }
  int exit_code = 0;
  std::vector<Doomed> waiting;
  for (Doomed& one : doomed) {
    const Status status = DeleteOne(*connection, flags, &one);
    if (!status.ok()) {
      std::fprintf(stderr, "%s\n", status.message().c_str());
      exit_code = 1;
    } else {
      waiting.push_back(std::move(one));
    }
  }
  for (const Doomed& one : waiting) {
    // What --force removes is gone; its containers may not be.
    if (!flags.wait || flags.force || !flags.dry_run.empty()) break;
    const Status gone = WaitUntilGone(*connection, one, until);
    if (!gone.ok()) {
      if (gone.code() != Code::kCanceled) return gone;
      return LocalError("timed out waiting for the condition on " + one.resource.plural + "/" +
                        one.name);
    }
  }
  return exit_code;
}

}  // namespace gantry::cli
