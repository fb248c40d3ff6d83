#include <algorithm>
#include <cstdio>

#include "api/json_value.h"
#include "api/yaml.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/dry_run.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/print_object.h"
#include "cli/client/resources.h"

// The commands that change a few fields of objects: patch, label, annotate, cordon, uncordon,
// taint.
namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr const char* kMerge = "application/merge-patch+json";
constexpr const char* kStrategic = "application/strategic-merge-patch+json";

constexpr CommandHelp kPatchHelp = {
    "patch (TYPE NAME | TYPE/NAME) -p PATCH", "Change fields of an object.",
    "# Another image\n"
    "gantry patch deploy/web -p "
    "'{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"main\",\"image\":\"web:2\"}]}}"
    "}"
    "}'\n"
    "# One field by its path\n"
    "gantry patch deploy/web --type=json -p "
    "'[{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":2}]'\n"
    "# A field away\n"
    "gantry patch pod web --type=merge -p '{\"metadata\":{\"finalizers\":null}}'"};
constexpr CommandHelp kLabelHelp = {
    "label (TYPE NAME... | TYPE/NAME... | TYPE -l LABELS | TYPE --all) KEY=VALUE... KEY-...",
    "Set labels, and take away those with \"-\" behind their name.",
    "gantry label node one disk=ssd\n"
    "gantry label pods -l app=web tier=front --overwrite\n"
    "gantry label pod web tier-"};
constexpr CommandHelp kAnnotateHelp = {
    "annotate (TYPE NAME... | TYPE/NAME... | TYPE -l LABELS | TYPE --all) KEY=VALUE... KEY-...",
    "Set annotations, and take away those with \"-\" behind their name.",
    "gantry annotate deploy/web kubernetes.io/change-cause='version 2'"};
constexpr CommandHelp kCordonHelp = {"cordon NODE...", "No new pods come to these nodes.",
                                     "gantry cordon one"};
constexpr CommandHelp kUncordonHelp = {"uncordon NODE...", "New pods may come to these nodes.",
                                       "gantry uncordon one"};
constexpr CommandHelp kTaintHelp = {
    "taint node NODE... KEY[=VALUE]:EFFECT... KEY[:EFFECT]-...",
    "Put taints on nodes, and take away those with \"-\" behind them.\n"
    "Effects: NoSchedule, PreferNoSchedule, NoExecute.",
    "gantry taint node one gpu=yes:NoSchedule\n"
    "gantry taint node one gpu:NoSchedule-"};

struct EditFlags {
  std::string dry_run, output, selector;
  bool all = false, overwrite = false;
};

std::string Shown(const Target& target) {
  return target.resource.GroupSingular() + "/" + target.name;
}

// Sends the patch and says "NAME DONE".
Status Change(Connection& connection, const EditFlags& flags, const Target& target,
              const JsonValue& patch, const char* type, const std::string& done) {
  std::string path =
      target.resource.Path(connection.ns(), target.name) + "?fieldManager=gantry-edit";
  if (flags.dry_run == "server") path += "&dryRun=All";
  JsonValue after;
  if (flags.dry_run == "client") {
    GANTRY_ASSIGN(after, connection.GetJson(target.resource.Path(connection.ns(), target.name)));
  } else {
    GANTRY_ASSIGN(after, connection.Send("PATCH", path, patch, type));
  }
  if (PrintsObjects(flags.output)) {
    GANTRY_ASSIGN(const std::string text, PrintObject(flags.output, std::move(after)));
    std::fputs(text.c_str(), stdout);
  } else if (flags.output == "name") {
    std::printf("%s\n", Shown(target).c_str());
  } else {
    std::printf("%s %s%s\n", Shown(target).c_str(), done.c_str(), DryRunMark(flags.dry_run));
  }
  std::fflush(stdout);
  return Status::Ok();
}

int Finish(const Status& status, int exit_code) {
  if (status.ok()) return exit_code;
  std::fflush(stdout);
  std::fprintf(stderr, "%s\n", status.message().c_str());
  return 1;
}

// "key=value" or "key-".
bool IsPair(const std::string& word) {
  return word.find('=') != std::string::npos || (word.size() > 1 && word.back() == '-');
}

