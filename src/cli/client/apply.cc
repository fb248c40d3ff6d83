#include <cstdio>
#include <optional>

#include "api/json_value.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/create_objects.h"
#include "cli/client/dry_run.h"
#include "cli/client/failure.h"
#include "cli/client/field_owners.h"
#include "cli/client/fields.h"
#include "cli/client/manifests.h"
#include "cli/client/print_object.h"
#include "cli/client/resources.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr CommandHelp kApplyHelp = {
    "apply -f (FILE | DIRECTORY | -)",
    "Make objects as files say. Fields that a later version of a file leaves out go again; those\n"
    "that others have set stay.",
    "# What a file says\n"
    "gantry apply -f web.yaml\n"
    "# All files of a folder and of those in it\n"
    "gantry apply -R -f manifests/\n"
    "# Standard input\n"
    "cat web.yaml | gantry apply -f -\n"
    "# What would happen\n"
    "gantry apply -f web.yaml --dry-run=server\n"
    "# With fields that others own as conflicts\n"
    "gantry apply -f web.yaml --server-side"};

constexpr CommandHelp kCreateHelp = {"create (-f (FILE | DIRECTORY | -) | KIND NAME)",
                                     "Make objects that are not there yet. KIND: configmap, secret "
                                     "generic, namespace, serviceaccount.",
                                     "# What a file says\n"
                                     "gantry create -f web.yaml\n"
                                     "# A config map of values and files\n"
                                     "gantry create configmap page --from-literal=color=blue "
                                     "--from-file=index.html\n"
                                     "# The object that it would be\n"
                                     "gantry create -f web.yaml --dry-run=server -o yaml"};

struct WriteFlags {
  std::vector<std::string> files;
  bool recursive = false, server_side = false, force_conflicts = false, managed_fields = false;
  std::string dry_run, manager, output, validate = "strict";
};

// What an apply is about: not who wrote it when, and not what controllers say.
JsonValue Content(JsonValue object) {
  object.Erase("status");
  if (JsonValue* meta = object.Find("metadata")) {
    meta->Erase("managedFields");
    meta->Erase("resourceVersion");
  }
  return object;
}

// Known kinds are learned anew when a manifest has one that was not there before: its definition
// may have come first.
class Writer {
 public:
  Writer(Connection& connection, const WriteFlags& flags, const std::string& given_ns)
      : connection_(connection), flags_(flags), given_ns_(given_ns) {}

  Status Apply(const Manifest& manifest) {
    GANTRY_ASSIGN(const Placed placed, Place(manifest));
    if (placed.name.empty())
      return LocalError("error when retrieving current configuration of:\nResource: \"" +
                        placed.resource.Text() + "\"\nfrom server for: \"" + manifest.source +
                        "\": resource name may not be empty");
    const std::string path = placed.resource.Path(placed.ns, placed.name);
    Result<JsonValue> before = connection_.GetJson(path);
    if (!before.ok() && before.status().code() != Code::kNotFound) return before.status();
    if (flags_.dry_run == "client")
      return Say(placed, before.ok() ? *before : manifest.object,
                 before.ok() ? "configured" : "created");
    if (before.ok() && flags_.dry_run != "server") GANTRY_TRY(TakeOver(path, *before));
    std::string query = "?fieldManager=" + client::QueryEscape(flags_.manager);
    // Without --server-side this is what a client-side apply does: it takes over what it sets.
    if (!flags_.server_side || flags_.force_conflicts) query += "&force=true";
    Result<JsonValue> after = connection_.Send("PATCH", path + query + CommonQuery(),
                                               manifest.object, "application/apply-patch+yaml");
    if (!after.ok())
      return WithSource(after.status(), before.ok() ? "patching" : "creating", manifest.source);
    const char* done = "configured";
    if (flags_.server_side) {
      done = "serverside-applied";
    } else if (!before.ok()) {
      done = "created";
    } else if (Content(*before) == Content(*after)) {
      done = "unchanged";
    }
    return Say(placed, std::move(*after), done);
  }

  Status Create(const Manifest& manifest) {
    GANTRY_ASSIGN(const Placed placed, Place(manifest));
    if (flags_.dry_run == "client") return Say(placed, manifest.object, "created");
    Result<JsonValue> made =
        connection_.Send("POST",
                         placed.resource.Path(placed.ns) +
                             "?fieldManager=" + client::QueryEscape(flags_.manager) + CommonQuery(),
                         manifest.object);
    if (!made.ok() && manifest.source.empty()) {
      const std::string& text = made.status().message();
      const size_t colon = text.find("): ");
      return colon == std::string::npos
                 ? made.status()
                 : LocalError("failed to create " + placed.resource.singular + ": " +
                              text.substr(colon + 3));
    }
    if (!made.ok()) return WithSource(made.status(), "creating", manifest.source);
    return Say(placed, std::move(*made), "created");
  }

 private:
  Result<Placed> Place(const Manifest& manifest) {
    if (map_) {
      Result<Placed> placed = PlaceManifest(*map_, manifest, connection_.ns());
      if (placed.ok()) return Checked(std::move(placed));
    }
    GANTRY_ASSIGN(map_, ResourceMap::Load(connection_));
    return Checked(PlaceManifest(*map_, manifest, connection_.ns()));
  }
  Result<Placed> Checked(Result<Placed> placed) const {
    if (placed.ok()) GANTRY_TRY(CheckNamespace(*placed, given_ns_));
    return placed;
  }

