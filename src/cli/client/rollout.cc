#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "api/duration.h"
#include "api/json_value.h"
#include "base/env/real/real_env.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/describe_text.h"
#include "cli/client/dry_run.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/pods_of.h"
#include "cli/client/print_table.h"
#include "cli/client/resources.h"
#include "cli/client/rollout_status.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr CommandHelp kHelp = {
    "rollout (status | history | undo | restart | pause | resume) (TYPE/NAME | TYPE)",
    "Follow, list, undo, restart, pause or resume rollouts of deployments, daemon sets and "
    "stateful\n"
    "sets.",
    "# Wait until it is done\n"
    "gantry rollout status deploy/web\n"
    "# The revisions that there are, and the pods of one\n"
    "gantry rollout history deploy/web\n"
    "gantry rollout history deploy/web --revision=2\n"
    "# Back to the one before, or to that\n"
    "gantry rollout undo deploy/web\n"
    "gantry rollout undo deploy/web --to-revision=2\n"
    "# New pods of the same kind\n"
    "gantry rollout restart deploy/web"};

struct RolloutFlags {
  int64_t revision = 0, to_revision = 0;
  bool watch = true;
  std::optional<Duration> timeout;
  std::string dry_run, selector;
};

constexpr const char* kRevision = "deployment.kubernetes.io/revision";
constexpr const char* kStrategicMerge = "application/strategic-merge-patch+json";

class Rollout {
 public:
  Rollout(Connection& connection, const RolloutFlags& flags, Target target)
      : connection_(connection),
        flags_(flags),
        target_(std::move(target)),
        path_(target_.resource.Path(connection.ns(), target_.name)),
        shown_(target_.resource.GroupSingular() + "/" + target_.name) {}

  Result<int> ShowStatus() {
    std::optional<SteadyTime> until;
    if (flags_.timeout && flags_.timeout->count() > 0)
      until = connection_.env().Steady() + *flags_.timeout;
    std::string said;
    while (true) {
      GANTRY_ASSIGN(JsonValue object, connection_.GetJson(path_));
      GANTRY_ASSIGN(RolloutProgress progress, Say(object, &said));
      if (progress.done || !flags_.watch) return 0;
      Status failure;
      const std::string watch =
          target_.resource.Path(connection_.ns()) +
          "?watch=true&fieldSelector=" + client::QueryEscape("metadata.name=" + target_.name) +
          "&resourceVersion=" + TextAt(object, "metadata.resourceVersion");
      auto take = [&](const std::string& type, const JsonValue& changed) {
        if (type == "DELETED") {
          failure = LocalError("object has been deleted");
          return false;
        }
        Result<RolloutProgress> now = Say(changed, &said);
        failure = now.status();
        if (now.ok()) progress = *now;
        return now.ok() && !progress.done;
      };
      const Status watched = connection_.Watch(watch, "application/json", take, until);
      GANTRY_TRY(failure);
      if (progress.done) return 0;
      if (!watched.ok() && watched.code() != Code::kExpired && watched.code() != Code::kGone)
        return watched;
    }
  }

  Result<int> ShowHistory() {
    GANTRY_ASSIGN(const std::vector<JsonValue> revisions, Revisions());
    if (flags_.revision > 0) {
      Result<JsonValue> found = Revision(revisions, flags_.revision);
      if (!found.ok()) return LocalError("unable to find the specified revision");
      std::printf("%s with revision #%lld\n", shown_.c_str(),
                  static_cast<long long>(flags_.revision));
      const JsonValue* pod_template = At(*found, "spec.template");
      if (pod_template == nullptr) pod_template = At(*found, "data.spec.template");
      if (pod_template != nullptr) std::fputs(PodTemplateText(*pod_template).c_str(), stdout);
      std::fputc('\n', stdout);
      return 0;
    }
    TableText table(2, 0);
    table.Row({"REVISION", "CHANGE-CAUSE"});
    for (const JsonValue& revision : revisions) {
      const std::string cause =
          MemberAt(revision, "metadata.annotations", "kubernetes.io/change-cause");
      table.Row({std::to_string(NumberOf(revision)), cause.empty() ? "<none>" : cause});
    }
    std::printf("%s \n%s\n", shown_.c_str(), table.Take().c_str());
    return 0;
  }

