#include "scheduler/evaluation/evaluation.h"

#include <algorithm>
#include <limits>

namespace gantry::scheduler {
namespace {

bool IsUnresolvable(const std::vector<Rejection>& rejections) {
  return std::any_of(rejections.begin(), rejections.end(),
                     [](const Rejection& rejection) { return rejection.unresolvable; });
}

// Pods for which room is being made on the node, and that go before this one.
bool GoesFirst(const PodInfo& nominated, const PodInfo& pod) {
  return nominated.shape->priority >= pod.shape->priority && nominated.uid() != pod.uid();
}

}  // namespace

struct Evaluation::FilterPart {
  FilterPart(const Plugin* plugin, std::unique_ptr<PlaceFilter> made, NodeTable& nodes)
      : plugin(plugin), rule(std::move(made)), counts(*rule, nodes) {}
  const Plugin* plugin;
  std::unique_ptr<PlaceFilter> rule;
  PlaceCounts counts;
};

struct Evaluation::ScorePart {
  ScorePart(int64_t weight, std::unique_ptr<PlaceScore> made, NodeTable& nodes)
      : weight(weight), rule(std::move(made)), counts(*rule, nodes) {}
  int64_t weight;
  std::unique_ptr<PlaceScore> rule;
  PlaceCounts counts;
};

Evaluation::Evaluation(const Profile& profile, NodeTable& nodes, const ClusterFacts& facts,
                       PodInfoPtr pod)
    : profile_(profile), nodes_(nodes), facts_(facts), pod_(std::move(pod)) {
  Build();
}

Evaluation::~Evaluation() = default;

void Evaluation::Build() {
  filters_.clear();
  own_scores_.clear();
  compared_scores_.clear();
  place_filters_.clear();
  place_scores_.clear();
  slots_.clear();
  raw_scores_.clear();
  verdicts_.assign(1, Verdict());
  kinds_.clear();
  free_kinds_.clear();
  kind_of_code_.clear();
  contested_.clear();
  remembered_.reset();
  seen_generation_ = 0;
  siblings_ = facts_.SiblingsOf(*pod_->shape);
  selectors_seen_ = facts_.selectors_generation();
  namespaces_seen_ = facts_.namespaces_generation();

  for (const auto& filter : profile_.filters) {
    if (filter->Filters(*pod_)) filters_.push_back(filter.get());
  }
  for (const auto& score : profile_.scores) {
    if (!score.plugin->Scores(*pod_)) continue;
    const bool final = score.plugin->normalize() == ScorePlugin::Normalize::kNone;
    (final ? own_scores_ : compared_scores_).push_back(score);
  }
  for (const auto& plugin : profile_.place_filters) {
    if (auto rule = plugin->MakeFilter(*pod_, facts_))
      place_filters_.push_back(std::make_unique<FilterPart>(plugin.get(), std::move(rule), nodes_));
  }
  for (const auto& score : profile_.place_scores) {
    if (auto rule = score.plugin->MakeScore(*pod_, facts_))
      place_scores_.push_back(std::make_unique<ScorePart>(score.weight, std::move(rule), nodes_));
  }
  score_basis_ = ScoreBasis();
}

// Rules about places are made from the labels of namespaces and the selectors of siblings.
bool Evaluation::IsOutdated() const {
  if (namespaces_seen_ != facts_.namespaces_generation()) return true;
  if (selectors_seen_ == facts_.selectors_generation()) return false;
  selectors_seen_ = facts_.selectors_generation();
  return facts_.SiblingsOf(*pod_->shape) != siblings_;
}

uint64_t Evaluation::ScoreBasis() const {
  uint64_t basis = 0;
  for (const auto& score : own_scores_)
    basis = basis * 31 + score.plugin->ScoreBasis(*pod_);
  return basis;
}

void Evaluation::Refresh() {
  if (IsOutdated()) Build();
  const auto& nodes = nodes_.slots();
  slots_.resize(nodes.size());
  raw_scores_.resize(nodes.size() * compared_scores_.size());
  if (nodes_.generation() == seen_generation_) return;
  dirty_.clear();
  if (const uint64_t basis = ScoreBasis(); basis != score_basis_) {
    score_basis_ = basis;
    RescoreAll();
  }
  auto see = [&](size_t slot) {
    if (slots_[slot].generation != nodes[slot].generation) Ask(slot);
  };
  if (seen_generation_ == 0 || !nodes_.ChangesSince(seen_generation_, see)) {
    for (size_t slot = 0; slot < nodes.size(); ++slot)
      see(slot);
  }
  seen_generation_ = nodes_.generation();

  bool grown = false;
  for (const auto& part : place_filters_)
    grown = part->counts.TakeGrown() || grown;
  for (const auto& part : place_scores_)
    grown = part->counts.TakeGrown() || grown;
  if (grown) {
    for (size_t slot = 0; slot < slots_.size(); ++slot)
      SortIn(slot);
  } else {
    for (const uint32_t slot : dirty_)
      SortIn(slot);
  }
}

int32_t Evaluation::VerdictOn(const NodeInfo& node) {
  if (!node.node) return kGone;
  for (const FilterPlugin* filter : filters_) {
    std::vector<Rejection> rejections = filter->Filter(*pod_, node);
    if (rejections.empty()) continue;
    for (size_t i = 1; i < verdicts_.size(); ++i) {
      if (verdicts_[i].rule == filter && verdicts_[i].rejections == rejections)
        return static_cast<int32_t>(i);
    }
    verdicts_.push_back({filter, std::move(rejections)});
    return static_cast<int32_t>(verdicts_.size() - 1);
  }
  return kPassed;
}

void Evaluation::ScoreSlot(size_t slot) {
  const NodeInfo& node = nodes_.slots()[slot];
  int64_t sum = 0;
  for (const auto& score : own_scores_)
    sum += score.weight * score.plugin->Score(*pod_, node);
  slots_[slot].own_score = sum;
}

void Evaluation::RescoreAll() {
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot].verdict != kPassed || !nodes_.slots()[slot].node) continue;
    TakeOut(slot);
    ScoreSlot(slot);
    dirty_.push_back(static_cast<uint32_t>(slot));
  }
}

