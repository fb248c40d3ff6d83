#include "scheduler/extender/extender_chain.h"

#include <algorithm>
#include <limits>

#include "base/log.h"

namespace gantry::scheduler {
namespace {

// Extenders give 0 to 10, the scheduler's rules 0 to 100.
constexpr int64_t kScoreScale = ScorePlugin::kMaxScore / 10;

class ExtenderRule : public Plugin {
 public:
  std::string_view name() const override { return "Extender"; }
  uint32_t WakesOn() const override { return ClusterEvent::kAny; }
};

Extender::Nodes NodesOf(const std::vector<ExtenderChain::Candidate>& candidates) {
  Extender::Nodes nodes;
  for (const auto& candidate : candidates)
    nodes.push_back(candidate.node);
  return nodes;
}

void LogSkipped(const Extender& extender, const Status& status) {
  log::Warning("scheduler", "skipped an extender that does not answer",
               {{"extender", extender.config().url_prefix}, {"error", status.message()}});
}

}  // namespace

Result<ExtenderChain> ExtenderChain::Make(Env& env, const std::vector<ExtenderConfig>& configs) {
  ExtenderChain chain;
  chain.rule_ = std::make_shared<ExtenderRule>();
  for (const ExtenderConfig& config : configs) {
    GANTRY_ASSIGN(std::unique_ptr<Extender> extender, Extender::Make(env, config));
    chain.extenders_.push_back(std::move(extender));
  }
  return chain;
}

bool ExtenderChain::AnyInterested(const PodInfo& pod) const {
  return std::any_of(extenders_.begin(), extenders_.end(), [&](const auto& extender) {
    const ExtenderConfig& config = extender->config();
    const bool decides = !config.filter_verb.empty() || !config.prioritize_verb.empty() ||
                         !config.preempt_verb.empty();
    return decides && extender->IsInterested(pod);
  });
}

Extender* ExtenderChain::BinderOf(const PodInfo& pod) const {
  for (const auto& extender : extenders_) {
    if (!extender->config().bind_verb.empty() && extender->IsInterested(pod)) return extender.get();
  }
  return nullptr;
}

Task<Status> ExtenderChain::Filter(const PodInfoPtr& pod, std::vector<Candidate>* candidates,
                                   Choice* choice) {
  for (const auto& extender : extenders_) {
    if (candidates->empty()) break;
    if (extender->config().filter_verb.empty() || !extender->IsInterested(*pod)) continue;
    Result<Extender::Filtered> filtered = co_await extender->Filter(pod, NodesOf(*candidates));
    if (!filtered.ok()) {
      if (!extender->config().ignorable) co_return filtered.status();
      LogSkipped(*extender, filtered.status());
      continue;
    }
    for (const auto& [node, reason] : filtered->failed) {
      if (!filtered->failed_for_good.contains(node)) choice->refused.push_back(node);
    }
    // What fails for good takes precedence.
    filtered->failed_for_good.merge(filtered->failed);
    for (const auto& [node, reason] : filtered->failed_for_good)
      ++choice->reasons[reason];
    std::erase_if(*candidates, [&](const Candidate& candidate) {
      const auto& left = filtered->nodes;
      return std::find(left.begin(), left.end(), candidate.node->metadata().name()) == left.end();
    });
  }
  co_return Status();
}

Task<> ExtenderChain::Prioritize(const PodInfoPtr& pod, std::vector<Candidate>* candidates) {
  for (const auto& extender : extenders_) {
    if (extender->config().prioritize_verb.empty() || !extender->IsInterested(*pod)) continue;
    Result<std::map<std::string, int64_t>> scores =
        co_await extender->Prioritize(pod, NodesOf(*candidates));
    if (!scores.ok()) {
      LogSkipped(*extender, scores.status());
      continue;
    }
    for (Candidate& candidate : *candidates) {
      auto score = scores->find(candidate.node->metadata().name());
      if (score != scores->end())
        candidate.score += score->second * extender->config().weight * kScoreScale;
    }
  }
}

Task<Result<ExtenderChain::Choice>> ExtenderChain::Choose(PodInfoPtr pod,
                                                          std::vector<Candidate> candidates) {
  Choice choice;
  GANTRY_CO_TRY(co_await Filter(pod, &candidates, &choice));
  if (candidates.size() > 1) co_await Prioritize(pod, &candidates);
  int64_t best = std::numeric_limits<int64_t>::min();
  for (const Candidate& candidate : candidates)
    best = std::max(best, candidate.score);
  for (const Candidate& candidate : candidates) {
    if (candidate.score == best) choice.best.push_back(candidate.node->metadata().name());
  }
  co_return choice;
}

Task<Result<Extender::Candidates>> ExtenderChain::Preempt(PodInfoPtr pod,
                                                          Extender::Candidates candidates,
                                                          Extender::PodsByNode on_node) {
  for (const auto& extender : extenders_) {
    if (extender->config().preempt_verb.empty() || !extender->IsInterested(*pod)) continue;
    Result<Extender::Candidates> left = co_await extender->Preempt(pod, candidates, on_node);
    if (left.ok()) {
      candidates = *std::move(left);
      if (candidates.empty()) break;
      continue;
    }
    if (!extender->config().ignorable) co_return left.status();
    LogSkipped(*extender, left.status());
  }
  co_return candidates;
}

Task<> ExtenderChain::Stop() {
  for (const auto& extender : extenders_)
    co_await extender->Stop();
}

}  // namespace gantry::scheduler