  Result<int> Undo() {
    if (target_.resource.kind != "Deployment" && target_.resource.kind != "DaemonSet" &&
        target_.resource.kind != "StatefulSet")
      return LocalError("error retrieving rollbacker for \"" + target_.resource.kind +
                        "\", no visitor method exists for { " + target_.resource.kind + "}");
    GANTRY_ASSIGN(const JsonValue object, connection_.GetJson(path_));
    if (BoolAt(object, "spec.paused")) {
      return LocalError(
          "you cannot rollback a paused deployment; resume it first with 'gantry rollout resume' "
          "and "
          "try again");
    }
    GANTRY_ASSIGN(const std::vector<JsonValue> revisions, Revisions());
    int64_t wanted = flags_.to_revision;
    if (wanted == 0) {
      if (revisions.size() < 2)
        return LocalError("no rollout history found for " + target_.resource.singular + " \"" +
                          target_.name + "\"");
      wanted = NumberOf(revisions[revisions.size() - 2]);
    }
    GANTRY_ASSIGN(const JsonValue revision, Revision(revisions, wanted));
    if (NumberOf(revisions.back()) == wanted) {
      std::printf("%s skipped rollback (current template already matches revision %lld)\n",
                  shown_.c_str(), static_cast<long long>(wanted));
      return 0;
    }
    JsonValue patch;
    const char* type = kStrategicMerge;
    if (const JsonValue* data = At(revision, "data")) {
      patch = *data;
    } else {
      JsonValue pod_template = *At(revision, "spec.template");
      if (JsonValue* labels = pod_template["metadata"].Find("labels"))
        labels->Erase("pod-template-hash");
      JsonValue change;
      change["op"] = "replace";
      change["path"] = "/spec/template";
      change["value"] = std::move(pod_template);
      patch = JsonValue::Array{std::move(change)};
      type = "application/json-patch+json";
    }
    return Change(patch, "rolled back", type);
  }

  Result<int> Restart() {
    GANTRY_ASSIGN(const JsonValue object, connection_.GetJson(path_));
    if (BoolAt(object, "spec.paused")) {
      return LocalError(target_.resource.GroupPlural() + " \"" + target_.name +
                        "\" can't restart paused deployment (run rollout resume first)");
    }
    if (At(object, "spec.template") == nullptr)
      return LocalError(target_.resource.GroupPlural() + " \"" + target_.name +
                        "\" restarting is not supported");
    JsonValue patch;
    patch["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] =
        api::FormatTime(connection_.env().Now());
    return Change(patch, "restarted");
  }

  Result<int> Pause(bool paused) {
    GANTRY_ASSIGN(const JsonValue object, connection_.GetJson(path_));
    if (target_.resource.kind != "Deployment")
      return LocalError(target_.resource.GroupPlural() + " \"" + target_.name +
                        (paused ? "\" pausing is not supported" : "\" resuming is not supported"));
    if (BoolAt(object, "spec.paused") == paused) {
      return LocalError(target_.resource.GroupPlural() + " \"" + target_.name + "\" is " +
                        (paused ? "already paused" : "not paused"));
    }
    JsonValue patch;
    patch["spec"]["paused"] = paused ? JsonValue(true) : JsonValue();
    return Change(patch, paused ? "paused" : "resumed");
  }

 private:
  Result<RolloutProgress> Say(const JsonValue& object, std::string* said) {
    GANTRY_ASSIGN(RolloutProgress progress, ProgressOf(object, flags_.revision));
    if (progress.message != *said) std::fputs(progress.message.c_str(), stdout);
    std::fflush(stdout);
    *said = progress.message;
    return progress;
  }

  Result<int> Change(const JsonValue& patch, const char* done, const char* type = kStrategicMerge) {
    const std::string query = std::string("?fieldManager=gantry-rollout") +
                              (flags_.dry_run == "server" ? "&dryRun=All" : "");
    if (flags_.dry_run != "client")
      GANTRY_TRY(connection_.Send("PATCH", path_ + query, patch, type));
    std::printf("%s %s%s\n", shown_.c_str(), done, DryRunMark(flags_.dry_run));
    return 0;
  }

  static int64_t NumberOf(const JsonValue& revision) {
    if (const JsonValue* number = revision.Find("revision"))
      return number->is_int() ? number->as_int() : 0;
    return std::strtoll(MemberAt(revision, "metadata.annotations", kRevision).c_str(), nullptr, 10);
  }

  // ReplicaSets or ControllerRevisions that belong to the object, oldest first.
  Result<std::vector<JsonValue>> Revisions() {
    GANTRY_ASSIGN(const JsonValue object, connection_.GetJson(path_));
    const std::string kind = target_.resource.kind;
    if (kind != "Deployment" && kind != "DaemonSet" && kind != "StatefulSet") {
      return LocalError("error retrieving history for \"" + kind +
                        "\", no visitor method exists for { " + kind + "}");
    }
    const JsonValue* selector = At(object, "spec.selector");
    const std::string query = selector == nullptr ? std::string() : SelectorQuery(*selector);
    const std::string type = kind == "Deployment" ? "replicasets" : "controllerrevisions";
    GANTRY_ASSIGN(const JsonValue list,
                  connection_.GetJson("/apis/apps/v1/namespaces/" + connection_.ns() + "/" + type +
                                      "?labelSelector=" + client::QueryEscape(query)));
    std::vector<JsonValue> revisions;
    for (const JsonValue& item : ItemsAt(list, "items")) {
      for (const JsonValue& owner : ItemsAt(item, "metadata.ownerReferences")) {
        if (BoolAt(owner, "controller") && TextAt(owner, "uid") == TextAt(object, "metadata.uid") &&
            NumberOf(item) > 0) {
          revisions.push_back(item);
        }
      }
    }
    std::sort(revisions.begin(), revisions.end(),
              [](const JsonValue& a, const JsonValue& b) { return NumberOf(a) < NumberOf(b); });
    return revisions;
  }

  Result<JsonValue> Revision(const std::vector<JsonValue>& revisions, int64_t number) {
    for (const JsonValue& revision : revisions) {
      if (NumberOf(revision) == number) return revision;
    }
    return LocalError("unable to find specified revision " + std::to_string(number) +
                      " in history");
  }

  Connection& connection_;
  const RolloutFlags& flags_;
  const Target target_;
  const std::string path_;
  const std::string shown_;
};

}  // namespace

