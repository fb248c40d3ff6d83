#include "controllers/node/zones.h"

#include <algorithm>
#include <utility>

namespace gantry::controllers {
namespace {

using api::core::v1::Node;

bool IsReadyNode(const Node& node) {
  const auto& conditions = node.status().conditions();
  return std::any_of(conditions.begin(), conditions.end(), [](const auto& condition) {
    return condition.type() == "Ready" && condition.status() == "True";
  });
}

std::string LabelOf(const Node& node, const char* key) {
  auto it = node.metadata().labels().find(key);
  return it == node.metadata().labels().end() ? "" : it->second;
}

Duration IntervalOf(double per_second) {
  if (per_second <= 0) return Duration::max();
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(1 / per_second));
}

}  // namespace

std::string ZoneOf(const Node& node) {
  const std::string region = LabelOf(node, "topology.kubernetes.io/region");
  const std::string zone = LabelOf(node, "topology.kubernetes.io/zone");
  return region.empty() && zone.empty() ? "" : region + '\n' + zone;
}

std::map<std::string, Zone> JudgeZones(const std::vector<api::Ref<Node>>& nodes,
                                       const EvictionRates& rates) {
  std::map<std::string, std::pair<int, int>> counts;  // all, not ready
  for (const api::Ref<Node>& node : nodes) {
    auto& [all, not_ready] = counts[ZoneOf(*node)];
    ++all;
    if (!IsReadyNode(*node)) ++not_ready;
  }
  std::map<std::string, Zone> zones;
  for (const auto& [name, count] : counts) {
    const auto& [all, not_ready] = count;
    Zone& zone = zones[name];
    double rate = rates.nodes_per_second;
    if (all == not_ready) {
      zone.state = ZoneState::kFullDisruption;
    } else if (not_ready > 2 && not_ready >= rates.unhealthy_share * all) {
      zone.state = ZoneState::kPartialDisruption;
      rate = all > rates.small_zone ? rates.nodes_per_second_when_unhealthy : 0;
    }
    zone.interval = IntervalOf(rate);
  }
  return zones;
}

bool AllDisrupted(const std::map<std::string, Zone>& zones) {
  return std::all_of(zones.begin(), zones.end(), [](const auto& entry) {
    return entry.second.state == ZoneState::kFullDisruption;
  });
}

}  // namespace gantry::controllers
