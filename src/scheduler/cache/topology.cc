#include "scheduler/cache/topology.h"

namespace gantry::scheduler {

void TopologyKey::Set(size_t slot, const LabelMap* labels) {
  if (domains_.size() <= slot) domains_.resize(slot + 1, kNone);
  domains_[slot] = kNone;
  if (labels == nullptr) return;
  auto label = labels->find(name_);
  if (label == labels->end()) return;
  domains_[slot] = ids_.try_emplace(label->second, static_cast<int32_t>(ids_.size())).first->second;
}

}  // namespace gantry::scheduler
