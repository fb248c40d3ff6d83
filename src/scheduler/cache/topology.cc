#include "scheduler/cache/topology.h"

namespace gantry::scheduler {

void TopologyKey::Set(size_t slot, const LabelMap* labels) {
  int32_t domain = kNone;
  if (labels != nullptr) {
    if (auto label = labels->find(name_); label != labels->end())
      domain = ids_.try_emplace(label->second, static_cast<int32_t>(ids_.size())).first->second;
  }
  const int32_t before = DomainOf(slot);
  if (domain == before) return;
  if (before != kNone) std::erase(slots_[static_cast<size_t>(before)], static_cast<uint32_t>(slot));
  if (domains_.size() <= slot) domains_.resize(slot + 1, kNone);
  domains_[slot] = domain;
  if (domain == kNone) return;
  slots_.resize(ids_.size());
  slots_[static_cast<size_t>(domain)].push_back(static_cast<uint32_t>(slot));
}

}  // namespace gantry::scheduler