Status Mark(Connection& connection, const EditFlags& flags, const Target& target,
            const std::vector<std::string>& pairs, const char* field, const char* done) {
  const std::string path = target.resource.Path(connection.ns(), target.name);
  GANTRY_ASSIGN(const JsonValue before, connection.GetJson(path));
  const std::string where = std::string("metadata.") + field;
  JsonValue patch;
  JsonValue& members = patch["metadata"][field];
  bool changed = false, removed_only = true;
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    const std::string key =
        equals == std::string::npos ? pair.substr(0, pair.size() - 1) : pair.substr(0, equals);
    const JsonValue* map = At(before, where);
    const JsonValue* has = map == nullptr ? nullptr : map->Find(key);
    if (equals == std::string::npos) {
      if (has == nullptr) {
        std::printf("%s \"%s\" not found.\n",
                    std::string_view(field) == "labels" ? "label" : "annotation", key.c_str());
        continue;
      }
      members[key] = JsonValue();
      changed = true;
      continue;
    }
    const std::string value = pair.substr(equals + 1);
    removed_only = false;
    if (has != nullptr && ScalarText(*has) == value) continue;
    if (has != nullptr && !flags.overwrite) {
      return LocalError("'" + key + "' already has a value (" + ScalarText(*has) +
                        "), and --overwrite is false");
    }
    members[key] = value;
    changed = true;
  }
  const bool labels = std::string_view(field) == "labels";
  if (!changed && labels) {
    std::printf("%s not labeled\n", Shown(target).c_str());
    return Status::Ok();
  }
  if (members.is_null()) members = JsonValue::MakeObject();
  return Change(connection, flags, target, patch, kMerge,
                labels && removed_only ? "unlabeled" : done);
}

Result<int> RunMark(Invocation call, const CommandHelp& help, const char* field, const char* done) {
  EditFlags flags;
  FlagSet set(help, &call.globals);
  set.Bool("all", 0, &flags.all, "All objects of the type");
  set.Optional("dry-run", &flags.dry_run, "unchanged", "client or server: change nothing");
  set.String("output", 'o', &flags.output, "json, yaml, name");
  set.Bool("overwrite", 0, &flags.overwrite, "Also where there is another value");
  set.String("selector", 'l', &flags.selector, "All objects with these labels");
  GANTRY_TRY(set.Parse(call.args));
  GANTRY_TRY(CheckDryRun(&flags.dry_run));
  GANTRY_TRY(CheckFormat(flags.output, {"name"}));
  std::vector<std::string> words, pairs;
  for (const std::string& word : set.args())
    (IsPair(word) ? pairs : words).push_back(word);
  if (words.empty())
    return LocalError(
        "one or more resources must be specified as <resource> <name> or <resource>/<name>");
  if (pairs.empty())
    return LocalError(std::string("at least one ") +
                      (std::string_view(field) == "labels" ? "label" : "annotation") +
                      " update is required");
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(*connection));
  GANTRY_ASSIGN(std::vector<Target> targets, ParseTargets(map, words));
  GANTRY_ASSIGN(targets, NamedTargets(*connection, std::move(targets),
                                      flags.all || !flags.selector.empty(), flags.selector));
  int exit_code = 0;
  for (const Target& target : targets)
    exit_code = Finish(Mark(*connection, flags, target, pairs, field, done), exit_code);
  return exit_code;
}

Result<std::vector<Target>> Nodes(Connection& connection, std::vector<std::string> names) {
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(connection));
  std::vector<std::string> words = {"nodes"};
  for (std::string& name : names) {
    for (const char* type : {"node/", "nodes/", "no/"}) {
      if (name.starts_with(type)) name.erase(0, std::string_view(type).size());
    }
    words.push_back(std::move(name));
  }
  return ParseTargets(map, words);
}