void Evaluation::Ask(size_t slot) {
  const NodeInfo& node = nodes_.slots()[slot];
  TakeOut(slot);
  Slot& answer = slots_[slot];
  answer.generation = node.generation;
  answer.verdict = VerdictOn(node);
  answer.contested =
      node.node &&
      std::any_of(node.nominated.begin(), node.nominated.end(), [&](const auto& nominated) {
        return nominated.second->shape->priority >= pod_->shape->priority;
      });
  if (answer.contested) {
    contested_.insert(static_cast<uint32_t>(slot));
  } else {
    contested_.erase(static_cast<uint32_t>(slot));
  }
  if (answer.verdict == kPassed) {
    ScoreSlot(slot);
    for (size_t i = 0; i < compared_scores_.size(); ++i) {
      raw_scores_[slot * compared_scores_.size() + i] =
          compared_scores_[i].plugin->Score(*pod_, node);
    }
  }
  for (const auto& part : place_filters_)
    part->counts.Update(slot, &dirty_);
  for (const auto& part : place_scores_)
    part->counts.Update(slot, &dirty_);
  dirty_.push_back(static_cast<uint32_t>(slot));
}

void Evaluation::TakeOut(size_t slot) {
  Slot& answer = slots_[slot];
  if (answer.kind < 0) return;
  Kind& kind = kinds_[static_cast<size_t>(answer.kind)];
  auto list = kind.slots.find(answer.own_score);
  const uint32_t last = list->second.back();
  list->second[answer.position] = last;
  slots_[last].position = answer.position;
  list->second.pop_back();
  if (list->second.empty()) kind.slots.erase(list);
  if (--kind.size == 0) {
    kind_of_code_.erase(kind.code);
    free_kinds_.push_back(answer.kind);
  }
  answer.kind = -1;
}

