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

constexpr CommandHelp kHelp = {"logs (POD | TYPE/NAME | -l LABELS) [-c CONTAINER]",
                               "Show what a container wrote.",
                               "# Of a pod with one container, going on\n"
                               "gantry logs web-5d8c7 -f\n"
                               "# Of the run before the last crash\n"
                               "gantry logs web-5d8c7 -p\n"
                               "# The last 20 lines of one container\n"
                               "gantry logs web-5d8c7 -c sidecar --tail=20\n"
                               "# Of a pod of a deployment, the last hour\n"
                               "gantry logs deploy/web --since=1h\n"
                               "# Of all pods with a label, all containers\n"
                               "gantry logs -l app=web --all-containers --prefix"};

constexpr const char* kUse =
    "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\n"
    "POD or TYPE/NAME is a required argument for the logs command";
constexpr int64_t kTailOfSelector = 10;

struct LogFlags {
  std::string container, since_time, selector;
  std::optional<Duration> since;
  int64_t tail = -1, limit_bytes = 0, max_requests = 5;
  bool follow = false, previous = false, timestamps = false, all_containers = false,
       all_pods = false, prefix = false, ignore_errors = false, insecure = false;
};

// One container's log.
struct Source {
  std::string target, prefix;
  std::string pending;  // a line that has not ended yet
};

Source SourceOf(const LogFlags& flags, const JsonValue& pod, const std::string& container) {
  Source source;
  const std::string name = TextAt(pod, "metadata.name");
  std::string& target = source.target;
  target = "/api/v1/namespaces/" + TextAt(pod, "metadata.namespace") + "/pods/" + name +
           "/log?container=" + client::QueryEscape(container);
  if (flags.follow) target += "&follow=true";
  if (flags.previous) target += "&previous=true";
  if (flags.timestamps) target += "&timestamps=true";
  if (flags.insecure) target += "&insecureSkipTLSVerifyBackend=true";
  if (flags.tail >= 0) target += "&tailLines=" + std::to_string(flags.tail);
  if (flags.limit_bytes > 0) target += "&limitBytes=" + std::to_string(flags.limit_bytes);
  if (!flags.since_time.empty()) target += "&sinceTime=" + client::QueryEscape(flags.since_time);
  if (flags.since && flags.since->count() > 0) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*flags.since).count();
    target += "&sinceSeconds=" + std::to_string(seconds);
  }
  if (flags.prefix) source.prefix = "[pod/" + name + "/" + container + "] ";
  return source;
}

void Write(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

// Whole lines, so that those of several containers do not mix.
bool WriteLines(Source* source, std::string_view bytes) {
  source->pending.append(bytes);
  size_t from = 0;
  for (size_t end; (end = source->pending.find('\n', from)) != std::string::npos; from = end + 1) {
    Write(source->prefix);
    Write(std::string_view(source->pending).substr(from, end + 1 - from));
  }
  source->pending.erase(0, from);
  return std::fflush(stdout) == 0;
}

bool HasContainer(const JsonValue& pod, const std::string& name) {
  for (const char* list : {"spec.initContainers", "spec.containers", "spec.ephemeralContainers"}) {
    for (const JsonValue& container : ItemsAt(pod, list)) {
      if (TextAt(container, "name") == name) return true;
    }
  }
  return false;
}

Status AddSources(const LogFlags& flags, const JsonValue& pod, std::vector<Source>* out) {
  if (flags.all_containers) {
    for (const char* list :
         {"spec.initContainers", "spec.containers", "spec.ephemeralContainers"}) {
      for (const JsonValue& container : ItemsAt(pod, list))
        out->push_back(SourceOf(flags, pod, TextAt(container, "name")));
    }
    return Status::Ok();
  }
  if (!flags.container.empty() && !HasContainer(pod, flags.container))
    return LocalError("container " + flags.container + " is not valid for pod " +
                      TextAt(pod, "metadata.name"));
  out->push_back(
      SourceOf(flags, pod, flags.container.empty() ? DefaultContainer(pod) : flags.container));
  return Status::Ok();
}

Status ShowAll(Connection& connection, const LogFlags& flags, std::vector<Source> sources) {
  const bool together = flags.follow && sources.size() > 1;
  if (together && static_cast<int64_t>(sources.size()) > flags.max_requests) {
    return LocalError("you are attempting to follow " + std::to_string(sources.size()) +
                      " log streams, but maximum allowed concurrency is " +
                      std::to_string(flags.max_requests) +
                      ", use --max-log-requests to increase the limit");
  }
  if (!together) {
    for (Source& source : sources) {
      const bool as_it_comes = source.prefix.empty();
      const Status status =
          connection.Stream(client::HttpRequest("GET", source.target), [&](std::string_view bytes) {
            if (!as_it_comes) return WriteLines(&source, bytes);
            Write(bytes);
            return std::fflush(stdout) == 0;
          });
      if (!source.pending.empty()) Write(source.prefix + source.pending);
      if (!status.ok() && !flags.ignore_errors) return status;
      if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
    }
    return Status::Ok();
  }
  std::vector<client::HttpRequest> requests;
  for (const Source& source : sources)
    requests.emplace_back("GET", source.target);
  return connection.StreamAll(std::move(requests), [&](size_t i, std::string_view bytes) {
    return WriteLines(&sources[i], bytes);
  });
}

// What is not there is said in logs' own words.
Status NotFoundHere(const Status& status, const std::string& ns) {
  const std::string_view mark = "Error from server (NotFound): ";
  if (status.code() != Code::kNotFound || !status.message().starts_with(mark)) return status;
  return LocalError("error from server (NotFound): " + status.message().substr(mark.size()) +
                    " in namespace \"" + ns + "\"");
}

}  // namespace