Result<int> RunCordoning(Invocation call, const CommandHelp& help, bool cordon) {
  EditFlags flags;
  FlagSet set(help, &call.globals);
  set.Optional("dry-run", &flags.dry_run, "unchanged", "client or server: change nothing");
  GANTRY_TRY(set.Parse(call.args));
  GANTRY_TRY(CheckDryRun(&flags.dry_run));
  if (set.args().empty()) return set.Misused("USAGE: a node's name is required");
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const std::vector<Target> targets, Nodes(*connection, set.args()));
  int exit_code = 0;
  for (const Target& target : targets) {
    Result<JsonValue> node = connection->GetJson(target.resource.Path("", target.name));
    if (!node.ok()) {
      exit_code = Finish(node.status(), exit_code);
      continue;
    }
    const char* done = cordon ? "cordoned" : "uncordoned";
    if (BoolAt(*node, "spec.unschedulable") == cordon) {
      std::printf("%s already %s\n", Shown(target).c_str(), done);
      continue;
    }
    JsonValue patch;
    patch["spec"]["unschedulable"] = cordon ? JsonValue(true) : JsonValue();
    exit_code = Finish(Change(*connection, flags, target, patch, kStrategic, done), exit_code);
  }
  return exit_code;
}

struct TaintEdit {
  std::string key, value, effect;
  bool remove = false;
};

Result<TaintEdit> ReadTaint(std::string word) {
  TaintEdit edit;
  const std::string bad = "invalid taint spec: " + word;
  if (word.ends_with('-')) {
    edit.remove = true;
    word.pop_back();
  }
  const size_t colon = word.rfind(':');
  if (colon != std::string::npos) edit.effect = word.substr(colon + 1);
  const std::string left = word.substr(0, colon);
  const size_t equals = left.find('=');
  edit.key = left.substr(0, equals);
  if (equals != std::string::npos) edit.value = left.substr(equals + 1);
  const bool known = edit.effect == "NoSchedule" || edit.effect == "PreferNoSchedule" ||
                     edit.effect == "NoExecute";
  if (edit.key.empty() || (!known && !(edit.remove && edit.effect.empty()))) return LocalError(bad);
  return edit;
}

Status Taint(Connection& connection, const EditFlags& flags, const Target& target,
             const std::vector<TaintEdit>& edits) {
  GANTRY_ASSIGN(const JsonValue node, connection.GetJson(target.resource.Path("", target.name)));
  JsonValue::Array taints = ItemsAt(node, "spec.taints");
  bool added = false;
  for (const TaintEdit& edit : edits) {
    const auto same = [&](const JsonValue& taint) {
      return TextAt(taint, "key") == edit.key &&
             (edit.effect.empty() || TextAt(taint, "effect") == edit.effect);
    };
    const auto found = std::find_if(taints.begin(), taints.end(), same);
    if (edit.remove) {
      if (found == taints.end())
        return LocalError("taint \"" + edit.key + (edit.effect.empty() ? "" : ":" + edit.effect) +
                          "\" not found");
      taints.erase(std::remove_if(taints.begin(), taints.end(), same), taints.end());
      continue;
    }
    if (found != taints.end() && !flags.overwrite) {
      return LocalError("node " + target.name + " already has " + edit.key +
                        " taint(s) with same effect(s) and --overwrite is false");
    }
    taints.erase(std::remove_if(taints.begin(), taints.end(), same), taints.end());
    JsonValue taint;
    taint["key"] = edit.key;
    if (!edit.value.empty()) taint["value"] = edit.value;
    taint["effect"] = edit.effect;
    taints.push_back(std::move(taint));
    added = true;
  }
  JsonValue patch;
  patch["metadata"]["resourceVersion"] = TextAt(node, "metadata.resourceVersion");
  patch["spec"]["taints"] = taints.empty() ? JsonValue() : JsonValue(std::move(taints));
  return Change(connection, flags, target, patch, kMerge, added ? "tainted" : "untainted");
}

}  // namespace