void Evaluation::SortIn(size_t slot) {
  TakeOut(slot);
  Slot& answer = slots_[slot];
  if (answer.verdict != kPassed || answer.contested) return;
  std::vector<int64_t> code;
  code.reserve(8);
  for (size_t i = 0; i < compared_scores_.size(); ++i)
    code.push_back(raw_scores_[slot * compared_scores_.size() + i]);
  for (const auto& part : place_filters_)
    part->counts.AppendCodes(slot, &code);
  for (const auto& part : place_scores_)
    part->counts.AppendCodes(slot, &code);
  auto [it, added] = kind_of_code_.try_emplace(code, 0);
  if (added) {
    if (free_kinds_.empty()) {
      it->second = static_cast<int32_t>(kinds_.size());
      kinds_.emplace_back();
    } else {
      it->second = free_kinds_.back();
      free_kinds_.pop_back();
    }
    kinds_[static_cast<size_t>(it->second)].code = std::move(code);
  }
  answer.kind = it->second;
  Kind& kind = kinds_[static_cast<size_t>(it->second)];
  auto& list = kind.slots[answer.own_score];
  answer.position = static_cast<uint32_t>(list.size());
  list.push_back(static_cast<uint32_t>(slot));
  ++kind.size;
}

const Rejection* Evaluation::JudgePlaces(size_t slot, const Plugin** rule) const {
  for (const auto& part : place_filters_) {
    const Rejection* rejection =
        part->rule->Judge(part->counts.NumbersAt(slot), part->counts.totals());
    if (rejection == nullptr) continue;
    if (rule != nullptr) *rule = part->plugin;
    return rejection;
  }
  return nullptr;
}

std::vector<Rejection> Evaluation::Judge(const PodInfo& pod, const NodeInfo& node, size_t slot,
                                         const Plugin** rule) const {
  for (const FilterPlugin* filter : filters_) {
    std::vector<Rejection> rejections = filter->Filter(pod, node);
    if (rejections.empty()) continue;
    if (rule != nullptr) *rule = filter;
    return rejections;
  }
  const Rejection* rejection = JudgePlaces(slot, rule);
  return rejection == nullptr ? std::vector<Rejection>() : std::vector<Rejection>{*rejection};
}

std::vector<Rejection> Evaluation::RejectionsOf(const PodInfo& pod, size_t slot,
                                                const Plugin** rule) {
  const Slot& answer = slots_[slot];
  if (answer.contested) return Trial(*this, slot).RejectionsOf(pod, rule);
  if (answer.verdict > kPassed) {
    const Verdict& verdict = verdicts_[static_cast<size_t>(answer.verdict)];
    if (rule != nullptr) *rule = verdict.rule;
    return verdict.rejections;
  }
  const Rejection* rejection = JudgePlaces(slot, rule);
  return rejection == nullptr ? std::vector<Rejection>() : std::vector<Rejection>{*rejection};
}

bool Evaluation::Passes(const PodInfo& pod, size_t slot) {
  return slot < slots_.size() && slots_[slot].verdict != kGone && RejectionsOf(pod, slot).empty();
}

std::vector<Evaluation::Choice> Evaluation::Choices(const PodInfo& pod) {
  std::vector<Choice> choices;
  for (size_t i = 0; i < kinds_.size(); ++i) {
    const Kind& kind = kinds_[i];
    if (kind.size == 0) continue;
    const size_t slot = kind.slots.begin()->second.front();
    if (JudgePlaces(slot, nullptr) == nullptr)
      choices.push_back({static_cast<int32_t>(i), slot, kind.size});
  }
  for (const uint32_t slot : contested_) {
    if (slots_[slot].verdict == kPassed && Passes(pod, slot)) choices.push_back({-1, slot, 1});
  }
  AddNormalized(&choices);
  AddPlaceScores(&choices);
  return choices;
}

void Evaluation::AddNormalized(std::vector<Choice>* choices) const {
  const size_t width = compared_scores_.size();
  for (size_t i = 0; i < width; ++i) {
    int64_t largest = 0;
    for (const Choice& choice : *choices)
      largest = std::max(largest, raw_scores_[choice.slot * width + i]);
    const bool reverse =
        compared_scores_[i].plugin->normalize() == ScorePlugin::Normalize::kReverse;
    for (Choice& choice : *choices) {
      const int64_t raw = raw_scores_[choice.slot * width + i];
      const int64_t scaled = largest == 0 ? 0 : raw * ScorePlugin::kMaxScore / largest;
      choice.score +=
          compared_scores_[i].weight * (reverse ? ScorePlugin::kMaxScore - scaled : scaled);
    }
  }
}

