#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <string>
#include <vector>

#include "scheduler/cache/node_table.h"
#include "scheduler/framework/node_aspects.h"

namespace gantry::scheduler {

// Sorts nodes into classes: those of a class are alike in the aspects of their objects that the
// rules for one shape look at, so one of them is asked for all. Threading: the scheduler's strand.
class NodeClasses {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // The table outlives it.
  NodeClasses(const NodeAspects& aspects, NodeTable& nodes);

  // To be called for every slot whose object has changed.
  void Update(size_t slot);
  // As of its last Update; kNone where there was no node.
  uint32_t Of(size_t slot) const { return slot < class_of_.size() ? class_of_[slot] : kNone; }
  // How many classes there are or were; they are numbered below it.
  size_t size() const { return by_code_.size(); }

 private:
  NodeTable& nodes_;
  const bool taints_;
  std::vector<TopologyKeyPtr> labels_, has_labels_;
  const std::set<std::string> names_;
  absl::flat_hash_map<std::vector<int32_t>, uint32_t> by_code_;
  std::vector<uint32_t> class_of_;  // by slot
  std::vector<int32_t> code_;       // of the node that is being looked at
};

}  // namespace gantry::scheduler
