#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "scheduler/cache/node_table.h"
#include "scheduler/framework/plugin.h"

namespace gantry::scheduler {

// Why a pod fits nowhere: how many nodes gave each reason, and which.
struct Explanation {
  int nodes = 0;
  std::map<std::string, int> reasons;
  std::map<std::string, std::vector<std::string>> nodes_by_reason;
  std::map<std::string, int> plugins;  // by the name of the filter that said no
  uint32_t wakes_on = 0;               // ClusterChanges that may help
  // Why removing pods of lower priority would not help either; empty where it would.
  std::string preemption;

  // "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable. preemption: ..."
  std::string Message() const;
};

// What the rules of a profile say of one pod on every node. Kept from pod to pod for pods with the
// same signature: then only nodes that changed since are asked again. Threading: the scheduler's
// strand.
class Evaluation {
 public:
  Evaluation(const Profile& profile, const NodeTable& nodes) : profile_(profile), nodes_(nodes) {}

  // Brings the answers up to date for this pod.
  void Refresh(const PodInfo& pod);

  // The best node; null when none passed. Among equals the `tie`-th (a random number) is taken.
  const NodeInfo* Best(uint64_t tie);

  // Asks all the nodes that were turned away for all their reasons.
  Explanation Explain(const PodInfo& pod) const;

 private:
  struct Answer {
    uint64_t generation = 0;
    bool passed = false;
  };
  void Ask(const PodInfo& pod, size_t slot);
  // The reasons of the first rule that turns the node away, and which it is.
  std::vector<Rejection> FirstRejections(const PodInfo& pod, const NodeInfo& node,
                                         const FilterPlugin** rule) const;

  const Profile& profile_;
  const NodeTable& nodes_;
  std::string signature_;
  uint64_t seen_generation_ = 0;
  std::vector<const FilterPlugin*> filters_;  // those that apply
  std::vector<std::unique_ptr<PluginState>> filter_states_;
  std::vector<const ScorePlugin*> scores_;
  std::vector<std::unique_ptr<PluginState>> score_states_;
  std::vector<Answer> answers_;      // by slot
  std::vector<int64_t> raw_scores_;  // slot * scores_.size() + score
};

}  // namespace gantry::scheduler