void Evaluation::AddPlaceScores(std::vector<Choice>* choices) const {
  std::vector<PlaceNumbers> numbers;
  for (const auto& part : place_scores_) {
    if (part->rule->columns().empty()) continue;
    numbers.clear();
    for (const Choice& choice : *choices) {
      numbers.push_back(part->counts.NumbersAt(choice.slot));
      numbers.back().nodes = choice.nodes;
    }
    const std::vector<std::optional<int64_t>> scores = part->rule->Score(numbers);
    int64_t smallest = std::numeric_limits<int64_t>::max();
    int64_t largest = std::numeric_limits<int64_t>::min();
    for (const std::optional<int64_t>& score : scores) {
      if (!score) continue;
      smallest = std::min(smallest, *score);
      largest = std::max(largest, *score);
    }
    for (size_t i = 0; i < scores.size(); ++i) {
      if (scores[i])
        (*choices)[i].score += part->weight * part->rule->Normalize(*scores[i], smallest, largest);
    }
  }
}

size_t Evaluation::Best(const PodInfo& pod, uint64_t tie) {
  const std::vector<Choice> choices = Choices(pod);
  int64_t best = std::numeric_limits<int64_t>::min();
  uint64_t winners = 0;
  auto each_top = [&](auto see) {
    for (const Choice& choice : choices) {
      if (choice.kind < 0) {
        see(choice.score + slots_[choice.slot].own_score, uint64_t{1}, choice);
      } else {
        const auto& top = *kinds_[static_cast<size_t>(choice.kind)].slots.rbegin();
        see(choice.score + top.first, uint64_t{top.second.size()}, choice);
      }
    }
  };
  each_top([&](int64_t score, uint64_t nodes, const Choice&) {
    if (score > best) {
      best = score;
      winners = 0;
    }
    if (score == best) winners += nodes;
  });
  if (winners == 0) return NodeTable::kNoSlot;
  uint64_t skip = tie % winners;
  size_t winner = NodeTable::kNoSlot;
  each_top([&](int64_t score, uint64_t nodes, const Choice& choice) {
    if (score != best || winner != NodeTable::kNoSlot) return;
    if (skip >= nodes) {
      skip -= nodes;
    } else if (choice.kind < 0) {
      winner = choice.slot;
    } else {
      winner = kinds_[static_cast<size_t>(choice.kind)].slots.rbegin()->second[skip];
    }
  });
  return winner;
}

std::vector<Evaluation::Scored> Evaluation::Feasible(const PodInfo& pod) {
  std::vector<Scored> feasible;
  for (const Choice& choice : Choices(pod)) {
    if (choice.kind < 0) {
      feasible.push_back({choice.slot, choice.score + slots_[choice.slot].own_score});
      continue;
    }
    for (const auto& [own, slots] : kinds_[static_cast<size_t>(choice.kind)].slots) {
      for (const uint32_t slot : slots)
        feasible.push_back({slot, choice.score + own});
    }
  }
  std::sort(feasible.begin(), feasible.end(),
            [](const Scored& a, const Scored& b) { return a.slot < b.slot; });
  return feasible;
}

