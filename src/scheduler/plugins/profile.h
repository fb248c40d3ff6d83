#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {

// Which rules a profile has, in order, and their settings. Threading: a value.
struct ProfileConfig {
  struct Enabled {
    std::string name;
    int64_t weight = 1;
  };

  // kube-scheduler's defaults.
  ProfileConfig();

  std::string name = "default-scheduler";
  std::vector<Enabled> filters;
  std::vector<Enabled> scores;
  bool preempts = true;  // DefaultPreemption is among the postFilter plug-ins
  Profile::Preemption preemption;
  PluginArgs args;
};

// The names of kube-scheduler's default plug-ins, with their weights, in order. Some of them decide
// nothing here: the queue and the binding are not exchangeable, and volumes bind where their pod
// runs.
std::span<const std::pair<std::string_view, int64_t>> DefaultPlugins();
bool IsPlugin(std::string_view name);
bool IsFilter(std::string_view name);
bool IsScore(std::string_view name);

// `nodes` outlives it.
Profile MakeProfile(const ProfileConfig& config, const NodeTable& nodes);

}  // namespace gantry::scheduler
