#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/framework/cluster_event.h"
#include "scheduler/framework/place_rule.h"

namespace gantry::scheduler {

class ClusterFacts;
class NodeTable;

// A rule of the scheduler, under the name that kube-scheduler gives it. It may filter nodes, score
// them, or both, by what is on the node itself (the calls with a NodeInfo) or by what is at the
// places that the node belongs to (the rules that it makes). Plug-ins are stateless, synchronous
// code; they see the framework, the API and the facts about the cluster only. Threading: called on
// the scheduler's strand.
class Plugin {
 public:
  virtual ~Plugin() = default;
  virtual std::string_view name() const = 0;

  // ClusterEvent kinds after which a pod that this rule turned away may pass.
  virtual uint32_t WakesOn() const { return 0; }
  // Whether this very event, of one of these kinds, may help the pod.
  virtual bool MayHelp(const PodInfo& pod, const ClusterEvent& event,
                       const ClusterFacts& facts) const {
    return true;
  }
};

// A rule that a node must pass, by what is on the node.
class FilterPlugin : public virtual Plugin {
 public:
  // False: this pod passes on every node, and Filter is not called.
  virtual bool Filters(const PodInfo& pod) const { return true; }
  // All the reasons for which the node is turned away; none when it passes.
  virtual std::vector<Rejection> Filter(const PodInfo& pod, const NodeInfo& node) const = 0;
};

// A preference by what is on the node.
class ScorePlugin : public virtual Plugin {
 public:
  static constexpr int64_t kMaxScore = 100;

  // False: all nodes are equal for this pod.
  virtual bool Scores(const PodInfo& pod) const { return true; }
  // Larger is better. [0, kMaxScore], or any range with `normalize` set.
  virtual int64_t Score(const PodInfo& pod, const NodeInfo& node) const = 0;
  // A number that changes whenever something other than the node changes what Score says.
  virtual uint64_t ScoreBasis(const PodInfo& pod) const { return 0; }
  // How raw scores become [0, kMaxScore]: kLargest scales by the largest, kReverse turns that
  // around.
  enum class Normalize : uint8_t { kNone, kLargest, kReverse };
  virtual Normalize normalize() const { return Normalize::kNone; }
};

// A rule by what is at the node's places. `facts` outlives what is made.
class PlacePlugin : public virtual Plugin {
 public:
  // Null when there is nothing to ask for this pod.
  virtual std::unique_ptr<PlaceFilter> MakeFilter(const PodInfo& pod,
                                                  const ClusterFacts& facts) const = 0;
  virtual std::unique_ptr<PlaceScore> MakeScore(const PodInfo& pod,
                                                const ClusterFacts& facts) const = 0;
};

// The rules of one profile in the order in which they are asked.
struct Profile {
  template <class P>
  struct Weighted {
    std::shared_ptr<const P> plugin;
    int64_t weight = 1;
  };

  std::string name = "default-scheduler";
  std::vector<std::shared_ptr<const FilterPlugin>> filters;
  std::vector<std::shared_ptr<const PlacePlugin>> place_filters;
  std::vector<Weighted<ScorePlugin>> scores;
  std::vector<Weighted<PlacePlugin>> place_scores;

  // DefaultPreemption; null where it is disabled.
  struct Preemption {
    int min_candidate_nodes_percentage = 10;
    int min_candidate_nodes_absolute = 100;
  };
  std::optional<Preemption> preemption = Preemption();
};

}  // namespace gantry::scheduler
