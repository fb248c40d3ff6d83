#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "scheduler/framework/affinity_term.h"

namespace gantry::scheduler {

// The values of one node label as small numbers, by slot of the node table. Threading: the
// scheduler's strand.
class TopologyKey {
 public:
  static constexpr int32_t kNone = -1;  // the node has no such label

  explicit TopologyKey(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  int32_t DomainOf(size_t slot) const { return slot < domains_.size() ? domains_[slot] : kNone; }
  // How many values there are or were; domains are numbered below it.
  size_t domain_count() const { return ids_.size(); }

  // `labels` null: the node is gone.
  void Set(size_t slot, const LabelMap* labels);

 private:
  std::string name_;
  std::unordered_map<std::string, int32_t> ids_;
  std::vector<int32_t> domains_;
};

}  // namespace gantry::scheduler
