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
    Result<JsonValue> namespaces = connection.GetJson("/api/v1/namespaces");
    if (namespaces.ok()) facts.namespaces = ItemsAt(*namespaces, "items");
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

// Commands name the namespace when the line did.
void Show(const Invocation& call, const std::string& text) {
  std::fputs(WithNamespace(text, call.globals.ns).c_str(), stdout);
}

bool IsFine(const JsonValue& pod) {
  if (TextAt(pod, "status.phase") == "Succeeded") return true;
  for (const JsonValue& condition : ItemsAt(pod, "status.conditions")) {
    if (TextAt(condition, "type") == "Ready") return TextAt(condition, "status") == "True";
  }
  return false;
}

Status ExplainPod(Connection& connection, const Invocation& call, JsonValue pod) {
  GANTRY_ASSIGN(const PodFacts facts, FetchFacts(connection, std::move(pod)));
  Show(call, FormatFindings(PodHeadline(facts), FindPodProblems(facts),
                            "gantry describe pod " + TextAt(facts.pod, "metadata.name")));
  return Status::Ok();
}

// The first pod that is not well; nothing when all are.
Status ExplainFirst(Connection& connection, const Invocation& call, std::vector<JsonValue> pods) {
  for (JsonValue& pod : pods) {
    if (IsFine(pod)) continue;
    std::fputc('\n', stdout);
    return ExplainPod(connection, call, std::move(pod));
  }
  return Status::Ok();
}

std::string CountText(size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

// First why it makes no pods, then the first of its pods that is not well.
Status ExplainWorkload(Connection& connection, const Invocation& call, const std::string& shown,
                       const JsonValue& workload) {
  GANTRY_ASSIGN(const std::vector<JsonValue> events, WorkloadEvents(connection, workload));
  GANTRY_ASSIGN(
      std::vector<JsonValue> pods,
      ListPods(connection, connection.ns(), SelectorQuery(*At(workload, "spec.selector"))));
  const auto unwell =
      std::count_if(pods.begin(), pods.end(), [](const JsonValue& pod) { return !IsFine(pod); });
  // Old failures do not matter when all the pods that are wanted are there.
  std::vector<Finding> findings;
  if (static_cast<int64_t>(pods.size()) < IntAt(workload, "spec.replicas", 1) || pods.empty() ||
      unwell > 0)
    findings = FindWorkloadProblems(workload, events);
  std::string headline = shown + " has " + CountText(pods.size(), "pod");
  if (!pods.empty())
    headline += unwell == 0 ? ", ready" : ", " + std::to_string(unwell) + " not ready";
  if (findings.empty() && unwell > 0)
    Show(call, headline + "; the first of these:\n");
  else
    Show(call, FormatFindings(headline, findings, "gantry describe " + shown));
  return ExplainFirst(connection, call, std::move(pods));
}

Status ExplainService(Connection& connection, const Invocation& call, const std::string& shown,
                      const JsonValue& service) {
  const std::string ns = TextAt(service, "metadata.namespace");
  GANTRY_ASSIGN(std::vector<JsonValue> pods, ListPods(connection, ns, ""));
  GANTRY_ASSIGN(
      const JsonValue slices,
      connection.GetJson(
          "/apis/discovery.k8s.io/v1/namespaces/" + ns + "/endpointslices?labelSelector=" +
          client::QueryEscape("kubernetes.io/service-name=" + TextAt(service, "metadata.name"))));
  size_t endpoints = 0;
  for (const JsonValue& slice : ItemsAt(slices, "items")) {
    for (const JsonValue& endpoint : ItemsAt(slice, "endpoints")) {
      if (BoolAt(endpoint, "conditions.ready") && !ItemsAt(slice, "ports").empty()) ++endpoints;
    }
  }
  std::vector<Finding> findings = FindServiceProblems(service, pods, ItemsAt(slices, "items"));
  // Not everybody who may read services may read policies.
  const Result<JsonValue> policies =
      connection.GetJson("/apis/networking.k8s.io/v1/namespaces/" + ns + "/networkpolicies");
  if (policies.ok()) {
    for (Finding& finding : FindPolicyProblems(service, pods, ItemsAt(*policies, "items")))
      findings.push_back(std::move(finding));
  }
  Show(call, FormatFindings(shown + " has " + CountText(endpoints, "endpoint"), findings,
                            "gantry describe " + shown));
  return Status::Ok();
}

Status Explain(Connection& connection, const Invocation& call, const Resource& resource,
               JsonValue object) {
  object["apiVersion"] = resource.ApiVersion();
  object["kind"] = resource.kind;
  const std::string name = TextAt(object, "metadata.name");
  const std::string shown = resource.singular + "/" + name;
  if (resource.kind == "Pod") return ExplainPod(connection, call, std::move(object));
  if (resource.kind == "Service") return ExplainService(connection, call, shown, object);
  if (At(object, "spec.selector") != nullptr && At(object, "spec.template") != nullptr)
    return ExplainWorkload(connection, call, shown, object);
  GANTRY_ASSIGN(const std::vector<JsonValue> events,
                EventsOf(connection, TextAt(object, "metadata.namespace"), resource.kind, name));
  Show(call, FormatFindings(shown, FindOtherProblems(object, events, connection.env().Now()),
                            "gantry describe " + shown));
  return Status::Ok();
}

// A name alone is a pod's, or else that of what makes pods or finds them.
Result<int> ExplainName(Connection& connection, const Invocation& call, const ResourceMap& map,
                        const std::string& name) {
  Status first;
  for (const char* type : {"pods", "deployments.apps", "statefulsets.apps", "daemonsets.apps",
                           "jobs.batch", "services"}) {
    Result<Resource> resource = map.Find(type);
    if (!resource.ok()) continue;
    Result<JsonValue> object = connection.GetJson(resource->Path(connection.ns(), name));
    if (object.ok()) {
      GANTRY_TRY(Explain(connection, call, *resource, std::move(*object)));
      return 0;
    }
    if (first.ok()) first = object.status();
    if (object.status().code() != Code::kNotFound) break;
  }
  return first;
}

}  // namespace

Result<int> RunWhy(Invocation call) {
  FlagSet set(kHelp, &call.globals);
  GANTRY_TRY(set.Parse(call.args));
  if (set.args().empty()) return set.Misused("POD or TYPE/NAME is a required argument");
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(*connection));
  if (set.args().size() == 1 && set.args()[0].find('/') == std::string::npos)
    return ExplainName(*connection, call, map, set.args()[0]);
  GANTRY_ASSIGN(const Target target, ParseTarget(map, set.args(), "pods"));
  GANTRY_ASSIGN(JsonValue object,
                connection->GetJson(target.resource.Path(connection->ns(), target.name)));
  GANTRY_TRY(Explain(*connection, call, target.resource, std::move(object)));
  return 0;
}

}  // namespace gantry::cli
