#include "scheduler/cache/node_table.h"

namespace gantry::scheduler {

using api::core::v1::Node;

NodeInfo& NodeTable::SlotFor(std::string_view name) {
  auto it = by_name_.find(name);
  if (it != by_name_.end()) return slots_[it->second];
  size_t slot = slots_.size();
  if (free_.empty()) {
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  by_name_.emplace(name, slot);
  slots_[slot].name = std::string(name);
  return slots_[slot];
}

void NodeTable::CountImages(const NodeInfo& node, int change) {
  for (const auto& [image, size] : node.image_sizes) {
    if ((image_nodes_[image] += change) == 0) image_nodes_.erase(image);
  }
}

void NodeTable::PutNode(api::Ref<Node> node) {
  NodeInfo& info = SlotFor(node->metadata().name());
  if (!info.node) ++node_count_;
  CountImages(info, -1);
  info.image_sizes.clear();
  for (const auto& image : node->status().images()) {
    for (const std::string& name : image.names())
      info.image_sizes[name] = image.size_bytes();
  }
  CountImages(info, +1);
  info.allocatable = Resources::From(api::ToAmounts(node->status().allocatable()));
  info.node = std::move(node);
  Touch(&info);
}

void NodeTable::RemoveNode(std::string_view name) {
  auto it = by_name_.find(name);
  if (it == by_name_.end() || !slots_[it->second].node) return;
  NodeInfo& info = slots_[it->second];
  CountImages(info, -1);
  info.image_sizes.clear();
  info.node = {};
  --node_count_;
  Touch(&info);
  FreeIfEmpty(&info);
}

void NodeTable::FreeIfEmpty(NodeInfo* node) {
  if (node->node || !node->pods.empty()) return;
  const auto it = by_name_.find(node->name);
  const uint64_t generation = node->generation;
  *node = NodeInfo();
  node->generation = generation;
  free_.push_back(it->second);
  by_name_.erase(it);
}

void NodeTable::PutPod(PodInfoPtr pod, std::string_view node_name) {
  RemovePod(pod->uid());
  NodeInfo& info = SlotFor(node_name);
  placed_[pod->uid()] = std::string(node_name);
  info.requested.Add(pod->requests);
  info.score_milli_cpu += pod->score_requests.milli_cpu;
  info.score_memory += pod->score_requests.memory;
  Touch(&info);
  std::string uid = pod->uid();
  info.pods.emplace(std::move(uid), std::move(pod));
}

void NodeTable::RemovePod(std::string_view uid) {
  auto it = placed_.find(uid);
  if (it == placed_.end()) return;
  NodeInfo& info = slots_[by_name_.find(it->second)->second];
  auto pod = info.pods.find(it->first);
  info.requested.Subtract(pod->second->requests);
  info.score_milli_cpu -= pod->second->score_requests.milli_cpu;
  info.score_memory -= pod->second->score_requests.memory;
  info.pods.erase(pod);
  placed_.erase(it);
  Touch(&info);
  FreeIfEmpty(&info);
}

const NodeInfo* NodeTable::Find(std::string_view name) const {
  auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &slots_[it->second];
}

int NodeTable::NodesWithImage(std::string_view image) const {
  auto it = image_nodes_.find(image);
  return it == image_nodes_.end() ? 0 : it->second;
}

}  // namespace gantry::scheduler
