#include <algorithm>
#include <map>

#include "cli/client/fields.h"
#include "cli/client/why.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

using Labels = std::map<std::string, std::string>;

Labels LabelsAt(const JsonValue& object, std::string_view path) {
  Labels out;
  if (const JsonValue* map = At(object, path); map != nullptr && map->is_object()) {
    for (const auto& [name, value] : map->as_object())
      out[name] = ScalarText(value);
  }
  return out;
}

std::string Joined(const Labels& labels) {
  std::string text;
  for (const auto& [name, value] : labels)
    text += (text.empty() ? "" : ",") + name + "=" + value;
  return text;
}

bool Matches(const Labels& wanted, const Labels& labels) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& pair) {
    const auto found = labels.find(pair.first);
    return found != labels.end() && found->second == pair.second;
  });
}

bool IsReady(const JsonValue& pod) {
  for (const JsonValue& condition : ItemsAt(pod, "status.conditions")) {
    if (TextAt(condition, "type") == "Ready") return TextAt(condition, "status") == "True";
  }
  return false;
}

bool HasPort(const JsonValue& pod, const std::string& name) {
  for (const JsonValue& container : ItemsAt(pod, "spec.containers")) {
    for (const JsonValue& port : ItemsAt(container, "ports")) {
      if (TextAt(port, "name") == name) return true;
    }
  }
  return false;
}

// The values that pods have for the labels that are asked for.
Finding OfNoPods(const JsonValue& service, const Labels& wanted,
                 const std::vector<JsonValue>& pods) {
  Finding finding;
  const std::string ns = TextAt(service, "metadata.namespace");
  finding.rule = "no pod in namespace " + ns + " has the labels that it selects: " + Joined(wanted);
  for (const auto& [name, value] : wanted) {
    std::map<std::string, int> others;
    for (const JsonValue& pod : pods) {
      const Labels labels = LabelsAt(pod, "metadata.labels");
      if (const auto found = labels.find(name); found != labels.end()) ++others[found->second];
    }
    for (const auto& [other, count] : others)
      finding.details.push_back("pods with " + name + "=" + other + ": " + std::to_string(count));
  }
  finding.fixes.push_back(
      "correct spec.selector, or the labels of the pods: gantry get pods "
      "--show-labels");
  return finding;
}

}  // namespace

std::vector<Finding> FindServiceProblems(const JsonValue& service,
                                         const std::vector<JsonValue>& pods,
                                         const std::vector<JsonValue>& slices) {
  const std::string name = TextAt(service, "metadata.name");
  if (TextAt(service, "spec.type") == "ExternalName") return {};
  const Labels wanted = LabelsAt(service, "spec.selector");
  if (wanted.empty()) {
    const bool any = std::any_of(slices.begin(), slices.end(), [](const JsonValue& slice) {
      return !ItemsAt(slice, "endpoints").empty();
    });
    if (any) return {};
    return {{"it selects no pods, and nobody has given it endpoints",
             {},
             {"set spec.selector, or make an EndpointSlice with the label "
              "kubernetes.io/service-name=" +
              name}}};
  }
  std::vector<const JsonValue*> selected;
  for (const JsonValue& pod : pods) {
    if (Matches(wanted, LabelsAt(pod, "metadata.labels"))) selected.push_back(&pod);
  }
  if (selected.empty()) return {OfNoPods(service, wanted, pods)};
  std::vector<Finding> out;
  const auto ready = std::count_if(selected.begin(), selected.end(),
                                   [](const JsonValue* pod) { return IsReady(*pod); });
  if (ready < static_cast<ptrdiff_t>(selected.size()) &&
      !BoolAt(service, "spec.publishNotReadyAddresses")) {
    Finding finding;
    finding.rule = std::to_string(selected.size() - static_cast<size_t>(ready)) + " of its " +
                   std::to_string(selected.size()) + " pods are not ready, and get no traffic";
    for (const JsonValue* pod : selected) {
      if (IsReady(*pod)) continue;
      const std::string pod_name = TextAt(*pod, "metadata.name");
      finding.details.push_back("pod " + pod_name + " is " + TextAt(*pod, "status.phase"));
      if (finding.fixes.empty()) finding.fixes.push_back("see why: gantry why " + pod_name);
    }
    out.push_back(std::move(finding));
  }
  for (const JsonValue& port : ItemsAt(service, "spec.ports")) {
    const JsonValue* target = port.Find("targetPort");
    if (target == nullptr || !target->is_string()) continue;
    const std::string wanted_name = target->as_string();
    const bool known = std::any_of(selected.begin(), selected.end(), [&](const JsonValue* pod) {
      return HasPort(*pod, wanted_name);
    });
    if (known) continue;
    out.push_back({"none of its pods has a port with the name \"" + wanted_name + "\"",
                   {"spec.ports of the service: port " + TextAt(port, "port") + " has targetPort " +
                    wanted_name},
                   {"give the containers' port that name, or set targetPort to its number"}});
  }
  return out;
}

}  // namespace gantry::cli
