#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "scheduler/cache/node_table.h"
#include "scheduler/framework/place_rule.h"

namespace gantry::scheduler {

// The numbers of one rule about places on all nodes. Every number of a place is the sum of what its
// nodes add, and what a node adds is worked out again only when the node has changed. Threading:
// the scheduler's strand.
//
// Invariant: after Update(slot) for every slot that changed, all numbers are what counting all pods
// anew would give.
class PlaceCounts {
 public:
  // Both outlive it.
  PlaceCounts(PlaceRule& rule, NodeTable& nodes) : rule_(rule), nodes_(nodes) {}

  // Counts the node as it is now. The other slots whose codes that changed are appended to
  // `others`.
  void Update(size_t slot, std::vector<uint32_t>* others);
  // True once after the rule has got new columns: the codes of all slots are other ones then.
  bool TakeGrown() { return std::exchange(grown_, false); }

  // As if pods of this group (`pods` may be negative) were on the node. Shift back what was
  // shifted.
  void Shift(size_t slot, const PodGroup& group, int64_t pods);

  // The numbers at the node's places.
  PlaceNumbers NumbersAt(size_t slot) const;
  std::span<const ColumnTotals> totals() const;

  // Nodes with the same codes have the same numbers; one code for each column. Where a column has
  // few places a code names the place, so that what happens there changes no code; where it has
  // nearly one for each node, it is the number there.
  void AppendCodes(size_t slot, std::vector<int64_t>* codes) const;

  // One pod of the group adds this.
  const PlaceRule::Additions& AdditionsOf(const PodGroup& group);

 private:
  struct Column {
    const TopologyKey* key = nullptr;
    bool by_place = true;
    std::vector<int32_t> place_of;             // by slot, as counted; TopologyKey::kNone
    std::vector<int64_t> adds;                 // by slot
    std::vector<bool> counts;                  // by slot: the node counts
    std::vector<int64_t> number;               // by place
    std::vector<int32_t> nodes;                // by place: those that count
    std::vector<std::vector<uint32_t>> slots;  // by place; only !by_place
    std::map<int64_t, int32_t> places_with;    // how many places with counting nodes have a number
    ColumnTotals totals;

    void AddToPlace(int32_t place, int64_t change, int32_t nodes_change);
    void Forget(int64_t number);
  };
  void AddColumns();
  void Grow(Column* column, size_t slots) const;
  void Place(size_t index, size_t slot, int64_t adds, std::vector<uint32_t>* others);
  void Set(Column* column, size_t slot, int32_t place, bool counts, int64_t adds,
           std::vector<uint32_t>* others);

  PlaceRule& rule_;
  NodeTable& nodes_;
  std::vector<Column> columns_;
  bool grown_ = false;
  mutable std::vector<ColumnTotals> totals_;
  std::vector<int64_t> adds_;
  // By the id of the group; those of groups that are gone are dropped now and then.
  absl::flat_hash_map<uint64_t, PlaceRule::Additions> additions_;
  PlaceRule::Additions scratch_;
};

}  // namespace gantry::scheduler
