#include <algorithm>
#include <map>

#include "scheduler/cache/cluster_facts.h"
#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

const Rejection kNoAffinity = {"node(s) didn't match pod affinity rules", true};
const Rejection kAntiAffinity = {"node(s) didn't match pod anti-affinity rules", false};
const Rejection kExistingAntiAffinity = {"node(s) didn't satisfy existing pods anti-affinity rules",
                                         false};

bool Matches(const AffinityTerm& term, const PodShape& pod, const ClusterFacts& facts) {
  return term.Matches(pod.ns, pod.labels, facts.NamespaceLabels(pod.ns));
}

bool MatchesAll(const std::vector<AffinityTerm>& terms, const PodShape& pod,
                const ClusterFacts& facts) {
  return !terms.empty() && std::all_of(terms.begin(), terms.end(), [&](const AffinityTerm& term) {
    return Matches(term, pod, facts);
  });
}

bool MatchesAny(const std::vector<AffinityTerm>& terms, const PodShape& pod,
                const ClusterFacts& facts) {
  return std::any_of(terms.begin(), terms.end(),
                     [&](const AffinityTerm& term) { return Matches(term, pod, facts); });
}

// Counts by topology key: pods that all the affinity terms mean, pods that an anti-affinity term
// means, and pods with an anti-affinity term that means this one.
class AffinityFilter : public PlaceFilter {
 public:
  AffinityFilter(const PodInfo& pod, const ClusterFacts& facts)
      : pod_(pod.shape), facts_(facts), means_itself_(MatchesAll(Required(), *pod_, facts)) {
    for (const AffinityTerm& term : Required())
      ColumnIn(&affinity_, term.topology_key);
    for (const AffinityTerm& term : Avoided())
      ColumnIn(&anti_affinity_, term.topology_key);
  }

  Additions CountGroup(const PodGroup& group) override {
    Additions additions;
    const PodShape& other = *group.shape;
    if (MatchesAll(Required(), other, facts_)) {
      for (const auto& [key, column] : affinity_)
        additions.emplace_back(column, 1);
    }
    for (const AffinityTerm& term : Avoided()) {
      if (Matches(term, other, facts_))
        additions.emplace_back(ColumnIn(&anti_affinity_, term.topology_key), 1);
    }
    for (const AffinityTerm& term : other.terms.required_anti_affinity) {
      if (Matches(term, *pod_, facts_))
        additions.emplace_back(ColumnIn(&existing_, term.topology_key), 1);
    }
    return additions;
  }

  const Rejection* Judge(const PlaceNumbers& node,
                         std::span<const ColumnTotals> totals) const override {
    bool beside = true, none_anywhere = true;
    for (const auto& [key, column] : affinity_) {
      if (!node.columns[column].has_label) return &kNoAffinity;
      beside = beside && node.columns[column].count > 0;
      none_anywhere = none_anywhere && totals[column].sum == 0;
    }
    // The first of a series of pods that want to be together may go anywhere.
    if (!beside && !(none_anywhere && means_itself_)) return &kNoAffinity;
    auto has = [&](const auto& entry) { return node.columns[entry.second].count > 0; };
    if (std::any_of(anti_affinity_.begin(), anti_affinity_.end(), has)) return &kAntiAffinity;
    if (std::any_of(existing_.begin(), existing_.end(), has)) return &kExistingAntiAffinity;
    return nullptr;
  }

 private:
  using Columns = std::map<std::string, size_t>;  // by topology key

  const std::vector<AffinityTerm>& Required() const { return pod_->terms.required_affinity; }
  const std::vector<AffinityTerm>& Avoided() const { return pod_->terms.required_anti_affinity; }
  size_t ColumnIn(Columns* columns, const std::string& key) {
    auto [it, added] = columns->try_emplace(key, 0);
    if (added) it->second = AddColumn(key);
    return it->second;
  }

  const PodShapePtr pod_;
  const ClusterFacts& facts_;
  const bool means_itself_;
  Columns affinity_, anti_affinity_, existing_;
};

// Adds up, by topology key, the weights of this pod's preferences for others and of theirs for it.
class AffinityScore : public PlaceScore {
 public:
  AffinityScore(const PodInfo& pod, const ClusterFacts& facts, int64_t hard_weight)
      : pod_(pod.shape), facts_(facts), hard_weight_(hard_weight) {}

