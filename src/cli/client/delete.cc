#include <cstdio>

#include "api/duration.h"
#include "api/json_value.h"
#include "base/env/real/real_env.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/manifests.h"
#include "cli/client/resources.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

struct DeleteFlags {
  std::vector<std::string> files;
  std::string selector, field_selector, cascade = "background", timeout, output;
  int64_t grace_period = -1;
  bool recursive = false, wait = true, all = false, all_namespaces = false, force = false,
       now = false;
  bool ignore_not_found = false;
};

struct Doomed {
  Resource resource;
  std::string ns, name;
  std::string uid;  // known once it is asked to go
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
  if (flags.grace_period >= 0) options["gracePeriodSeconds"] = flags.grace_period;
  return options;
}

Status DeleteOne(Connection& connection, const DeleteFlags& flags, Doomed* doomed) {
  const std::string path = doomed->resource.Path(doomed->ns, doomed->name);
  Result<JsonValue> answer = connection.Send("DELETE", path, OptionsOf(flags));
  if (!answer.ok()) {
    if (answer.status().code() == Code::kNotFound && flags.ignore_not_found) return Status::Ok();
    return answer.status();
  }
  doomed->uid =
      TextAt(*answer, TextAt(*answer, "kind") == "Status" ? "details.uid" : "metadata.uid");
  if (flags.output == "name") {
    std::printf("%s/%s\n", doomed->resource.GroupSingular().c_str(), doomed->name.c_str());
  } else {
    std::printf("%s \"%s\" %sdeleted\n", doomed->resource.GroupSingular().c_str(),
                doomed->name.c_str(), flags.force ? "force " : "");
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
    const std::string api_version = TextAt(manifest.object, "apiVersion");
    const std::string kind = TextAt(manifest.object, "kind");
    const Resource* resource = map.FindKind(api_version, kind);
    if (resource == nullptr) {
      return LocalError("resource mapping not found for name: \"" +
                        TextAt(manifest.object, "metadata.name") + "\" namespace: \"" +
                        TextAt(manifest.object, "metadata.namespace") + "\" from \"" +
                        manifest.source + "\": no matches for kind \"" + kind + "\" in version \"" +
                        api_version + "\"");
    }
    std::string ns = TextAt(manifest.object, "metadata.namespace");
    if (ns.empty()) ns = connection.ns();
    out.push_back({*resource, ns, TextAt(manifest.object, "metadata.name"), ""});
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
      out.push_back({target.resource, connection.ns(), target.name, ""});
      continue;
    }
    if (!many) return LocalError("resource(s) were provided, but no name was specified");
    std::string path = target.resource.Path(flags.all_namespaces ? "" : connection.ns());
    path += "?labelSelector=" + client::QueryEscape(flags.selector) +
            "&fieldSelector=" + client::QueryEscape(flags.field_selector);
    GANTRY_ASSIGN(const JsonValue list, connection.GetJson(path));
    for (const JsonValue& item : ItemsAt(list, "items"))
      out.push_back(
          {target.resource, TextAt(item, "metadata.namespace"), TextAt(item, "metadata.name"), ""});
  }
  if (out.empty()) std::fputs("No resources found\n", stderr);
  return out;
}

}  // namespace

Result<int> RunDelete(Invocation call) {
  DeleteFlags flags;
  FlagSet set("delete -f FILE | TYPE NAME... | TYPE/NAME... | TYPE -l LABELS | TYPE --all",
              &call.globals);
  set.Strings("filename", 'f', &flags.files, "File, directory or - with the objects");
  set.Bool("recursive", 'R', &flags.recursive, "Directories with all that is below them");
  set.String("selector", 'l', &flags.selector, "All objects with these labels");
  set.String("field-selector", 0, &flags.field_selector, "All objects with these fields");
  set.Bool("all", 0, &flags.all, "All objects of the type");
  set.Bool("all-namespaces", 'A', &flags.all_namespaces, "In all namespaces");
  set.String("cascade", 0, &flags.cascade,
             "What becomes of what it owns: background, foreground, orphan");
  set.Int("grace-period", 0, &flags.grace_period, "Seconds it has to end");
  set.Bool("force", 0, &flags.force, "Remove it at once, without waiting for its containers");
  set.Bool("now", 0, &flags.now, "With one second to end");
  set.Bool("wait", 0, &flags.wait, "Wait until it is gone");
  set.String("timeout", 0, &flags.timeout, "How long to wait");
  set.Bool("ignore-not-found", 0, &flags.ignore_not_found, "What is not there is no failure");
  set.String("output", 'o', &flags.output, "name");
  GANTRY_TRY(set.Parse(call.args));
  if (flags.files.empty() && set.args().empty())
    return LocalError("You must provide one or more resources by argument or filename.");
  if (flags.cascade != "background" && flags.cascade != "foreground" && flags.cascade != "orphan") {
    return LocalError("invalid cascade value (" + flags.cascade +
                      "). Must be \"background\", \"foreground\", or \"orphan\"");
  }
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  std::optional<SteadyTime> until;
  if (!flags.timeout.empty()) {
    Result<Duration> timeout = api::ParseGoDuration(flags.timeout);
    if (!timeout.ok())
      return LocalError("invalid argument \"" + flags.timeout +
                        "\" for \"--timeout\" flag: " + timeout.status().message());
    if (timeout->count() > 0) until = connection->env().Steady() + *timeout;
  }
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(*connection));
  std::vector<Doomed> doomed;
  if (!flags.files.empty()) {
    GANTRY_ASSIGN(const std::vector<Manifest> manifests,
                  ReadManifests(flags.files, flags.recursive));
    GANTRY_ASSIGN(doomed, FromManifests(*connection, map, manifests));
  } else {
    GANTRY_ASSIGN(doomed, FromArgs(*connection, map, flags, set.args()));
  }
  if (flags.force) {
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
    if (!flags.wait) break;
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
