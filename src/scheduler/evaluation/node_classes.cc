#include "scheduler/evaluation/node_classes.h"

#include <iterator>

namespace gantry::scheduler {

NodeClasses::NodeClasses(const NodeAspects& aspects, NodeTable& nodes)
    : nodes_(nodes), taints_(aspects.taints), names_(aspects.names) {
  for (const std::string& key : aspects.labels)
    labels_.push_back(nodes.Topology(key));
  for (const std::string& key : aspects.has_labels)
    has_labels_.push_back(nodes.Topology(key));
}

void NodeClasses::Update(size_t slot) {
  if (class_of_.size() <= slot) class_of_.resize(nodes_.slots().size(), kNone);
  const NodeInfo& node = nodes_.slots()[slot];
  class_of_[slot] = kNone;
  if (!node.node) return;
  code_.clear();
  if (taints_) code_.push_back(node.taints);
  for (const TopologyKeyPtr& label : labels_)
    code_.push_back(label->DomainOf(slot));
  for (const TopologyKeyPtr& label : has_labels_)
    code_.push_back(label->DomainOf(slot) == TopologyKey::kNone ? 0 : 1);
  if (!names_.empty()) {
    const auto name = names_.find(node.name);
    code_.push_back(static_cast<int32_t>(std::distance(names_.begin(), name)));
  }
  auto it = by_code_.find(code_);
  if (it == by_code_.end())
    it = by_code_.emplace(code_, static_cast<uint32_t>(by_code_.size())).first;
  class_of_[slot] = it->second;
}

}  // namespace gantry::scheduler
