#include <cstdio>

#include "api/json_value.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/manifests.h"
#include "cli/client/print_object.h"
#include "cli/client/resources.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

struct ApplyFlags {
  std::vector<std::string> files;
  bool recursive = false, server_side = false, force_conflicts = false;
  std::string dry_run, manager = "gantry", output;
};

class Apply {
 public:
  Apply(Connection& connection, const ApplyFlags& flags, bool ns_given)
      : connection_(connection), flags_(flags), ns_given_(ns_given) {}

  // Known kinds are learned anew when a manifest has one that was not there before: its definition
  // may have come first.
  Status One(const Manifest& manifest) {
    const std::string api_version = TextAt(manifest.object, "apiVersion");
    const std::string kind = TextAt(manifest.object, "kind");
    const std::string name = TextAt(manifest.object, "metadata.name");
    const Resource* resource = map_ ? map_->FindKind(api_version, kind) : nullptr;
    if (resource == nullptr) {
      GANTRY_ASSIGN(map_, ResourceMap::Load(connection_));
      resource = map_->FindKind(api_version, kind);
    }
    std::string ns = TextAt(manifest.object, "metadata.namespace");
    if (resource == nullptr) {
      return LocalError("resource mapping not found for name: \"" + name + "\" namespace: \"" + ns +
                        "\" from \"" + manifest.source + "\": no matches for kind \"" + kind +
                        "\" in version \"" + api_version + "\"\nensure CRDs are installed first");
    }
    if (name.empty())
      return LocalError("error when retrieving current configuration of \"" + manifest.source +
                        "\": resource name may not be empty");
    if (resource->namespaced && ns_given_ && !ns.empty() && ns != connection_.ns()) {
      return LocalError("the namespace from the provided object \"" + ns +
                        "\" does not match the namespace \"" + connection_.ns() +
                        "\". You must pass '--namespace=" + ns + "' to perform this operation.");
    }
    if (ns.empty()) ns = connection_.ns();
    const std::string path = resource->Path(ns, name);

    Result<JsonValue> before = connection_.GetJson(path);
    if (!before.ok() && before.status().code() != Code::kNotFound) return before.status();
    std::string target =
        path + "?fieldManager=" + client::QueryEscape(flags_.manager) + "&fieldValidation=Strict";
    // Without --server-side this is what a client-side apply does: it takes over what it sets.
    if (!flags_.server_side || flags_.force_conflicts) target += "&force=true";
    if (flags_.dry_run == "server") target += "&dryRun=All";
    int http_status = 0;
    GANTRY_ASSIGN(JsonValue after, connection_.Send("PATCH", target, manifest.object,
                                                    "application/apply-patch+yaml", &http_status));

    if (PrintsObjects(flags_.output)) {
      GANTRY_ASSIGN(const std::string text, PrintObject(flags_.output, std::move(after)));
      std::fputs(text.c_str(), stdout);
      return Status::Ok();
    }
    const std::string shown = resource->GroupSingular() + "/" + name;
    if (flags_.output == "name") {
      std::printf("%s\n", shown.c_str());
      return Status::Ok();
    }
    const char* done = "configured";
    if (flags_.server_side) {
      done = "serverside-applied";
    } else if (!before.ok()) {
      done = "created";
    } else if (TextAt(*before, "metadata.resourceVersion") ==
               TextAt(after, "metadata.resourceVersion")) {
      done = "unchanged";
    }
    std::printf("%s %s%s\n", shown.c_str(), done,
                flags_.dry_run == "server" ? " (server dry run)" : "");
    return Status::Ok();
  }

 private:
  Connection& connection_;
  const ApplyFlags& flags_;
  bool ns_given_;
  std::optional<ResourceMap> map_;
};

}  // namespace

Result<int> RunApply(Invocation call) {
  ApplyFlags flags;
  FlagSet set("apply -f FILE|DIRECTORY|-", &call.globals);
  set.Strings("filename", 'f', &flags.files, "File, directory or - with the objects");
  set.Bool("recursive", 'R', &flags.recursive, "Directories with all that is below them");
  set.Bool("server-side", 0, &flags.server_side, "Fields that others own are conflicts");
  set.Bool("force-conflicts", 0, &flags.force_conflicts,
           "With --server-side: take conflicting fields over");
  set.String("field-manager", 0, &flags.manager, "Name of the owner of the fields");
  set.String("dry-run", 0, &flags.dry_run, "server: change nothing");
  set.String("output", 'o', &flags.output, "json, yaml, name, jsonpath=TEMPLATE");
  GANTRY_TRY(set.Parse(call.args));
  if (flags.files.empty()) return LocalError("must specify one of -f and -k");
  if (!set.args().empty())
    return LocalError("Unexpected args: [" + JoinText(set.args(), " ") + "]");
  if (!flags.dry_run.empty() && flags.dry_run != "server" && flags.dry_run != "none") {
    return LocalError("Invalid dry-run value (" + flags.dry_run +
                      "). Must be \"none\" or \"server\".");
  }
  GANTRY_ASSIGN(const std::vector<Manifest> manifests, ReadManifests(flags.files, flags.recursive));
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  Apply apply(*connection, flags, !call.globals.ns.empty());
  int exit_code = 0;
  for (const Manifest& manifest : manifests) {
    const Status status = apply.One(manifest);
    if (status.ok()) continue;
    std::fflush(stdout);
    std::fprintf(stderr, "%s\n", status.message().c_str());
    exit_code = 1;
    if (status.code() == Code::kUnavailable) break;
  }
  return exit_code;
}

}  // namespace gantry::cli
