#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "scheduler/cache/node_table.h"
#include "scheduler/evaluation/node_classes.h"
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
  // All outlive it. The rule's aspects are among those of the classes, which are up to date
  // whenever anything is called.
  PlaceCounts(PlaceRule& rule, NodeTable& nodes, const NodeClasses& classes);

  // Counts the node as it is now; `object_changed`: not only its pods may have changed. True when
  // its codes are other ones now; the other slots of which that is so are appended to `others`.
  bool Update(size_t slot, bool object_changed, std::vector<uint32_t>* others);
  // True once after the rule has got new columns: the codes of all slots are other ones then.
  bool TakeGrown() { return std::exchange(grown_, false); }

  // As if pods of this group (`pods` may be negative) were on the node. Shift back what was
  // shifted.
  void Shift(size_t slot, const PodGroup& group, int64_t pods);

  // Puts the numbers at the node's places into `numbers`.
  void NumbersAt(size_t slot, PlaceNumbers* numbers) const;
  std::span<const ColumnTotals> totals() const;

  // Nodes with the same codes have the same numbers; one code for each column. Where a column has
  // few places a code names the place, so that what happens there changes no code; where it has
  // nearly one for each node, it is the number there.
  void AppendCodes(size_t slot, std::vector<int64_t>* codes) const;

 private:
  // A node as it has been counted.
  struct Counted {
    int32_t place = TopologyKey::kNone;
    bool counts : 1 = false;
    int32_t adds : 31 = 0;

    friend bool operator==(const Counted&, const Counted&) = default;
  };
  struct Column {
    TopologyKeyPtr key;
    bool by_place = true;
    std::vector<Counted> counted;         // by slot
    std::vector<int8_t> counts_by_class;  // 1 or 0; kUnasked
    std::vector<int64_t> number;          // by place
    std::vector<int32_t> nodes;           // by place: those that count
    // How many places with counting nodes have a number.
    absl::btree_map<int64_t, int32_t> places_with;
    ColumnTotals totals;

    void AddToPlace(int32_t place, int64_t change, int32_t nodes_change);
    void Forget(int64_t number);
  };
  // What is known of the group that has an index.
  struct KnownGroup {
    uint32_t incarnation = 0;
    uint32_t additions = 0;  // an index of additions_
  };

  bool AddColumns();
  void AddColumnsLater();
  void Grow(Column* column) const;
  bool CountsNode(size_t index, size_t slot);
  bool Place(size_t index, size_t slot, int32_t adds, std::vector<uint32_t>* others);
  bool Set(Column* column, size_t slot, Counted now, std::vector<uint32_t>* others);
  uint32_t AdditionsOf(const PodGroup& group);
  uint32_t NumberOf(PlaceRule::Additions additions);

  PlaceRule& rule_;
  NodeTable& nodes_;
  const NodeClasses& classes_;
  std::vector<Column> columns_;
  bool grown_ = false;
  mutable std::vector<ColumnTotals> totals_;
  std::vector<int32_t> adds_;       // of the node that is being counted, by column
  std::vector<KnownGroup> groups_;  // by index
  // What one pod of a group adds: few different lists. The first is that of most groups, nothing.
  std::vector<PlaceRule::Additions> additions_{1};
  std::map<PlaceRule::Additions, uint32_t> numbers_{{{}, 0}};  // of lists in additions_
};

}  // namespace gantry::scheduler