Explanation Evaluation::Explain(const PodInfo& pod) {
  Explanation explanation;
  explanation.nodes = nodes_.node_count();
  auto count = [&](const Plugin* rule, const std::vector<Rejection>& rejections, int64_t nodes) {
    if (rejections.empty()) return;
    for (const Rejection& rejection : rejections)
      explanation.reasons[rejection.reason] += static_cast<int>(nodes);
    auto& rules = explanation.rules;
    if (std::find(rules.begin(), rules.end(), rule) == rules.end()) rules.push_back(rule);
  };
  std::vector<int64_t> nodes_by_verdict(verdicts_.size());
  for (const Slot& slot : slots_) {
    if (slot.verdict > kPassed && !slot.contested)
      ++nodes_by_verdict[static_cast<size_t>(slot.verdict)];
  }
  for (size_t i = 1; i < verdicts_.size(); ++i) {
    if (nodes_by_verdict[i] > 0)
      count(verdicts_[i].rule, verdicts_[i].rejections, nodes_by_verdict[i]);
  }
  for (const Kind& kind : kinds_) {
    if (kind.size == 0) continue;
    const Plugin* rule = nullptr;
    if (const Rejection* rejection = JudgePlaces(kind.slots.begin()->second.front(), &rule))
      count(rule, {*rejection}, kind.size);
  }
  for (const uint32_t slot : contested_) {
    const Plugin* rule = nullptr;
    const std::vector<Rejection> rejections = RejectionsOf(pod, slot, &rule);
    count(rule, rejections, 1);
  }
  return explanation;
}

std::map<std::string, std::vector<std::string>> Evaluation::NodesByReason(const PodInfo& pod) {
  std::map<std::string, std::vector<std::string>> nodes;
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot].verdict == kGone) continue;
    for (const Rejection& rejection : RejectionsOf(pod, slot))
      nodes[rejection.reason].push_back(nodes_.slots()[slot].name);
  }
  return nodes;
}

std::vector<size_t> Evaluation::WherePodsInTheWay(const PodInfo& pod) {
  std::vector<size_t> slots;
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot].verdict == kGone) continue;
    const std::vector<Rejection> rejections = RejectionsOf(pod, slot);
    if (!rejections.empty() && !IsUnresolvable(rejections)) slots.push_back(slot);
  }
  return slots;
}

const Explanation* Evaluation::Remembered() const {
  const bool holds = remembered_ && remembered_at_ == nodes_.generation() &&
                     budgets_then_ == facts_.budgets_generation();
  return holds ? &*remembered_ : nullptr;
}

void Evaluation::Remember(Explanation explanation) {
  remembered_ = std::move(explanation);
  remembered_at_ = nodes_.generation();
  budgets_then_ = facts_.budgets_generation();
}

Evaluation::Trial::Trial(Evaluation& evaluation, size_t slot)
    : evaluation_(evaluation), slot_(slot), node_(evaluation.nodes_.slots()[slot]) {}

Evaluation::Trial::~Trial() {
  for (const auto& [group, pods] : shifted_) {
    for (const auto& part : evaluation_.place_filters_)
      part->counts.Shift(slot_, *group, -pods);
  }
}

void Evaluation::Trial::Shift(const PodGroup& group, int64_t pods) {
  for (const auto& part : evaluation_.place_filters_)
    part->counts.Shift(slot_, group, pods);
}

void Evaluation::Trial::Remove(const std::string& uid) {
  const NodeInfo::Placed placed = node_.pods.find(uid)->second;
  node_.Remove(uid);
  Shift(*placed.group, -1);
  shifted_.emplace_back(placed.group, -1);
}

void Evaluation::Trial::PutBack(const NodeInfo::Placed& pod) {
  node_.Add(pod.pod, pod.group);
  Shift(*pod.group, 1);
  shifted_.emplace_back(pod.group, 1);
}

std::vector<Rejection> Evaluation::Trial::RejectionsOf(const PodInfo& pod, const Plugin** rule) {
  std::vector<PodInfoPtr> first;
  for (const auto& [uid, nominated] : node_.nominated) {
    if (GoesFirst(*nominated, pod)) first.push_back(nominated);
  }
  if (!first.empty()) {
    std::vector<std::unique_ptr<PodGroup>> groups;
    for (const PodInfoPtr& nominated : first) {
      groups.push_back(std::make_unique<PodGroup>(*nominated));
      node_.Add(nominated, groups.back().get());
      Shift(*groups.back(), 1);
    }
    std::vector<Rejection> rejections = evaluation_.Judge(pod, node_, slot_, rule);
    for (size_t i = 0; i < first.size(); ++i) {
      node_.Remove(first[i]->uid());
      Shift(*groups[i], -1);
    }
    if (!rejections.empty()) return rejections;
  }
  // They may never come.
  return evaluation_.Judge(pod, node_, slot_, rule);
}

}  // namespace gantry::scheduler
