#include <cstdio>

#include "api/duration.h"
#include "api/json_value.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/pods_of.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

struct LogFlags {
  std::string container, since, since_time, selector;
  int64_t tail = -1, limit_bytes = 0;
  bool follow = false, previous = false, timestamps = false, all_containers = false, prefix = false;
};

Status PrintLog(Connection& connection, const LogFlags& flags, const JsonValue& pod,
                const std::string& container, int64_t tail) {
  const std::string name = TextAt(pod, "metadata.name");
  std::string target = "/api/v1/namespaces/" + TextAt(pod, "metadata.namespace") + "/pods/" + name +
                       "/log?container=" + client::QueryEscape(container);
  if (flags.follow) target += "&follow=true";
  if (flags.previous) target += "&previous=true";
  if (flags.timestamps) target += "&timestamps=true";
  if (tail >= 0) target += "&tailLines=" + std::to_string(tail);
  if (flags.limit_bytes > 0) target += "&limitBytes=" + std::to_string(flags.limit_bytes);
  if (!flags.since_time.empty()) target += "&sinceTime=" + client::QueryEscape(flags.since_time);
  if (!flags.since.empty()) {
    Result<Duration> since = api::ParseGoDuration(flags.since);
    if (!since.ok())
      return LocalError("invalid argument \"" + flags.since +
                        "\" for \"--since\" flag: " + since.status().message());
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*since).count();
    target += "&sinceSeconds=" + std::to_string(seconds);
  }
  const std::string prefix = flags.prefix ? "[pod/" + name + "/" + container + "] " : "";
  bool line_begins = true;
  return connection.Stream(client::HttpRequest("GET", target), [&](std::string_view bytes) {
    if (prefix.empty()) {
      std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    } else {
      for (const char c : bytes) {
        if (line_begins) std::fputs(prefix.c_str(), stdout);
        std::fputc(c, stdout);
        line_begins = c == '\n';
      }
    }
    return std::fflush(stdout) == 0;
  });
}

std::vector<std::string> ContainersOf(const LogFlags& flags, const JsonValue& pod) {
  if (!flags.container.empty()) return {flags.container};
  if (!flags.all_containers) return {DefaultContainer(pod)};
  std::vector<std::string> names;
  for (const char* list : {"spec.initContainers", "spec.containers", "spec.ephemeralContainers"}) {
    for (const JsonValue& container : ItemsAt(pod, list))
      names.push_back(TextAt(container, "name"));
  }
  return names;
}

}  // namespace

Result<int> RunLogs(Invocation call) {
  LogFlags flags;
  FlagSet set("logs POD | TYPE/NAME [CONTAINER]", &call.globals);
  set.String("container", 'c', &flags.container, "The container");
  set.Bool("all-containers", 0, &flags.all_containers, "All containers of the pod");
  set.Bool("follow", 'f', &flags.follow, "Go on as more is written");
  set.Int("tail", 0, &flags.tail, "Only so many lines from the end");
  set.Int("limit-bytes", 0, &flags.limit_bytes, "Only so many bytes");
  set.Bool("previous", 'p', &flags.previous, "Of the container's run before this one");
  set.String("since", 0, &flags.since, "Only what is younger: 5s, 2m, 3h");
  set.String("since-time", 0, &flags.since_time, "Only what came after this time (RFC 3339)");
  set.Bool("timestamps", 0, &flags.timestamps, "With the time of each line");
  set.Bool("prefix", 0, &flags.prefix, "With pod and container before each line");
  set.String("selector", 'l', &flags.selector, "Of all pods with these labels");
  GANTRY_TRY(set.Parse(call.args));
  if (set.args().empty() == flags.selector.empty()) {
    return LocalError(
        "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a "
        "required argument for the logs command");
  }
  if (set.args().size() == 2 && flags.container.empty()) flags.container = set.args()[1];
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  if (flags.selector.empty()) {
    GANTRY_ASSIGN(const std::vector<JsonValue> pods, FindPods(*connection, set.args()[0]));
    if (pods.size() > 1) {
      std::fprintf(stderr, "Found %zu pods, using pod/%s\n", pods.size(),
                   TextAt(pods[0], "metadata.name").c_str());
    }
    for (const std::string& container : ContainersOf(flags, pods[0]))
      GANTRY_TRY(PrintLog(*connection, flags, pods[0], container, flags.tail));
    return 0;
  }
  GANTRY_ASSIGN(const std::vector<JsonValue> pods,
                ListPods(*connection, connection->ns(), flags.selector));
  if (pods.empty())
    std::fprintf(stderr, "No resources found in %s namespace.\n", connection->ns().c_str());
  if (flags.follow && pods.size() > 1) {
    return LocalError("-f follows one pod; " + std::to_string(pods.size()) +
                      " have these labels: name one of them");
  }
  for (const JsonValue& pod : pods) {
    for (const std::string& container : ContainersOf(flags, pod))
      GANTRY_TRY(PrintLog(*connection, flags, pod, container, set.Given("tail") ? flags.tail : 10));
  }
  return 0;
}

}  // namespace gantry::cli
