#pragma once

#include <map>
#include <string>
#include <vector>

#include "scheduler/framework/plugin.h"

namespace gantry::scheduler {

// "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable."
std::string SummaryOf(int nodes, const std::map<std::string, int>& reasons);

// Why a pod fits nowhere: how many nodes gave each reason, and the rules that gave them.
struct Explanation {
  int nodes = 0;
  std::map<std::string, int> reasons;
  std::vector<const Plugin*> rules;
  // Why removing pods of lower priority would not help either; empty where it would.
  std::string preemption;

  // "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable. preemption: ..."
  std::string Message() const;
};

}  // namespace gantry::scheduler