  std::string CommonQuery() const {
    return std::string("&fieldValidation=") + flags_.validate +
           (flags_.dry_run == "server" ? "&dryRun=All" : "");
  }

  // What a client-side `kubectl apply` has set becomes ours, so that what the file no longer has
  // goes.
  Status TakeOver(const std::string& path, const JsonValue& object) {
    const std::optional<JsonValue> patch = TakeOverPatch(object, flags_.manager);
    if (!patch) return Status::Ok();
    return connection_.Send("PATCH", path, *patch, "application/json-patch+json").status();
  }

  Status Say(const Placed& placed, JsonValue object, const char* done) {
    if (PrintsObjects(flags_.output)) {
      PrintOptions options;
      options.managed_fields = flags_.managed_fields;
      GANTRY_ASSIGN(const std::string text, PrintObject(flags_.output, std::move(object), options));
      std::fputs(text.c_str(), stdout);
      return Status::Ok();
    }
    const std::string shown =
        placed.resource.GroupSingular() + "/" + TextAt(object, "metadata.name");
    if (flags_.output == "name")
      std::printf("%s\n", shown.c_str());
    else
      std::printf("%s %s%s\n", shown.c_str(), done, DryRunMark(flags_.dry_run));
    std::fflush(stdout);
    return Status::Ok();
  }

  Connection& connection_;
  const WriteFlags& flags_;
  const std::string given_ns_;
  std::optional<ResourceMap> map_;
};

struct Validation {
  const char *given, *sent;
};
constexpr Validation kValidations[] = {
    {"strict", "Strict"}, {"true", "Strict"},   {"warn", "Warn"}, {"ignore", "Ignore"},
    {"false", "Ignore"},  {"Strict", "Strict"}, {"Warn", "Warn"}, {"Ignore", "Ignore"}};

Result<int> Run(Invocation call, const CommandHelp& help, bool apply) {
  WriteFlags flags;
  flags.manager = apply ? "gantry" : "gantry-create";
  FlagSet set(help, &call.globals);
  set.Optional("dry-run", &flags.dry_run, "unchanged", "client or server: change nothing");
  set.String("field-manager", 0, &flags.manager, "Name of the owner of the fields");
  set.Strings("filename", 'f', &flags.files, "File, directory or - with the objects");
  if (apply)
    set.Bool("force-conflicts", 0, &flags.force_conflicts,
             "With --server-side: take conflicting fields over");
  set.String("output", 'o', &flags.output, "json, yaml, name, jsonpath=, custom-columns=");
  set.Bool("recursive", 'R', &flags.recursive, "Directories with all that is below them");
  if (apply) set.Bool("server-side", 0, &flags.server_side, "Fields that others own are conflicts");
  set.Bool("show-managed-fields", 0, &flags.managed_fields, "With metadata.managedFields");
  set.Optional("validate", &flags.validate, "strict",
               "strict, warn or ignore: what unknown fields are");
  CreateFlags create;
  if (!apply) {
    set.Strings("from-env-file", 0, &create.env_files, "File of KEY=VALUE lines");
    set.Strings("from-file", 0, &create.files, "[KEY=]FILE, or a directory");
    set.Strings("from-literal", 0, &create.literals, "KEY=VALUE");
    set.String("type", 0, &create.type, "The secret's type");
  }
  GANTRY_TRY(set.Parse(call.args));
  const bool from_words = !apply && flags.files.empty() && !set.args().empty();
  if (!set.args().empty() && !from_words)
    return set.Misused("Unexpected args: [" + JoinText(set.args(), " ") + "]");
  if (flags.files.empty() && !from_words) return LocalError("must specify one of -f and -k");
  GANTRY_TRY(CheckDryRun(&flags.dry_run));
  GANTRY_TRY(CheckFormat(flags.output, {"name"}));
  if (flags.force_conflicts && !flags.server_side)
    return LocalError("--force-conflicts only works with --server-side");
  const Validation* validation = nullptr;
  for (const Validation& row : kValidations) {
    if (flags.validate == row.given) validation = &row;
  }
  if (validation == nullptr)
    return LocalError("invalid - validate option \"" + flags.validate + "\"");
  flags.validate = validation->sent;
  std::vector<Manifest> manifests;
  if (from_words) {
    GANTRY_ASSIGN(JsonValue object, ObjectOfWords(set.args(), create));
    manifests.push_back({std::move(object), ""});
  } else {
    GANTRY_ASSIGN(manifests, ReadManifests(flags.files, flags.recursive));
  }
  if (manifests.empty())
    return LocalError(apply ? "no objects passed to apply" : "no objects passed to create");
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  Writer writer(*connection, flags, call.globals.ns);
  int exit_code = 0;
  for (const Manifest& manifest : manifests) {
    const Status status = apply ? writer.Apply(manifest) : writer.Create(manifest);
    if (status.ok()) continue;
    std::fflush(stdout);
    std::fprintf(stderr, "%s\n", status.message().c_str());
    exit_code = 1;
    if (status.code() == Code::kUnavailable) break;
  }
  return exit_code;
}

}  // namespace

Result<int> RunApply(Invocation call) { return Run(std::move(call), kApplyHelp, true); }
Result<int> RunCreate(Invocation call) { return Run(std::move(call), kCreateHelp, false); }

}  // namespace gantry::cli