Result<int> RunRollout(Invocation call) {
  RolloutFlags flags;
  FlagSet set(kHelp, &call.globals);
  set.Optional("dry-run", &flags.dry_run, "unchanged", "client or server: change nothing");
  set.Int("revision", 0, &flags.revision, "The revision to wait for, or to show");
  set.String("selector", 'l', &flags.selector, "All objects with these labels");
  set.Time("timeout", 0, &flags.timeout, "How long status waits (0: as long as it takes)");
  set.Int("to-revision", 0, &flags.to_revision,
          "The revision to go back to (default: the one before)");
  set.Bool("watch", 'w', &flags.watch, "Wait until the rollout is done");
  GANTRY_TRY(set.Parse(call.args));
  if (set.args().empty())
    return set.Misused("give one of status, history, undo, restart, pause, resume");
  struct Verb {
    const char* name;
    Result<int> (*run)(Rollout&);
  };
  static constexpr Verb kVerbs[] = {
      {"status", [](Rollout& rollout) { return rollout.ShowStatus(); }},
      {"history", [](Rollout& rollout) { return rollout.ShowHistory(); }},
      {"undo", [](Rollout& rollout) { return rollout.Undo(); }},
      {"restart", [](Rollout& rollout) { return rollout.Restart(); }},
      {"pause", [](Rollout& rollout) { return rollout.Pause(true); }},
      {"resume", [](Rollout& rollout) { return rollout.Pause(false); }},
  };
  const Verb* verb = nullptr;
  for (const Verb& one : kVerbs) {
    if (set.args()[0] == one.name) verb = &one;
  }
  if (verb == nullptr) return set.Misused("unknown command \"" + set.args()[0] + "\"");
  const std::vector<std::string> words(set.args().begin() + 1, set.args().end());
  if (words.empty()) return LocalError("required resource not specified");
  GANTRY_TRY(CheckDryRun(&flags.dry_run));
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(*connection));
  GANTRY_ASSIGN(std::vector<Target> targets, ParseTargets(map, words));
  GANTRY_ASSIGN(targets, NamedTargets(*connection, std::move(targets), true, flags.selector));
  if (targets.empty())
    std::fprintf(stderr, "No resources found in %s namespace.\n", connection->ns().c_str());
  int exit_code = 0;
  for (Target& target : targets) {
    Rollout rollout(*connection, flags, std::move(target));
    const Result<int> done = verb->run(rollout);
    if (done.ok()) continue;
    std::fflush(stdout);
    std::fprintf(stderr, "%s\n", done.status().message().c_str());
    exit_code = 1;
  }
  return exit_code;
}

}  // namespace gantry::cli
