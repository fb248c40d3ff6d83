#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {

Profile DefaultProfile(const NodeTable& nodes) {
  Profile profile;
  profile.filters.push_back(MakeNodeUnschedulable());
  profile.filters.push_back(MakeNodeName());
  profile.filters.push_back(MakeTaintTolerationFilter());
  profile.filters.push_back(MakeNodeAffinityFilter());
  profile.filters.push_back(MakeNodePorts());
  profile.filters.push_back(MakeNodeResourcesFit());
  profile.scores.push_back(MakeTaintTolerationScore());
  profile.scores.push_back(MakeNodeAffinityScore());
  profile.scores.push_back(MakeLeastAllocated());
  profile.scores.push_back(MakeBalancedAllocation());
  profile.scores.push_back(MakeImageLocality(nodes));
  return profile;
}

}  // namespace gantry::scheduler
