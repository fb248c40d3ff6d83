#include "scheduler/evaluation/place_counts.h"

#include <limits>

namespace gantry::scheduler {
namespace {

constexpr int64_t kNoLabel = std::numeric_limits<int64_t>::min();
constexpr int8_t kUnasked = -1;

}  // namespace

uint32_t PlaceCounts::NumberOf(PlaceRule::Additions additions) {
  auto [it, added] = numbers_.try_emplace(additions, static_cast<uint32_t>(additions_.size()));
  if (added) additions_.push_back(std::move(additions));
  return it->second;
}

uint32_t PlaceCounts::AdditionsOf(const PodGroup& group) {
  if (group.index == PodGroup::kNoIndex) return NumberOf(rule_.CountGroup(group));
  if (groups_.size() <= group.index) groups_.resize(group.index + 1);
  KnownGroup& known = groups_[group.index];
  if (known.incarnation != group.incarnation)
    known = {group.incarnation, NumberOf(rule_.CountGroup(group))};
  return known.additions;
}

PlaceCounts::PlaceCounts(PlaceRule& rule, NodeTable& nodes, const NodeClasses& classes)
    : rule_(rule), nodes_(nodes), classes_(classes) {
  AddColumns();
}

bool PlaceCounts::AddColumns() {
  const auto& wanted = rule_.columns();
  const size_t had = columns_.size();
  while (columns_.size() < wanted.size()) {
    const PlaceColumn& from = wanted[columns_.size()];
    Column& column = columns_.emplace_back();
    column.key = nodes_.Topology(from.topology_key);
    const auto nodes = static_cast<size_t>(nodes_.node_count());
    column.by_place = from.distinct_places || column.key->domain_count() * 2 <= nodes;
    Grow(&column);
  }
  return columns_.size() > had;
}

// For columns that come when nodes have been counted. What the nodes add to them is nothing so far,
// or their Update comes; their places count.
void PlaceCounts::AddColumnsLater() {
  const size_t had = columns_.size();
  if (!AddColumns()) return;
  grown_ = true;
  for (size_t index = had; index < columns_.size(); ++index) {
    for (size_t slot = 0; slot < nodes_.slots().size(); ++slot)
      Place(index, slot, 0, nullptr);
  }
}

bool PlaceCounts::CountsNode(size_t index, size_t slot) {
  const uint32_t node_class = classes_.Of(slot);
  auto& by_class = columns_[index].counts_by_class;
  if (by_class.size() <= node_class) by_class.resize(classes_.size(), kUnasked);
  int8_t& counts = by_class[node_class];
  if (counts == kUnasked) counts = rule_.CountsNode(index, nodes_.slots()[slot]) ? 1 : 0;
  return counts == 1;
}

bool PlaceCounts::Place(size_t index, size_t slot, int32_t adds, std::vector<uint32_t>* others) {
  Column& column = columns_[index];
  Counted now;
  if (nodes_.slots()[slot].node) now.place = column.key->DomainOf(slot);
  now.counts = now.place != TopologyKey::kNone && CountsNode(index, slot);
  if (now.counts) now.adds = adds;
  return Set(&column, slot, now, others);
}

void PlaceCounts::Grow(Column* column) const {
  if (column->counted.size() < nodes_.slots().size()) column->counted.resize(nodes_.slots().size());
  const size_t places = column->key->domain_count();
  if (column->number.size() < places) {
    column->number.resize(places);
    column->nodes.resize(places);
  }
}

void PlaceCounts::Column::Forget(int64_t held) {
  auto it = places_with.find(held);
  if (--it->second == 0) places_with.erase(it);
}

void PlaceCounts::Column::AddToPlace(int32_t place, int64_t change, int32_t nodes_change) {
  if (place == TopologyKey::kNone || (change == 0 && nodes_change == 0)) return;
  int64_t& held = number[static_cast<size_t>(place)];
  int32_t& counting = nodes[static_cast<size_t>(place)];
  const bool was = counting > 0;
  counting += nodes_change;
  const bool is = counting > 0;
  if (was && is && change == 0) return;
  if (was) {
    Forget(held);
    --totals.places;
  }
  held += change;
  totals.sum += change;
  if (is) {
    ++places_with[held];
    ++totals.places;
  }
  totals.smallest = places_with.empty() ? 0 : places_with.begin()->first;
}

bool PlaceCounts::Set(Column* column, size_t slot, Counted now, std::vector<uint32_t>* others) {
  const Counted was = column->counted[slot];
  if (was == now) return false;
  column->counted[slot] = now;
  if (was.place == now.place) {
    column->AddToPlace(now.place, now.adds - was.adds, int{now.counts} - int{was.counts});
    if (column->by_place) return false;
  } else {
    column->AddToPlace(was.place, -was.adds, was.counts ? -1 : 0);
    column->AddToPlace(now.place, now.adds, now.counts ? 1 : 0);
  }
  if (column->by_place || others == nullptr) return true;
  // One that was there and is not by now has changed too: that is seen to by its own Update.
  auto all_at = [&](int32_t place) {
    if (place == TopologyKey::kNone) return;
    for (const uint32_t other : column->key->SlotsAt(place)) {
      if (other != slot) others->push_back(other);
    }
  };
  all_at(now.place);
  if (was.place != now.place) all_at(was.place);
  return true;
}

bool PlaceCounts::Update(size_t slot, bool object_changed, std::vector<uint32_t>* others) {
  const NodeInfo& node = nodes_.slots()[slot];
  bool any = false;
  for (const auto& [group, pods] : node.groups)
    any = AdditionsOf(*group) != 0 || any;
  AddColumnsLater();  // the rule may want new ones for these groups
  adds_.assign(columns_.size(), 0);
  if (any) {
    for (const auto& [group, pods] : node.groups) {
      for (const auto& [column, amount] : additions_[AdditionsOf(*group)])
        adds_[column] += static_cast<int32_t>(amount * pods);
    }
  }
  bool changed = false;
  for (size_t i = 0; i < columns_.size(); ++i) {
    Column& column = columns_[i];
    Grow(&column);
    if (object_changed) {
      changed = Place(i, slot, adds_[i], others) || changed;
    } else {
      Counted now = column.counted[slot];
      if (now.counts) now.adds = adds_[i];
      changed = Set(&column, slot, now, others) || changed;
    }
  }
  return changed;
}

void PlaceCounts::Shift(size_t slot, const PodGroup& group, int64_t pods) {
  const PlaceRule::Additions& additions = additions_[AdditionsOf(group)];
  AddColumnsLater();
  for (const auto& [index, amount] : additions) {
    Column& column = columns_[index];
    Grow(&column);
    const Counted& node = column.counted[slot];
    if (node.counts) column.AddToPlace(node.place, amount * pods, 0);
  }
}

void PlaceCounts::NumbersAt(size_t slot, PlaceNumbers* numbers) const {
  numbers->columns.resize(columns_.size());
  for (size_t i = 0; i < columns_.size(); ++i) {
    const Column& column = columns_[i];
    const int32_t place =
        slot < column.counted.size() ? column.counted[slot].place : TopologyKey::kNone;
    PlaceNumbers::Number& number = numbers->columns[i];
    number = {};
    if (place == TopologyKey::kNone) continue;
    number.has_label = true;
    number.place = place;
    number.count = column.number[static_cast<size_t>(place)];
  }
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
        slot < column.counted.size() ? column.counted[slot].place : TopologyKey::kNone;
    if (place == TopologyKey::kNone) {
      codes->push_back(kNoLabel);
    } else {
      codes->push_back(column.by_place ? place : column.number[static_cast<size_t>(place)]);
    }
  }
}

}  // namespace gantry::scheduler
