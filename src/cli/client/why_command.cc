#include <algorithm>
#include <cstdio>

#include "api/json_value.h"
#include "base/env/real/real_env.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/event_list.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/pods_of.h"
#include "cli/client/resources.h"
#include "cli/client/why.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr CommandHelp kHelp = {
    "why (POD | TYPE/NAME)",
    "Say why a pod is pending, crashing or not ready: the rule, the nodes or containers, and the\n"
    "nearest fix. Of a deployment or another owner of pods: why it has none, or its first pod "
    "that\n"
    "is not well. Of a service: why it has no endpoints.",
    "gantry why web-5d8c7\n"
    "gantry why deploy/web\n"
    "gantry why service/web"};

constexpr int kLogLines = 10;

// What the containers that ended wrote last; what cannot be had is left out.
void FetchLogs(Connection& connection, PodFacts* facts) {
  for (const char* list : {"status.initContainerStatuses", "status.containerStatuses"}) {
    for (const JsonValue& status : ItemsAt(facts->pod, list)) {
      const bool ended_now = At(status, "state.terminated") != nullptr;
      if (!ended_now && At(status, "lastState.terminated") == nullptr) continue;
      const std::string container = TextAt(status, "name");
      const std::string target =
          "/api/v1/namespaces/" + TextAt(facts->pod, "metadata.namespace") + "/pods/" +
          TextAt(facts->pod, "metadata.name") + "/log?container=" + client::QueryEscape(container) +
          "&tailLines=" + std::to_string(kLogLines) + (ended_now ? "" : "&previous=true");
      Result<std::string> log = connection.Call(client::HttpRequest("GET", target));
      if (log.ok()) facts->last_logs[container] = std::move(*log);
    }
  }
}

Result<PodFacts> FetchFacts(Connection& connection, JsonValue pod) {
  PodFacts facts;
  facts.pod = std::move(pod);
  facts.now = connection.env().Now();
  GANTRY_ASSIGN(facts.events,
                EventsOf(connection, TextAt(facts.pod, "metadata.namespace"), "Pod",
                         TextAt(facts.pod, "metadata.name"), TextAt(facts.pod, "metadata.uid")));
  // Who may not read nodes still learns what the pod itself says.
  Result<JsonValue> nodes = connection.GetJson("/api/v1/nodes");
  if (nodes.ok()) facts.nodes = ItemsAt(*nodes, "items");
  if (TextAt(facts.pod, "spec.nodeName").empty()) {
    Result<JsonValue> pods = connection.GetJson("/api/v1/pods");
    if (pods.ok()) facts.pods = ItemsAt(*pods, "items");
  }
  FetchLogs(connection, &facts);
  return facts;
}

// The events of a workload and of the ReplicaSets that it owns.
Result<std::vector<JsonValue>> WorkloadEvents(Connection& connection, const JsonValue& workload) {
  const std::string ns = TextAt(workload, "metadata.namespace");
  const std::string uid = TextAt(workload, "metadata.uid");
  GANTRY_ASSIGN(std::vector<JsonValue> events, EventsOf(connection, ns, TextAt(workload, "kind"),
                                                        TextAt(workload, "metadata.name"), uid));
  if (TextAt(workload, "kind") != "Deployment") return events;
  GANTRY_ASSIGN(const JsonValue sets,
                connection.GetJson("/apis/apps/v1/namespaces/" + ns + "/replicasets"));
  for (const JsonValue& set : ItemsAt(sets, "items")) {
    for (const JsonValue& owner : ItemsAt(set, "metadata.ownerReferences")) {
      if (TextAt(owner, "uid") != uid) continue;
      GANTRY_ASSIGN(const std::vector<JsonValue> more,
                    EventsOf(connection, ns, "ReplicaSet", TextAt(set, "metadata.name")));
      events.insert(events.end(), more.begin(), more.end());
    }
  }
  SortEvents(&events);
  return events;
}

Status ExplainPod(Connection& connection, JsonValue pod) {
  GANTRY_ASSIGN(const PodFacts facts, FetchFacts(connection, std::move(pod)));
  std::fputs(FormatFindings(PodHeadline(facts), FindPodProblems(facts)).c_str(), stdout);
  return Status::Ok();
}

bool IsFine(const JsonValue& pod) {
  for (const JsonValue& condition : ItemsAt(pod, "status.conditions")) {
    if (TextAt(condition, "type") == "Ready") return TextAt(condition, "status") == "True";
  }
  return false;
}

// First why it makes no pods, then the first of its pods that is not well.
Status ExplainWorkload(Connection& connection, const Target& target) {
  const std::string shown = target.resource.GroupSingular() + "/" + target.name;
  GANTRY_ASSIGN(const JsonValue workload,
                connection.GetJson(target.resource.Path(connection.ns(), target.name)));
  GANTRY_ASSIGN(const std::vector<JsonValue> events, WorkloadEvents(connection, workload));
  const JsonValue* selector = At(workload, "spec.selector");
  const std::string query = selector == nullptr ? std::string() : SelectorQuery(*selector);
  std::vector<JsonValue> pods;
  if (!query.empty()) {
    GANTRY_ASSIGN(pods, ListPods(connection, connection.ns(), query));
  }
  const auto unwell =
      std::count_if(pods.begin(), pods.end(), [](const JsonValue& pod) { return !IsFine(pod); });
  // Old failures do not matter when all the pods that are wanted are there.
  std::vector<Finding> findings;
  if (static_cast<int64_t>(pods.size()) < IntAt(workload, "spec.replicas", 1) || pods.empty())
    findings = FindWorkloadProblems(workload, events);
  const std::string headline = shown + " has " + std::to_string(pods.size()) + " pods, " +
                               std::to_string(unwell) + " of them not ready";
  if (!findings.empty() || unwell == 0) {
    std::fputs(FormatFindings(headline, findings).c_str(), stdout);
  } else {
    std::printf("%s; the first of these:\n\n", headline.c_str());
  }
  for (JsonValue& pod : pods) {
    if (IsFine(pod)) continue;
    if (!findings.empty()) std::fputc('\n', stdout);
    return ExplainPod(connection, std::move(pod));
  }
  return Status::Ok();
}

}  // namespace

Result<int> RunWhy(Invocation call) {
  FlagSet set(kHelp, &call.globals);
  GANTRY_TRY(set.Parse(call.args));
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(*connection));
  GANTRY_ASSIGN(const Target target, ParseTarget(map, set.args(), "pods"));
  if (target.resource.plural == "pods") {
    GANTRY_ASSIGN(JsonValue pod,
                  connection->GetJson(target.resource.Path(connection->ns(), target.name)));
    GANTRY_TRY(ExplainPod(*connection, std::move(pod)));
  } else {
    GANTRY_TRY(ExplainWorkload(*connection, target));
  }
  return 0;
}

}  // namespace gantry::cli
