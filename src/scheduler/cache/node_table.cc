#include "scheduler/cache/node_table.h"

namespace gantry::scheduler {
namespace {

using api::core::v1::Node;

// So many changes can be caught up with one by one.
constexpr size_t kJournal = 16384;

std::string GroupNameOf(const PodInfo& pod) {
  return (pod.terminating() ? "-" : "+") + pod.shape->group_key;
}

}  // namespace

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

void NodeTable::Touch(NodeInfo* node) {
  node->generation = ++generation_;
  journal_.push_back(static_cast<uint32_t>(node - slots_.data()));
  if (journal_.size() > kJournal) journal_.pop_front();
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
  for (auto& [name, key] : topology_)
    key->Set(static_cast<size_t>(&info - slots_.data()), &info.node->metadata().labels());
  Touch(&info);
}

void NodeTable::RemoveNode(std::string_view name) {
  auto it = by_name_.find(name);
  if (it == by_name_.end() || !slots_[it->second].node) return;
  NodeInfo& info = slots_[it->second];
  CountImages(info, -1);
  info.image_sizes.clear();
  info.node = {};
  for (auto& [key_name, key] : topology_)
    key->Set(it->second, nullptr);
  --node_count_;
  Touch(&info);
  FreeIfEmpty(&info);
}

void NodeTable::FreeIfEmpty(NodeInfo* node) {
  if (node->node || !node->pods.empty() || !node->nominated.empty()) return;
  const auto it = by_name_.find(node->name);
  const uint64_t generation = node->generation;
  *node = NodeInfo();
  node->generation = generation;
  free_.push_back(it->second);
  by_name_.erase(it);
}

PodGroup* NodeTable::GroupOf(const PodInfo& pod) {
  auto& group = groups_[GroupNameOf(pod)];
  if (!group) {
    group = std::make_unique<PodGroup>(pod);
    group->id = next_group_++;
    if (LooksAtNumbers(pod.shape->terms)) ++groups_on_numbers_;
  }
  return group.get();
}

void NodeTable::PutPod(const PodInfoPtr& pod, std::string_view node_name) {
  PodGroup* group = GroupOf(*pod);
  ++group->pods;  // before RemovePod, which drops a group that nobody is in
  RemovePod(pod->uid());
  RemoveNomination(pod->uid());
  NodeInfo& info = SlotFor(node_name);
  placed_[pod->uid()] = static_cast<size_t>(&info - slots_.data());
  info.Add(pod, group);
  Touch(&info);
}

void NodeTable::RemovePod(std::string_view uid) {
  auto it = placed_.find(uid);
  if (it == placed_.end()) return;
  NodeInfo& info = slots_[it->second];
  const NodeInfo::Placed placed = info.pods.find(it->first)->second;
  info.Remove(it->first);
  placed_.erase(it);
  if (--placed.group->pods == 0) {
    if (LooksAtNumbers(placed.group->shape->terms)) --groups_on_numbers_;
    groups_.erase(GroupNameOf(*placed.pod));
  }
  Touch(&info);
  FreeIfEmpty(&info);
}

void NodeTable::UpdatePod(PodInfoPtr pod) {
  auto it = placed_.find(pod->uid());
  if (it != placed_.end()) slots_[it->second].pods.find(it->first)->second.pod = std::move(pod);
}

PodInfoPtr NodeTable::FindPod(std::string_view uid) const {
  auto it = placed_.find(uid);
  return it == placed_.end() ? nullptr : slots_[it->second].pods.find(uid)->second.pod;
}

std::string NodeTable::NodeOf(std::string_view uid) const {
  auto it = placed_.find(uid);
  return it == placed_.end() ? std::string() : slots_[it->second].name;
}

void NodeTable::Nominate(const PodInfoPtr& pod, std::string_view node_name) {
  if (auto it = nominated_.find(pod->uid()); it != nominated_.end()) {
    PodInfoPtr& had = slots_[it->second].nominated[pod->uid()];
    if (slots_[it->second].name == node_name && had->shape == pod->shape) {
      had = pod;
      return;
    }
  }
  RemoveNomination(pod->uid());
  NodeInfo& info = SlotFor(node_name);
  nominated_[pod->uid()] = static_cast<size_t>(&info - slots_.data());
  info.nominated[pod->uid()] = pod;
  Touch(&info);
}

void NodeTable::RemoveNomination(std::string_view uid) {
  auto it = nominated_.find(uid);
  if (it == nominated_.end()) return;
  NodeInfo& info = slots_[it->second];
  info.nominated.erase(it->first);
  nominated_.erase(it);
  Touch(&info);
  FreeIfEmpty(&info);
}

std::string NodeTable::NominatedNodeOf(std::string_view uid) const {
  auto it = nominated_.find(uid);
  return it == nominated_.end() ? std::string() : slots_[it->second].name;
}

size_t NodeTable::SlotOf(std::string_view name) const {
  auto it = by_name_.find(name);
  return it == by_name_.end() ? kNoSlot : it->second;
}

const NodeInfo* NodeTable::Find(std::string_view name) const {
  const size_t slot = SlotOf(name);
  return slot == kNoSlot ? nullptr : &slots_[slot];
}

int NodeTable::NodesWithImage(std::string_view image) const {
  auto it = image_nodes_.find(image);
  return it == image_nodes_.end() ? 0 : it->second;
}

const TopologyKey& NodeTable::Topology(const std::string& key) {
  auto& topology = topology_[key];
  if (!topology) {
    topology = std::make_unique<TopologyKey>(key);
    for (size_t slot = 0; slot < slots_.size(); ++slot)
      topology->Set(slot, slots_[slot].node ? &slots_[slot].node->metadata().labels() : nullptr);
  }
  return *topology;
}

}  // namespace gantry::scheduler
