#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "scheduler/framework/node_info.h"

namespace gantry::scheduler {

class NodeTable;

// Why a node was turned away, as the user reads it behind a count: "Insufficient cpu".
struct Rejection {
  std::string reason;
  // No pod that could be removed from the node would help.
  bool unresolvable = false;
};

// What happens to a cluster that may let a rule pass which said no, as bits.
enum ClusterChange : uint32_t {
  kNodeAdded = 1,
  kNodeAllocatable = 2,
  kNodeLabels = 4,
  kNodeTaints = 8,  // and spec.unschedulable
  kPodGone = 16,    // or asks for less
};

// What a plug-in works out once for a pod and hands to its own calls for each node.
class PluginState {
 public:
  virtual ~PluginState() = default;
};

// A rule that a node must pass. Plug-ins are stateless, synchronous code; they see the framework
// and the API only. Threading: called on the scheduler's strand.
class FilterPlugin {
 public:
  virtual ~FilterPlugin() = default;
  virtual std::string_view name() const = 0;

  // Once for each pod; null when the plug-in needs nothing of its own.
  virtual std::unique_ptr<PluginState> Prepare(const PodInfo& pod, const NodeTable& nodes) const {
    return nullptr;
  }
  // False: this pod passes on every node, and Filter is not called.
  virtual bool Applies(const PodInfo& pod, const PluginState* state) const { return true; }
  // All the reasons for which the node is turned away; none when it passes.
  virtual std::vector<Rejection> Filter(const PodInfo& pod, const PluginState* state,
                                        const NodeInfo& node) const = 0;
  // The changes after which a pod that this rule turned away is worth another try.
  virtual uint32_t WakesOn() const = 0;
  // True when the answer for one node depends on other nodes, so that nothing may be kept from pod
  // to pod.
  virtual bool DependsOnOtherNodes() const { return false; }
};

// A preference among the nodes that passed.
class ScorePlugin {
 public:
  static constexpr int64_t kMaxScore = 100;

  virtual ~ScorePlugin() = default;
  virtual std::string_view name() const = 0;
  virtual int weight() const { return 1; }
  virtual std::unique_ptr<PluginState> Prepare(const PodInfo& pod, const NodeTable& nodes) const {
    return nullptr;
  }
  // False: all nodes are equal for this pod.
  virtual bool Applies(const PodInfo& pod) const { return true; }
  // Larger is better. [0, kMaxScore], or any range with `normalize` set.
  virtual int64_t Score(const PodInfo& pod, const PluginState* state,
                        const NodeInfo& node) const = 0;
  // How raw scores become [0, kMaxScore]: kLargest scales by the largest, kReverse turns that
  // around.
  enum class Normalize : uint8_t { kNone, kLargest, kReverse };
  virtual Normalize normalize() const { return Normalize::kNone; }
};

// The rules of one profile in the order in which they are asked.
struct Profile {
  std::string name = "default-scheduler";
  std::vector<std::unique_ptr<FilterPlugin>> filters;
  std::vector<std::unique_ptr<ScorePlugin>> scores;
};

}  // namespace gantry::scheduler
