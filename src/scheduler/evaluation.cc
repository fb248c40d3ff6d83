#include "scheduler/evaluation.h"

#include <algorithm>
#include <optional>

namespace gantry::scheduler {

namespace {

constexpr char kNotHelpful[] = "Preemption is not helpful for scheduling";
constexpr char kNoVictims[] = "No preemption victims found for incoming pod";

// "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable."
std::string Summary(int nodes, const std::map<std::string, int>& reasons) {
  std::vector<std::string> parts;
  for (const auto& [reason, count] : reasons)
    parts.push_back(std::to_string(count) + " " + reason);
  std::sort(parts.begin(), parts.end());
  std::string message = "0/" + std::to_string(nodes) + " nodes are available";
  for (size_t i = 0; i < parts.size(); ++i)
    message += (i == 0 ? ": " : ", ") + parts[i];
  return message + ".";
}

// The node as it would be without the pods that `pod` may push aside; nullopt when there are none.
std::optional<NodeInfo> WithoutLowerPriority(const NodeInfo& node, const PodInfo& pod) {
  std::optional<NodeInfo> left;
  for (const auto& [uid, other] : node.pods) {
    if (other->pod->spec().priority() >= pod.pod->spec().priority()) continue;
    if (!left) left = node;
    left->pods.erase(uid);
    left->requested.Subtract(other->requests);
  }
  return left;
}

}  // namespace

std::string Explanation::Message() const {
  if (nodes == 0) return "no nodes available to schedule pods";
  std::string message = Summary(nodes, reasons);
  if (!preemption.empty()) message += " preemption: " + preemption;
  return message;
}

void Evaluation::Refresh(const PodInfo& pod) {
  const bool same = !signature_.empty() && signature_ == pod.signature;
  if (!same) {
    signature_ = pod.signature;
    seen_generation_ = 0;
    filters_.clear();
    filter_states_.clear();
    scores_.clear();
    score_states_.clear();
    answers_.clear();
    bool keep = true;
    for (const auto& filter : profile_.filters) {
      auto state = filter->Prepare(pod, nodes_);
      if (!filter->Applies(pod, state.get())) continue;
      keep = keep && !filter->DependsOnOtherNodes();
      filters_.push_back(filter.get());
      filter_states_.push_back(std::move(state));
    }
    for (const auto& score : profile_.scores) {
      if (!score->Applies(pod)) continue;
      scores_.push_back(score.get());
      score_states_.push_back(score->Prepare(pod, nodes_));
    }
    if (!keep) signature_.clear();
  }
  const auto& slots = nodes_.slots();
  answers_.resize(slots.size());
  raw_scores_.resize(slots.size() * scores_.size());
  if (nodes_.generation() == seen_generation_) return;
  for (size_t slot = 0; slot < slots.size(); ++slot) {
    if (answers_[slot].generation != slots[slot].generation) Ask(pod, slot);
  }
  seen_generation_ = nodes_.generation();
}

void Evaluation::Ask(const PodInfo& pod, size_t slot) {
  const NodeInfo& node = nodes_.slots()[slot];
  Answer& answer = answers_[slot];
  answer.generation = node.generation;
  answer.passed = static_cast<bool>(node.node);
  for (size_t i = 0; answer.passed && i < filters_.size(); ++i) {
    answer.passed = filters_[i]->Filter(pod, filter_states_[i].get(), node).empty();
  }
  if (!answer.passed) return;
  for (size_t i = 0; i < scores_.size(); ++i) {
    raw_scores_[slot * scores_.size() + i] = scores_[i]->Score(pod, score_states_[i].get(), node);
  }
}

const NodeInfo* Evaluation::Best(uint64_t tie) {
  const size_t width = scores_.size();
  std::vector<int64_t> largest(width, 0);
  for (size_t slot = 0; slot < answers_.size(); ++slot) {
    if (!answers_[slot].passed) continue;
    for (size_t i = 0; i < width; ++i)
      largest[i] = std::max(largest[i], raw_scores_[slot * width + i]);
  }
  int64_t best = -1;
  std::vector<size_t> winners;
  for (size_t slot = 0; slot < answers_.size(); ++slot) {
    if (!answers_[slot].passed) continue;
    int64_t sum = 0;
    for (size_t i = 0; i < width; ++i) {
      int64_t score = raw_scores_[slot * width + i];
      switch (scores_[i]->normalize()) {
        case ScorePlugin::Normalize::kNone:
          break;
        case ScorePlugin::Normalize::kLargest:
          score = largest[i] == 0 ? 0 : score * ScorePlugin::kMaxScore / largest[i];
          break;
        case ScorePlugin::Normalize::kReverse:
          score = ScorePlugin::kMaxScore -
                  (largest[i] == 0 ? 0 : score * ScorePlugin::kMaxScore / largest[i]);
          break;
      }
      sum += score * scores_[i]->weight();
    }
    if (sum > best) {
      best = sum;
      winners.clear();
    }
    if (sum == best) winners.push_back(slot);
  }
  return winners.empty() ? nullptr : &nodes_.slots()[winners[tie % winners.size()]];
}

std::vector<Rejection> Evaluation::FirstRejections(const PodInfo& pod, const NodeInfo& node,
                                                   const FilterPlugin** rule) const {
  for (size_t i = 0; i < filters_.size(); ++i) {
    std::vector<Rejection> rejections = filters_[i]->Filter(pod, filter_states_[i].get(), node);
    if (rejections.empty()) continue;
    *rule = filters_[i];
    return rejections;
  }
  return {};
}

Explanation Evaluation::Explain(const PodInfo& pod) const {
  Explanation explanation;
  explanation.nodes = nodes_.node_count();
  explanation.wakes_on = kNodeAdded;
  std::map<std::string, int> preemption;
  bool has_candidate = false;
  for (const NodeInfo& node : nodes_.slots()) {
    if (!node.node) continue;
    // As kube-scheduler: a node counts for the first rule that turns it away.
    const FilterPlugin* rule = nullptr;
    const std::vector<Rejection> rejections = FirstRejections(pod, node, &rule);
    if (rejections.empty()) continue;
    ++explanation.plugins[std::string(rule->name())];
    explanation.wakes_on |= rule->WakesOn();
    bool unresolvable = false;
    for (const Rejection& rejection : rejections) {
      ++explanation.reasons[rejection.reason];
      explanation.nodes_by_reason[rejection.reason].push_back(node.name);
      unresolvable = unresolvable || rejection.unresolvable;
    }
    if (unresolvable) {
      ++preemption[kNotHelpful];
    } else if (const std::optional<NodeInfo> left = WithoutLowerPriority(node, pod)) {
      const std::vector<Rejection> still = FirstRejections(pod, *left, &rule);
      for (const Rejection& rejection : still)
        ++preemption[rejection.reason];
      has_candidate = has_candidate || still.empty();
    } else {
      ++preemption[kNoVictims];
    }
  }
  if (pod.pod->spec().preemption_policy() == "Never") {
    explanation.preemption = "not eligible due to preemptionPolicy=Never.";
  } else if (!has_candidate) {
    explanation.preemption = Summary(explanation.nodes, preemption);
  }
  return explanation;
}

}  // namespace gantry::scheduler