Result<int> RunPatch(Invocation call) {
  EditFlags flags;
  std::string patch_text, type = "strategic";
  FlagSet set(kPatchHelp, &call.globals);
  set.Optional("dry-run", &flags.dry_run, "unchanged", "client or server: change nothing");
  set.String("output", 'o', &flags.output, "json, yaml, name");
  set.String("patch", 'p', &patch_text, "The patch, as JSON or YAML");
  set.String("type", 0, &type, "strategic, merge or json");
  GANTRY_TRY(set.Parse(call.args));
  GANTRY_TRY(CheckDryRun(&flags.dry_run));
  GANTRY_TRY(CheckFormat(flags.output, {"name"}));
  if (patch_text.empty())
    return LocalError("must specify --patch or --patch-file containing the contents of the patch");
  const char* content_type = type == "strategic" ? kStrategic
                             : type == "merge"   ? kMerge
                             : type == "json"    ? "application/json-patch+json"
                                                 : nullptr;
  if (content_type == nullptr)
    return LocalError("--type must be one of [json merge strategic], not \"" + type + "\"");
  Result<std::vector<std::string>> documents = api::YamlToJson(patch_text);
  if (!documents.ok() || documents->size() != 1)
    return LocalError("unable to parse \"" + patch_text + "\": it is not one JSON or YAML value");
  GANTRY_ASSIGN(const JsonValue patch, JsonValue::Parse((*documents)[0]));
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(*connection));
  GANTRY_ASSIGN(const std::vector<Target> targets, ParseTargets(map, set.args()));
  int exit_code = 0;
  for (const Target& target : targets) {
    if (target.name.empty())
      return LocalError("resource(s) were provided, but no name was specified");
    const std::string path = target.resource.Path(connection->ns(), target.name);
    Result<JsonValue> before = connection->GetJson(path);
    if (!before.ok()) {
      exit_code = Finish(before.status(), exit_code);
      continue;
    }
    // What changes nothing is said to.
    if (flags.dry_run.empty() && flags.output.empty()) {
      Result<JsonValue> after =
          connection->Send("PATCH", path + "?fieldManager=gantry-patch", patch, content_type);
      if (!after.ok()) {
        exit_code = Finish(after.status(), exit_code);
        continue;
      }
      const bool same =
          TextAt(*before, "metadata.resourceVersion") == TextAt(*after, "metadata.resourceVersion");
      std::printf("%s patched%s\n", Shown(target).c_str(), same ? " (no change)" : "");
      continue;
    }
    exit_code =
        Finish(Change(*connection, flags, target, patch, content_type, "patched"), exit_code);
  }
  return exit_code;
}

Result<int> RunLabel(Invocation call) {
  return RunMark(std::move(call), kLabelHelp, "labels", "labeled");
}
Result<int> RunAnnotate(Invocation call) {
  return RunMark(std::move(call), kAnnotateHelp, "annotations", "annotated");
}
Result<int> RunCordon(Invocation call) { return RunCordoning(std::move(call), kCordonHelp, true); }
Result<int> RunUncordon(Invocation call) {
  return RunCordoning(std::move(call), kUncordonHelp, false);
}

Result<int> RunTaint(Invocation call) {
  EditFlags flags;
  FlagSet set(kTaintHelp, &call.globals);
  set.Optional("dry-run", &flags.dry_run, "unchanged", "client or server: change nothing");
  set.Bool("overwrite", 0, &flags.overwrite, "Also where the node has such a taint");
  GANTRY_TRY(set.Parse(call.args));
  GANTRY_TRY(CheckDryRun(&flags.dry_run));
  const auto& args = set.args();
  if (args.empty() || (args[0] != "node" && args[0] != "nodes" && args[0] != "no"))
    return LocalError("invalid resource type, only node(s) is supported");
  std::vector<std::string> names;
  std::vector<TaintEdit> edits;
  for (size_t i = 1; i < args.size(); ++i) {
    const bool taint = args[i].find(':') != std::string::npos || args[i].ends_with('-');
    if (!taint) {
      names.push_back(args[i]);
      continue;
    }
    GANTRY_ASSIGN(TaintEdit edit, ReadTaint(args[i]));
    edits.push_back(std::move(edit));
  }
  if (names.empty())
    return LocalError(
        "at least one resource name must be specified since 'all' parameter is not set");
  if (edits.empty()) return LocalError("at least one taint update is required");
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const std::vector<Target> targets, Nodes(*connection, std::move(names)));
  int exit_code = 0;
  for (const Target& target : targets)
    exit_code = Finish(Taint(*connection, flags, target, edits), exit_code);
  return exit_code;
}

}  // namespace gantry::cli
