#include <cstdio>
#include <optional>

#include "api/json_value.h"
#include "base/env/real/real_env.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/jsonpath.h"
#include "cli/client/print_object.h"
#include "cli/client/resources.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr CommandHelp kHelp = {
    "wait (TYPE/NAME... | TYPE (NAME... | -l LABELS | --all)) --for=WHAT",
    "Wait until objects are in a state. WHAT: condition=NAME[=VALUE], delete, create,\n"
    "jsonpath='{PATH}'[=VALUE].",
    "gantry wait pod/web --for=condition=Ready\n"
    "gantry wait pods -l app=web --for=delete --timeout=60s\n"
    "gantry wait pod/web --for=jsonpath='{.status.phase}'=Running"};

// What --for asks for.
struct Goal {
  enum class What : uint8_t { kCondition, kDelete, kCreate, kPath };
  What what = What::kDelete;
  std::string condition, value;
  std::optional<JsonPath> path;
  bool any_value = false;
};

bool SameFold(const std::string& a, const std::string& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if ((a[i] | 0x20) != (b[i] | 0x20)) return false;
  }
  return true;
}

Result<Goal> ReadGoal(const std::string& text) {
  Goal goal;
  if (SameFold(text, "delete")) return goal;
  if (SameFold(text, "create")) {
    goal.what = Goal::What::kCreate;
    return goal;
  }
  if (text.starts_with("condition=")) {
    goal.what = Goal::What::kCondition;
    goal.condition = text.substr(10);
    goal.value = "true";
    if (const size_t equals = goal.condition.find('='); equals != std::string::npos) {
      goal.value = goal.condition.substr(equals + 1);
      goal.condition.resize(equals);
    }
    return goal;
  }
  if (!text.starts_with("jsonpath=")) return LocalError("unrecognized condition: \"" + text + "\"");
  goal.what = Goal::What::kPath;
  const std::string rest = text.substr(9);
  const size_t end = rest.rfind('}');
  if (end == std::string::npos)
    return LocalError(
        "jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 or "
        "--for=jsonpath='{.status.readyReplicas}'");
  goal.any_value = end + 1 == rest.size();
  if (!goal.any_value) goal.value = rest.substr(end + 2);
  GANTRY_ASSIGN(const std::string full, FullPath(rest.substr(0, end + 1)));
  Result<JsonPath> path = JsonPath::Parse(full);
  if (!path.ok()) return LocalError(path.status().message());
  goal.path = std::move(*path);
  return goal;
}

bool Reached(const Goal& goal, const JsonValue& object) {
  if (goal.what == Goal::What::kCreate) return true;
  if (goal.what == Goal::What::kPath) {
    const Result<std::vector<const JsonValue*>> found = goal.path->Find(object);
    return found.ok() && found->size() == 1 &&
           (goal.any_value || ScalarText(*found->front()) == goal.value);
  }
  for (const JsonValue& condition : ItemsAt(object, "status.conditions")) {
    if (!SameFold(TextAt(condition, "type"), goal.condition)) continue;
    const int64_t seen = IntAt(condition, "observedGeneration", -1);
    const bool stale = seen >= 0 && seen < IntAt(object, "metadata.generation");
    if (!stale && SameFold(TextAt(condition, "status"), goal.value)) return true;
  }
  return false;
}

Status WaitFor(Connection& connection, const Goal& goal, const Target& target,
               std::optional<SteadyTime> until) {
  const Status late = LocalError("timed out waiting for the condition on " +
                                 target.resource.plural + "/" + target.name);
  const bool gone_is_good = goal.what == Goal::What::kDelete;
  const bool may_come = goal.what == Goal::What::kCreate;
  while (true) {
    // A list has the revision to watch from also when the object is not there.
    std::string path = target.resource.Path(connection.ns()) +
                       "?fieldSelector=" + client::QueryEscape("metadata.name=" + target.name);
    GANTRY_ASSIGN(const JsonValue list, connection.GetJson(path));
    const auto& items = ItemsAt(list, "items");
    if (items.empty() && gone_is_good) return Status::Ok();
    if (items.empty() && !may_come) {
      GANTRY_TRY(connection.GetJson(target.resource.Path(connection.ns(), target.name)));
    }
    if (!items.empty() && !gone_is_good && Reached(goal, items[0])) return Status::Ok();
    if (until && connection.env().Steady() >= *until) return late;
    bool done = false;
    Status failure;
    path += "&watch=true&resourceVersion=" + TextAt(list, "metadata.resourceVersion");
    const Status watched = connection.Watch(
        path, "application/json",
        [&](const std::string& type, const JsonValue& object) {
          if (type == "DELETED") {
            done = gone_is_good;
            if (!done && !may_come)
              failure = LocalError(target.resource.plural + "/" + target.name + " was deleted");
            return !done && failure.ok();
          }
          done = !gone_is_good && type != "BOOKMARK" && Reached(goal, object);
          return !done;
        },
        until);
    if (done) return Status::Ok();
    GANTRY_TRY(failure);
    if (watched.code() == Code::kCanceled) return late;
    if (!watched.ok() && watched.code() != Code::kExpired && watched.code() != Code::kGone)
      return watched;
  }
}

}  // namespace

Result<int> RunWait(Invocation call) {
  std::string what, selector;
  std::optional<Duration> timeout = std::chrono::seconds(30);
  bool all = false;
  FlagSet set(kHelp, &call.globals);
  set.Bool("all", 0, &all, "All objects of the type");
  set.String("for", 0, &what, "What to wait for");
  set.String("selector", 'l', &selector, "All objects with these labels");
  set.Time("timeout", 0, &timeout, "How long (0: look once; below 0: a week)");
  GANTRY_TRY(set.Parse(call.args));
  GANTRY_ASSIGN(const Goal goal, ReadGoal(what));
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(*connection));
  GANTRY_ASSIGN(std::vector<Target> targets, ParseTargets(map, set.args()));
  const bool many = all || !selector.empty();
  GANTRY_ASSIGN(targets, NamedTargets(*connection, std::move(targets), many, selector));
  if (targets.empty()) {
    if (goal.what == Goal::What::kDelete) return 0;
    return LocalError("no matching resources found");
  }
  if (*timeout < Duration::zero()) timeout = std::chrono::hours(24 * 7);
  const SteadyTime until = connection->env().Steady() + *timeout;
  int exit_code = 0;
  for (const Target& target : targets) {
    const Status status = WaitFor(*connection, goal, target, until);
    if (status.ok()) {
      std::printf("%s/%s condition met\n", target.resource.GroupSingular().c_str(),
                  target.name.c_str());
      std::fflush(stdout);
      continue;
    }
    std::fprintf(stderr, "%s\n", status.message().c_str());
    exit_code = 1;
  }
  return exit_code;
}

}  // namespace gantry::cli
