#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "scheduler/cache/topology.h"
#include "scheduler/framework/node_info.h"

namespace gantry::scheduler {

// What the scheduler believes about nodes: what the API server says, plus placements that it has
// decided and not seen confirmed yet, plus the nodes on which room is being made for a pod.
// Threading: the scheduler's strand.
class NodeTable {
 public:
  void PutNode(api::Ref<api::core::v1::Node> node);
  void RemoveNode(std::string_view name);

  // A pod that is bound, or (before the API server says so) decided. The second replaces the first.
  void PutPod(const PodInfoPtr& pod, std::string_view node_name);
  // A newer state of a placed pod that counts as before.
  void UpdatePod(PodInfoPtr pod);
  void RemovePod(std::string_view uid);
  bool HasPod(std::string_view uid) const { return placed_.contains(uid); }
  // Null when it is on no node.
  PodInfoPtr FindPod(std::string_view uid) const;
  // The node that a placed pod is on; empty when it is on none.
  std::string NodeOf(std::string_view uid) const;

  // Room is being made for the pod on this node; replaces what was said before.
  void Nominate(const PodInfoPtr& pod, std::string_view node_name);
  void RemoveNomination(std::string_view uid);
  // Empty when there is none.
  std::string NominatedNodeOf(std::string_view uid) const;

  // By slot: a node keeps its slot as long as it is there. Slots of nodes that went have a null
  // `node`.
  const std::vector<NodeInfo>& slots() const { return slots_; }
  static constexpr size_t kNoSlot = SIZE_MAX;
  size_t SlotOf(std::string_view name) const;
  const NodeInfo* Find(std::string_view name) const;
  int node_count() const { return node_count_; }
  // How many nodes have the image, for spreading its weight.
  int NodesWithImage(std::string_view image) const;

  // Whether any placed pod's terms look at labels that number pods.
  bool has_terms_on_numbers() const { return groups_on_numbers_ > 0; }

  // The values of a label on all nodes; kept up from the first call on. Valid as long as the table.
  const TopologyKey& Topology(const std::string& key);

  // Grows with every change.
  uint64_t generation() const { return generation_; }
  // Calls `see(slot)` for every slot that changed after `generation`, some of them more than once.
  // False when that is too long ago to tell; then any may have changed.
  template <class See>
  bool ChangesSince(uint64_t generation, See see) const {
    if (generation + journal_.size() < generation_) return false;
    for (size_t i = journal_.size() - (generation_ - generation); i < journal_.size(); ++i)
      see(journal_[i]);
    return true;
  }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using SlotByText = std::unordered_map<std::string, size_t, Hash, std::equal_to<>>;

  NodeInfo& SlotFor(std::string_view name);
  PodGroup* GroupOf(const PodInfo& pod);
  void Touch(NodeInfo* node);
  void CountImages(const NodeInfo& node, int change);
  void FreeIfEmpty(NodeInfo* node);

  std::vector<NodeInfo> slots_;
  std::vector<size_t> free_;
  SlotByText by_name_;
  SlotByText placed_;     // by pod uid
  SlotByText nominated_;  // by pod uid
  std::map<std::string, int, std::less<>> image_nodes_;
  std::unordered_map<std::string, std::unique_ptr<PodGroup>> groups_;
  uint64_t next_group_ = 1;
  int groups_on_numbers_ = 0;
  std::map<std::string, std::unique_ptr<TopologyKey>> topology_;
  int node_count_ = 0;
  uint64_t generation_ = 0;
  std::deque<uint32_t> journal_;  // the slots of the last changes, one for each generation
};

}  // namespace gantry::scheduler
