#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/framework/node_info.h"

namespace gantry::scheduler {

// Why a node was turned away, as the user reads it behind a count: "Insufficient cpu".
struct Rejection {
  std::string reason;
  // No pod that could be removed from the node would help.
  bool unresolvable = false;

  friend bool operator==(const Rejection&, const Rejection&) = default;
};

// A rule about places counts pods: it has columns, each of one topology key, and each with one
// number for every place (the nodes with the same value of that label): the sum of what the groups
// of pods on these nodes add to it. The numbers are kept up as pods come and go; a rule only says
// what a group adds, and what the numbers at a node's places mean.
struct PlaceColumn {
  std::string topology_key;
  // The rule tells places apart also where their numbers are equal (it counts how many there are).
  bool distinct_places = false;
};

// The numbers of all columns of a rule at the places of one node.
struct PlaceNumbers {
  struct Number {
    bool has_label = false;
    int32_t place = -1;
    int64_t count = 0;
  };
  std::vector<Number> columns;
  // For scores: how many nodes that pass have these.
  int64_t nodes = 1;
};

// A column as a whole, over the nodes that count.
struct ColumnTotals {
  int64_t sum = 0;
  int64_t places = 0;    // with nodes that count
  int64_t smallest = 0;  // of the numbers of these; 0 when there are none
};

// One rule about places, made by its plug-in for the pods of one shape. Threading: the scheduler's
// strand.
class PlaceRule {
 public:
  virtual ~PlaceRule() = default;

  // Grows when CountGroup meets a pod with a topology key that is new to the rule.
  const std::vector<PlaceColumn>& columns() const { return columns_; }

  // What one pod of the group adds, by column; nothing for most.
  using Additions = std::vector<std::pair<size_t, int64_t>>;
  virtual Additions CountGroup(const PodGroup& group) = 0;
  // Whether the node and the pods on it count in the column.
  virtual bool CountsNode(size_t column, const NodeInfo& node) const { return true; }

 protected:
  size_t AddColumn(const std::string& topology_key, bool distinct_places = false);

 private:
  std::vector<PlaceColumn> columns_;
};

// What a node must pass.
class PlaceFilter : public PlaceRule {
 public:
  // Null when a node with these numbers passes. The rejection lives as long as the program.
  virtual const Rejection* Judge(const PlaceNumbers& node,
                                 std::span<const ColumnTotals> totals) const = 0;
};

// A preference among the nodes that passed.
class PlaceScore : public PlaceRule {
 public:
  // Raw scores, of any range, for all kinds of nodes that passed; nullopt scores 0 in the end.
  virtual std::vector<std::optional<int64_t>> Score(std::span<const PlaceNumbers> nodes) const = 0;
  // To [0, 100], given the smallest and the largest raw score.
  virtual int64_t Normalize(int64_t score, int64_t smallest, int64_t largest) const = 0;
};

}  // namespace gantry::scheduler
