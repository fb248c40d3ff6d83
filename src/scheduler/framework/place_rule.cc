#include "scheduler/framework/place_rule.h"

namespace gantry::scheduler {

size_t PlaceRule::AddColumn(const std::string& topology_key, bool distinct_places) {
  columns_.push_back({topology_key, distinct_places});
  return columns_.size() - 1;
}

}  // namespace gantry::scheduler
