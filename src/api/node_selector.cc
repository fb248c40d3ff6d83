#include "api/node_selector.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace gantry::api {
namespace {

using core::v1::Node;
using core::v1::NodeSelectorRequirement;

std::optional<int64_t> ToInteger(const std::string& text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool MatchesRequirement(const NodeSelectorRequirement& requirement, const std::string* value) {
  const std::string& op = requirement.operator_();
  const auto& values = requirement.values();
  const bool listed = value && std::find(values.begin(), values.end(), *value) != values.end();
  if (op == "In") return listed;
  if (op == "NotIn") return !listed;
  if (op == "Exists") return value != nullptr;
  if (op == "DoesNotExist") return value == nullptr;
  if ((op == "Gt" || op == "Lt") && value && values.size() == 1) {
    const std::optional<int64_t> has = ToInteger(*value), bound = ToInteger(values[0]);
    return has && bound && (op == "Gt" ? *has > *bound : *has < *bound);
  }
  return false;
}

}  // namespace

bool MatchesTerm(const core::v1::NodeSelectorTerm& term, const Node& node) {
  if (term.match_expressions().empty() && term.match_fields().empty()) return false;
  for (const NodeSelectorRequirement& requirement : term.match_expressions()) {
    auto it = node.metadata().labels().find(requirement.key());
    if (!MatchesRequirement(requirement,
                            it == node.metadata().labels().end() ? nullptr : &it->second))
      return false;
  }
  for (const NodeSelectorRequirement& requirement : term.match_fields()) {
    if (requirement.key() != "metadata.name") return false;
    if (!MatchesRequirement(requirement, &node.metadata().name())) return false;
  }
  return true;
}

bool Matches(const core::v1::NodeSelector& selector, const Node& node) {
  return std::any_of(selector.node_selector_terms().begin(), selector.node_selector_terms().end(),
                     [&](const auto& term) { return MatchesTerm(term, node); });
}

bool MatchesPodPlacement(const core::v1::PodSpec& pod, const Node& node) {
  for (const auto& [key, value] : pod.node_selector()) {
    auto it = node.metadata().labels().find(key);
    if (it == node.metadata().labels().end() || it->second != value) return false;
  }
  const auto& affinity = pod.affinity().node_affinity();
  return !affinity.has_required_during_scheduling_ignored_during_execution() ||
         Matches(affinity.required_during_scheduling_ignored_during_execution(), node);
}

}  // namespace gantry::api