  Additions CountGroup(const PodGroup& group) override {
    std::map<size_t, int64_t> sums;
    auto add = [&](const AffinityTerm& term, const PodShape& meant, int64_t weight) {
      if (weight != 0 && Matches(term, meant, facts_)) sums[ColumnFor(term.topology_key)] += weight;
    };
    const PodShape& other = *group.shape;
    for (const WeightedTerm& term : pod_->terms.preferred_affinity)
      add(term.term, other, term.weight);
    for (const WeightedTerm& term : pod_->terms.preferred_anti_affinity)
      add(term.term, other, -term.weight);
    for (const AffinityTerm& term : other.terms.required_affinity)
      add(term, *pod_, hard_weight_);
    for (const WeightedTerm& term : other.terms.preferred_affinity)
      add(term.term, *pod_, term.weight);
    for (const WeightedTerm& term : other.terms.preferred_anti_affinity)
      add(term.term, *pod_, -term.weight);
    return Additions(sums.begin(), sums.end());
  }

  std::vector<std::optional<int64_t>> Score(std::span<const PlaceNumbers> nodes) const override {
    std::vector<std::optional<int64_t>> scores;
    scores.reserve(nodes.size());
    for (const PlaceNumbers& node : nodes) {
      int64_t sum = 0;
      for (const auto& number : node.columns) {
        if (number.has_label) sum += number.count;
      }
      scores.emplace_back(sum);
    }
    return scores;
  }

  int64_t Normalize(int64_t score, int64_t smallest, int64_t largest) const override {
    if (largest == smallest) return 0;
    return static_cast<int64_t>(
        static_cast<double>(ScorePlugin::kMaxScore) *
        (static_cast<double>(score - smallest) / static_cast<double>(largest - smallest)));
  }

 private:
  size_t ColumnFor(const std::string& key) {
    for (size_t i = 0; i < columns().size(); ++i) {
      if (columns()[i].topology_key == key) return i;
    }
    return AddColumn(key);
  }

  const PodShapePtr pod_;
  const ClusterFacts& facts_;
  const int64_t hard_weight_;
};

class InterPodAffinity : public PlacePlugin {
 public:
  explicit InterPodAffinity(InterPodAffinityArgs args) : args_(args) {}

  std::string_view name() const override { return "InterPodAffinity"; }

  std::unique_ptr<PlaceFilter> MakeFilter(const PodInfo& pod,
                                          const ClusterFacts& facts) const override {
    return std::make_unique<AffinityFilter>(pod, facts);
  }
  std::unique_ptr<PlaceScore> MakeScore(const PodInfo& pod,
                                        const ClusterFacts& facts) const override {
    const PodTerms& terms = pod.shape->terms;
    if (args_.ignore_preferred_terms_of_existing_pods && terms.preferred_affinity.empty() &&
        terms.preferred_anti_affinity.empty())
      return nullptr;
    return std::make_unique<AffinityScore>(pod, facts, args_.hard_pod_affinity_weight);
  }

  uint32_t WakesOn() const override {
    return ClusterEvent::kNodeAdded | ClusterEvent::kNodeLabels | ClusterEvent::kPodPlaced |
           ClusterEvent::kPodLabels | ClusterEvent::kPodGone | ClusterEvent::kNamespaceLabels;
  }
  bool MayHelp(const PodInfo& pod, const ClusterEvent& event,
               const ClusterFacts& facts) const override {
    if (event.pod_before == nullptr && event.pod == nullptr) return true;
    const PodTerms& terms = pod.shape->terms;
    auto beside = [&](const PodInfo* other) {
      return other != nullptr && MatchesAll(terms.required_affinity, *other->shape, facts);
    };
    auto apart = [&](const PodInfo* other) {
      return other != nullptr &&
             (MatchesAny(terms.required_anti_affinity, *other->shape, facts) ||
              MatchesAny(other->shape->terms.required_anti_affinity, *pod.shape, facts));
    };
    return (beside(event.pod) && !beside(event.pod_before)) ||
           (apart(event.pod_before) && !apart(event.pod));
  }

 private:
  const InterPodAffinityArgs args_;
};

}  // namespace

std::shared_ptr<const Plugin> MakeInterPodAffinity(InterPodAffinityArgs args) {
  return std::make_shared<InterPodAffinity>(args);
}

}  // namespace gantry::scheduler
