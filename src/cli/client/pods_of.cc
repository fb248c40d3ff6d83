#include "cli/client/pods_of.h"

#include <algorithm>
#include <cstdio>

#include "cli/client/connection.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/resources.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

bool Ready(const JsonValue& pod) {
  for (const JsonValue& condition : ItemsAt(pod, "status.conditions")) {
    if (TextAt(condition, "type") == "Ready") return TextAt(condition, "status") == "True";
  }
  return false;
}

// kubectl's order for picking one: placed, running, ready, most restarted, oldest.
int PhaseRank(const JsonValue& pod) {
  const std::string phase = TextAt(pod, "status.phase");
  return phase == "Pending" ? 2 : phase == "Unknown" ? 1 : 0;
}

int64_t MostRestarts(const JsonValue& pod) {
  int64_t most = 0;
  for (const JsonValue& status : ItemsAt(pod, "status.containerStatuses"))
    most = std::max(most, IntAt(status, "restartCount"));
  return most;
}

bool PickedBefore(const JsonValue& a, const JsonValue& b) {
  const bool placed_a = !TextAt(a, "spec.nodeName").empty();
  const bool placed_b = !TextAt(b, "spec.nodeName").empty();
  if (placed_a != placed_b) return placed_a;
  if (PhaseRank(a) != PhaseRank(b)) return PhaseRank(a) < PhaseRank(b);
  if (Ready(a) != Ready(b)) return Ready(a);
  if (MostRestarts(a) != MostRestarts(b)) return MostRestarts(a) > MostRestarts(b);
  return TextAt(a, "metadata.creationTimestamp") < TextAt(b, "metadata.creationTimestamp");
}

}  // namespace

std::string SelectorQuery(const JsonValue& selector) {
  std::vector<std::string> parts;
  const JsonValue* labels = selector.Find("matchLabels");
  const JsonValue* expressions = selector.Find("matchExpressions");
  if (labels == nullptr && expressions == nullptr) labels = &selector;
  if (labels != nullptr && labels->is_object()) {
    for (const auto& [name, value] : labels->as_object())
      parts.push_back(name + "=" + ScalarText(value));
  }
  for (const JsonValue& expression : ItemsAt(selector, "matchExpressions")) {
    const std::string op = TextAt(expression, "operator");
    std::vector<std::string> values;
    for (const JsonValue& value : ItemsAt(expression, "values"))
      values.push_back(ScalarText(value));
    const std::string key = TextAt(expression, "key");
    if (op == "Exists") parts.push_back(key);
    if (op == "DoesNotExist") parts.push_back("!" + key);
    if (op == "In") parts.push_back(key + " in (" + JoinText(values, ",") + ")");
    if (op == "NotIn") parts.push_back(key + " notin (" + JoinText(values, ",") + ")");
  }
  return JoinText(parts, ",");
}

Result<std::vector<JsonValue>> ListPods(Connection& connection, const std::string& ns,
                                        const std::string& selector) {
  std::string target = "/api/v1/namespaces/" + ns + "/pods";
  if (!selector.empty()) target += "?labelSelector=" + client::QueryEscape(selector);
  GANTRY_ASSIGN(const JsonValue list, connection.GetJson(target));
  return ItemsAt(list, "items");
}

Result<std::vector<JsonValue>> FindPods(Connection& connection, const std::string& arg,
                                        PodUse use) {
  const size_t slash = arg.find('/');
  std::string type = slash == std::string::npos ? "pod" : arg.substr(0, slash);
  const std::string name = slash == std::string::npos ? arg : arg.substr(slash + 1);
  if (type == "pod" || type == "pods" || type == "po") {
    GANTRY_ASSIGN(JsonValue pod,
                  connection.GetJson("/api/v1/namespaces/" + connection.ns() + "/pods/" + name));
    return std::vector<JsonValue>{std::move(pod)};
  }
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(connection));
  GANTRY_ASSIGN(const Resource resource, map.Find(type));
  GANTRY_ASSIGN(const JsonValue object, connection.GetJson(resource.Path(connection.ns(), name)));
  const JsonValue* selector = At(object, "spec.selector");
  const std::string query = selector == nullptr ? std::string() : SelectorQuery(*selector);
  if (query.empty()) {
    const std::string text = "selector for *v1." + resource.kind + " not implemented";
    return LocalError((use == PodUse::kLogs ? "cannot get the logs from *v1." + resource.kind
                                            : "cannot attach to *v1." + resource.kind) +
                      ": " + text);
  }
  GANTRY_ASSIGN(std::vector<JsonValue> pods, ListPods(connection, connection.ns(), query));
  if (pods.empty())
    return LocalError("timed out waiting for the condition: " + resource.GroupSingular() + "/" +
                      name + " has no pods");
  std::stable_sort(pods.begin(), pods.end(), PickedBefore);
  return pods;
}

std::string DefaultContainer(const JsonValue& pod) {
  const auto& containers = ItemsAt(pod, "spec.containers");
  const std::string named =
      MemberAt(pod, "metadata.annotations", "kubectl.kubernetes.io/default-container");
  std::vector<std::string> names;
  for (const char* list : {"spec.containers", "spec.initContainers", "spec.ephemeralContainers"}) {
    for (const JsonValue& container : ItemsAt(pod, list)) {
      names.push_back(TextAt(container, "name") +
                      (std::string_view(list) == "spec.initContainers"        ? " (init)"
                       : std::string_view(list) == "spec.ephemeralContainers" ? " (ephem)"
                                                                              : ""));
    }
  }
  if (!named.empty()) return named;
  const std::string first = containers.empty() ? std::string() : TextAt(containers[0], "name");
  if (names.size() > 1) {
    std::fprintf(stderr, "Defaulted container \"%s\" out of: %s\n", first.c_str(),
                 JoinText(names, ", ").c_str());
  }
  return first;
}

}  // namespace gantry::cli
