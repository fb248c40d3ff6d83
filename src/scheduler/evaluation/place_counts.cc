#include "scheduler/evaluation/place_counts.h"

#include <algorithm>
#include <limits>

namespace gantry::scheduler {
namespace {

constexpr int64_t kNoLabel = std::numeric_limits<int64_t>::min();
constexpr size_t kMaxKeptGroups = 100000;

}  // namespace

const PlaceRule::Additions& PlaceCounts::AdditionsOf(const PodGroup& group) {
  if (group.id == 0) return scratch_ = rule_.CountGroup(group);
  auto it = additions_.find(group.id);
  if (it != additions_.end()) return it->second;
  if (additions_.size() >= kMaxKeptGroups) additions_.clear();
  return additions_.emplace(group.id, rule_.CountGroup(group)).first->second;
}

void PlaceCounts::AddColumns() {
  const auto& wanted = rule_.columns();
  while (columns_.size() < wanted.size()) {
    const PlaceColumn& from = wanted[columns_.size()];
    Column& column = columns_.emplace_back();
    column.key = &nodes_.Topology(from.topology_key);
    const auto nodes = static_cast<size_t>(nodes_.node_count());
    column.by_place = from.distinct_places || column.key->domain_count() * 2 <= nodes;
    grown_ = true;
    // What the nodes add to it is nothing so far, or their Update comes; their places count.
    Grow(&column, nodes_.slots().size());
    for (size_t slot = 0; slot < nodes_.slots().size(); ++slot)
      Place(columns_.size() - 1, slot, 0, nullptr);
  }
}

void PlaceCounts::Place(size_t index, size_t slot, int64_t adds, std::vector<uint32_t>* others) {
  const NodeInfo& node = nodes_.slots()[slot];
  Column& column = columns_[index];
  const int32_t place = node.node ? column.key->DomainOf(slot) : TopologyKey::kNone;
  const bool counts = place != TopologyKey::kNone && rule_.CountsNode(index, node);
  Set(&column, slot, place, counts, counts ? adds : 0, others);
}

void PlaceCounts::Grow(Column* column, size_t slots) const {
  if (column->place_of.size() < slots) {
    column->place_of.resize(slots, TopologyKey::kNone);
    column->adds.resize(slots);
    column->counts.resize(slots);
  }
  const size_t places = column->key->domain_count();
  if (column->number.size() < places) {
    column->number.resize(places);
    column->nodes.resize(places);
    if (!column->by_place) column->slots.resize(places);
  }
}

void PlaceCounts::Column::Forget(int64_t held) {
  auto it = places_with.find(held);
  if (--it->second == 0) places_with.erase(it);
}

void PlaceCounts::Column::AddToPlace(int32_t place, int64_t change, int32_t nodes_change) {
  if (place == TopologyKey::kNone || (change == 0 && nodes_change == 0)) return;
  const auto index = static_cast<size_t>(place);
  if (nodes[index] > 0) {
    Forget(number[index]);
    --totals.places;
  }
  number[index] += change;
  nodes[index] += nodes_change;
  totals.sum += change;
  if (nodes[index] > 0) {
    ++places_with[number[index]];
    ++totals.places;
  }
  totals.smallest = places_with.empty() ? 0 : places_with.begin()->first;
}

void PlaceCounts::Set(Column* column, size_t slot, int32_t place, bool counts, int64_t adds,
                      std::vector<uint32_t>* others) {
  const int32_t old_place = column->place_of[slot];
  const bool counted = column->counts[slot];
  const int64_t added = column->adds[slot];
  if (old_place == place && counted == counts && added == adds) return;
  column->AddToPlace(old_place, -added, counted ? -1 : 0);
  column->AddToPlace(place, adds, counts ? 1 : 0);
  column->place_of[slot] = place;
  column->counts[slot] = counts;
  column->adds[slot] = adds;
  if (column->by_place) return;
  if (old_place != place) {
    if (old_place != TopologyKey::kNone)
      std::erase(column->slots[static_cast<size_t>(old_place)], static_cast<uint32_t>(slot));
    if (place != TopologyKey::kNone)
      column->slots[static_cast<size_t>(place)].push_back(static_cast<uint32_t>(slot));
  }
  for (const int32_t changed : {old_place, place}) {
    if (changed == TopologyKey::kNone || others == nullptr) continue;
    for (const uint32_t other : column->slots[static_cast<size_t>(changed)]) {
      if (other != slot) others->push_back(other);
    }
  }
}

void PlaceCounts::Update(size_t slot, std::vector<uint32_t>* others) {
  const NodeInfo& node = nodes_.slots()[slot];
  for (const auto& [group, pods] : node.groups)
    (void)AdditionsOf(*group);  // the rule may want new columns for it
  AddColumns();
  adds_.assign(columns_.size(), 0);
  for (const auto& [group, pods] : node.groups) {
    for (const auto& [column, amount] : AdditionsOf(*group))
      adds_[column] += amount * pods;
  }
  for (size_t i = 0; i < columns_.size(); ++i) {
    Grow(&columns_[i], nodes_.slots().size());
    Place(i, slot, adds_[i], others);
  }
}

void PlaceCounts::Shift(size_t slot, const PodGroup& group, int64_t pods) {
  const PlaceRule::Additions additions = AdditionsOf(group);
  AddColumns();
  for (const auto& [index, amount] : additions) {
    Column& column = columns_[index];
    Grow(&column, nodes_.slots().size());
    if (column.counts[slot]) column.AddToPlace(column.place_of[slot], amount * pods, 0);
  }
}

PlaceNumbers PlaceCounts::NumbersAt(size_t slot) const {
  PlaceNumbers numbers;
  numbers.columns.reserve(columns_.size());
  for (const Column& column : columns_) {
    const int32_t place =
        slot < column.place_of.size() ? column.place_of[slot] : TopologyKey::kNone;
    auto& number = numbers.columns.emplace_back();
    if (place == TopologyKey::kNone) continue;
    number.has_label = true;
    number.place = place;
    number.count = column.number[static_cast<size_t>(place)];
  }
  return numbers;
}

std::span<const ColumnTotals> PlaceCounts::totals() const {
  totals_.clear();
  for (const Column& column : columns_)
    totals_.push_back(column.totals);
  return totals_;
}

void PlaceCounts::AppendCodes(size_t slot, std::vector<int64_t>* codes) const {
  for (const Column& column : columns_) {
    const int32_t place =
        slot < column.place_of.size() ? column.place_of[slot] : TopologyKey::kNone;
    if (place == TopologyKey::kNone) {
      codes->push_back(kNoLabel);
    } else {
      codes->push_back(column.by_place ? place : column.number[static_cast<size_t>(place)]);
    }
  }
}

}  // namespace gantry::scheduler