Result<int> RunLogs(Invocation call) {
  LogFlags flags;
  FlagSet set(kHelp, &call.globals);
  set.Bool("all-containers", 0, &flags.all_containers, "All containers of the pod");
  set.Bool("all-pods", 0, &flags.all_pods, "All pods of TYPE/NAME, each line with its pod");
  set.String("container", 'c', &flags.container, "The container");
  set.Bool("follow", 'f', &flags.follow, "Go on as more is written");
  set.Bool("ignore-errors", 0, &flags.ignore_errors, "Go on with the others when one fails");
  set.Bool("insecure-skip-tls-verify-backend", 0, &flags.insecure,
           "The server need not know the node's certificate");
  set.Int("limit-bytes", 0, &flags.limit_bytes, "Only so many bytes");
  set.Int("max-log-requests", 0, &flags.max_requests, "How many containers -f may follow at once");
  set.Bool("prefix", 0, &flags.prefix, "With pod and container before each line");
  set.Bool("previous", 'p', &flags.previous, "Of the container's run before this one");
  set.String("selector", 'l', &flags.selector, "Of all pods with these labels");
  set.Time("since", 0, &flags.since, "Only what is younger: 5s, 2m, 3h");
  set.String("since-time", 0, &flags.since_time, "Only what came after this time (RFC 3339)");
  set.Int("tail", 0, &flags.tail, "Only so many lines from the end (with -l: 10)");
  set.Bool("timestamps", 0, &flags.timestamps, "With the time of each line");
  GANTRY_TRY(set.Parse(call.args));
  if (set.args().empty() && flags.selector.empty()) return set.Misused(kUse);
  if (set.args().size() > 2) return set.Misused(kUse);
  if (!set.args().empty() && !flags.selector.empty())
    return LocalError("only a selector (-l) or a POD name is allowed");
  if (set.args().size() == 2 && set.Given("container"))
    return set.Misused("only one of -c or an inline [CONTAINER] arg is allowed");
  if (set.args().size() == 2) flags.container = set.args()[1];
  if (flags.all_containers && !flags.container.empty())
    return LocalError("--all-containers=true should not be specified with container name " +
                      flags.container);
  if (flags.since && !flags.since_time.empty())
    return LocalError("at most one of `sinceTime` or `sinceSeconds` may be specified");
  if (!flags.since_time.empty() && !api::ParseTime(flags.since_time).ok())
    return LocalError("parsing time \"" + flags.since_time +
                      "\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"" + flags.since_time +
                      "\" as \"2006\"");
  if (set.Given("tail") && flags.tail < -1)
    return LocalError("tailLines must be greater than or equal to 0");
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  std::vector<JsonValue> pods;
  if (flags.selector.empty()) {
    Result<std::vector<JsonValue>> found = FindPods(*connection, set.args()[0], PodUse::kLogs);
    if (!found.ok()) return NotFoundHere(found.status(), connection->ns());
    pods = *std::move(found);
    flags.prefix = flags.prefix || flags.all_pods;
    if (pods.size() > 1 && !flags.all_pods) {
      std::fprintf(stderr, "Found %zu pods, using pod/%s\n", pods.size(),
                   TextAt(pods[0], "metadata.name").c_str());
      pods.resize(1);
    }
  } else {
    GANTRY_ASSIGN(pods, ListPods(*connection, connection->ns(), flags.selector));
    if (!set.Given("tail")) flags.tail = kTailOfSelector;
    if (pods.empty())
      std::fprintf(stderr, "No resources found in %s namespace.\n", connection->ns().c_str());
  }
  std::vector<Source> sources;
  for (const JsonValue& pod : pods)
    GANTRY_TRY(AddSources(flags, pod, &sources));
  GANTRY_TRY(ShowAll(*connection, flags, std::move(sources)));
  return 0;
}

}  // namespace gantry::cli
