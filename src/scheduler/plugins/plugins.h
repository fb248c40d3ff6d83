#pragma once

#include "scheduler/framework/plugin.h"

namespace gantry::scheduler {

// The rules, each in a file of its own. Names are those of kube-scheduler's plug-ins.
std::unique_ptr<FilterPlugin> MakeNodeUnschedulable();
std::unique_ptr<FilterPlugin> MakeNodeName();
std::unique_ptr<FilterPlugin> MakeTaintTolerationFilter();
std::unique_ptr<FilterPlugin> MakeNodeAffinityFilter();
std::unique_ptr<FilterPlugin> MakeNodePorts();
std::unique_ptr<FilterPlugin> MakeNodeResourcesFit();

std::unique_ptr<ScorePlugin> MakeTaintTolerationScore();
std::unique_ptr<ScorePlugin> MakeNodeAffinityScore();
std::unique_ptr<ScorePlugin> MakeLeastAllocated();
std::unique_ptr<ScorePlugin> MakeBalancedAllocation();
std::unique_ptr<ScorePlugin> MakeImageLocality(const NodeTable& nodes);

// kube-scheduler's default profile, as far as its rules are here. `nodes` outlives it.
Profile DefaultProfile(const NodeTable& nodes);

}  // namespace gantry::scheduler
