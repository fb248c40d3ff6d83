#pragma once

#include <map>
#include <string>
#include <vector>

#include "scheduler/cache/cluster_facts.h"
#include "scheduler/framework/pod_info.h"

namespace gantry::scheduler {

// How many pods budgets let go, counting down while some are chosen. Threading: one at a time.
class DisruptionBudgets {
 public:
  explicit DisruptionBudgets(const ClusterFacts& facts) : facts_(facts) {}

  // Counts the pod as going; true when a budget that it belongs to does not allow that.
  bool Forbid(const PodInfo& pod);

 private:
  struct Left {
    ClusterFacts::Budget budget;
    api::Selector selector;
    int64_t allowed = 0;
  };
  std::vector<Left>& LeftIn(const std::string& ns);

  const ClusterFacts& facts_;
  std::map<std::string, std::vector<Left>> by_namespace_;
};

}  // namespace gantry::scheduler
