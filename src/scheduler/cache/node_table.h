#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/framework/node_info.h"

namespace gantry::scheduler {

// What the scheduler believes about nodes: what the API server says, plus placements that it has
// decided and not seen confirmed yet. Threading: the scheduler's strand.
class NodeTable {
 public:
  void PutNode(api::Ref<api::core::v1::Node> node);
  void RemoveNode(std::string_view name);

  // A pod that is bound, or (before the API server says so) decided. The second replaces the first.
  void PutPod(PodInfoPtr pod, std::string_view node_name);
  void RemovePod(std::string_view uid);
  bool HasPod(std::string_view uid) const { return placed_.contains(uid); }

  // By slot: a node keeps its slot as long as it is there. Slots of nodes that went have a null
  // `node`.
  const std::vector<NodeInfo>& slots() const { return slots_; }
  const NodeInfo* Find(std::string_view name) const;
  int node_count() const { return node_count_; }
  // How many nodes have the image, for spreading its weight.
  int NodesWithImage(std::string_view image) const;
  uint64_t generation() const { return generation_; }

 private:
  NodeInfo& SlotFor(std::string_view name);
  void Touch(NodeInfo* node) { node->generation = ++generation_; }
  void CountImages(const NodeInfo& node, int change);
  void FreeIfEmpty(NodeInfo* node);

  std::vector<NodeInfo> slots_;
  std::vector<size_t> free_;
  std::map<std::string, size_t, std::less<>> by_name_;
  std::map<std::string, std::string, std::less<>> placed_;  // pod uid -> node name
  std::map<std::string, int, std::less<>> image_nodes_;
  int node_count_ = 0;
  uint64_t generation_ = 0;
};

}  // namespace gantry::scheduler
