#include "scheduler/plugins/profile.h"

#include <algorithm>
#include <array>
#include <map>

namespace gantry::scheduler {
namespace {

constexpr std::array<std::pair<std::string_view, int64_t>, 18> kDefaults = {{
    {"SchedulingGates", 0},
    {"PrioritySort", 0},
    {"NodeUnschedulable", 0},
    {"NodeName", 0},
    {"TaintToleration", 3},
    {"NodeAffinity", 2},
    {"NodePorts", 0},
    {"NodeResourcesFit", 1},
    {"VolumeRestrictions", 0},
    {"NodeVolumeLimits", 0},
    {"VolumeBinding", 0},
    {"VolumeZone", 0},
    {"PodTopologySpread", 2},
    {"InterPodAffinity", 2},
    {"DefaultPreemption", 0},
    {"NodeResourcesBalancedAllocation", 1},
    {"ImageLocality", 1},
    {"DefaultBinder", 0},
}};

constexpr std::array<std::string_view, 8> kFilters = {
    "NodeUnschedulable", "NodeName",         "TaintToleration",   "NodeAffinity",
    "NodePorts",         "NodeResourcesFit", "PodTopologySpread", "InterPodAffinity"};
constexpr std::array<std::string_view, 7> kScores = {
    "TaintToleration",   "NodeAffinity",     "NodeResourcesFit",
    "PodTopologySpread", "InterPodAffinity", "NodeResourcesBalancedAllocation",
    "ImageLocality"};

template <class List>
bool Contains(const List& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

std::shared_ptr<const Plugin> MakePlugin(std::string_view name, const PluginArgs& args,
                                         const NodeTable& nodes) {
  if (name == "NodeUnschedulable") return MakeNodeUnschedulable();
  if (name == "NodeName") return MakeNodeName();
  if (name == "TaintToleration") return MakeTaintToleration();
  if (name == "NodeAffinity") return MakeNodeAffinity(args.node_affinity);
  if (name == "NodePorts") return MakeNodePorts();
  if (name == "NodeResourcesFit") return MakeNodeResourcesFit(args.fit);
  if (name == "NodeResourcesBalancedAllocation") return MakeBalancedAllocation(args.balanced);
  if (name == "ImageLocality") return MakeImageLocality(nodes);
  if (name == "PodTopologySpread") return MakePodTopologySpread(args.spread);
  if (name == "InterPodAffinity") return MakeInterPodAffinity(args.inter_pod_affinity);
  return nullptr;
}

}  // namespace

std::span<const std::pair<std::string_view, int64_t>> DefaultPlugins() { return kDefaults; }
bool IsPlugin(std::string_view name) {
  return std::any_of(kDefaults.begin(), kDefaults.end(),
                     [&](const auto& entry) { return entry.first == name; });
}
bool IsFilter(std::string_view name) { return Contains(kFilters, name); }
bool IsScore(std::string_view name) { return Contains(kScores, name); }

ProfileConfig::ProfileConfig() {
  for (const auto& [plugin, weight] : kDefaults) {
    if (IsFilter(plugin)) filters.push_back({std::string(plugin), 1});
    if (IsScore(plugin)) scores.push_back({std::string(plugin), weight});
  }
}

Profile MakeProfile(const ProfileConfig& config, const NodeTable& nodes) {
  std::map<std::string, std::shared_ptr<const Plugin>> plugins;
  auto plugin = [&](const std::string& name) {
    auto& made = plugins[name];
    if (!made) made = MakePlugin(name, config.args, nodes);
    return made;
  };
  Profile profile;
  profile.name = config.name;
  profile.preemption.reset();
  if (config.preempts) profile.preemption = config.preemption;
  for (const auto& enabled : config.filters) {
    const auto made = plugin(enabled.name);
    if (auto filter = std::dynamic_pointer_cast<const FilterPlugin>(made))
      profile.filters.push_back(filter);
    if (auto filter = std::dynamic_pointer_cast<const PlacePlugin>(made))
      profile.place_filters.push_back(filter);
  }
  for (const auto& enabled : config.scores) {
    const auto made = plugin(enabled.name);
    if (auto score = std::dynamic_pointer_cast<const ScorePlugin>(made))
      profile.scores.push_back({score, enabled.weight});
    if (auto score = std::dynamic_pointer_cast<const PlacePlugin>(made))
      profile.place_scores.push_back({score, enabled.weight});
  }
  return profile;
}

}  // namespace gantry::scheduler
