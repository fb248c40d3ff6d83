#include <algorithm>
#include <cmath>
#include <set>

#include "api/node_selector.h"
#include "api/tolerations.h"
#include "scheduler/cache/cluster_facts.h"
#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

constexpr char kHostname[] = "kubernetes.io/hostname";

const Rejection kSkewed = {"node(s) didn't match pod topology spread constraints", false};
const Rejection kNoLabel = {
    "node(s) didn't match pod topology spread constraints (missing required label)", true};

// What both kinds of constraints count.
template <class Base>
class SpreadCounts : public Base {
 public:
  // `needs_all_labels`: nodes that lack a label of any constraint do not count in any.
  SpreadCounts(const PodInfo& pod, std::vector<SpreadConstraint> constraints, bool needs_all_labels)
      : pod_(pod), constraints_(std::move(constraints)), needs_all_labels_(needs_all_labels) {}

  PlaceRule::Additions CountGroup(const PodGroup& group) override {
    PlaceRule::Additions additions;
    if (group.terminating || group.shape->ns != pod_.shape->ns) return additions;
    for (size_t i = 0; i < constraints_.size(); ++i) {
      if (constraints_[i].selector.Matches(group.shape->labels)) additions.emplace_back(i, 1);
    }
    return additions;
  }

  bool CountsNode(size_t column, const NodeInfo& node) const override {
    const SpreadConstraint& constraint = constraints_[column];
    const auto& labels = node.node->metadata().labels();
    if (needs_all_labels_ &&
        !std::all_of(constraints_.begin(), constraints_.end(),
                     [&](const auto& other) { return labels.contains(other.topology_key); }))
      return false;
    if (constraint.honor_affinity && !api::MatchesPodPlacement(pod_.pod->spec(), *node.node))
      return false;
    return !constraint.honor_taints ||
           !api::FindUntolerated(node.node->spec().taints(), pod_.pod->spec().tolerations());
  }

 protected:
  const PodInfo pod_;
  const std::vector<SpreadConstraint> constraints_;
  const bool needs_all_labels_;
};

class HardSpread : public SpreadCounts<PlaceFilter> {
 public:
  HardSpread(const PodInfo& pod, std::vector<SpreadConstraint> constraints)
      : SpreadCounts(pod, std::move(constraints), true) {
    for (const SpreadConstraint& constraint : constraints_)
      AddColumn(constraint.topology_key);
  }

  const Rejection* Judge(const PlaceNumbers& node,
                         std::span<const ColumnTotals> totals) const override {
    for (size_t i = 0; i < constraints_.size(); ++i) {
      const SpreadConstraint& constraint = constraints_[i];
      if (!node.columns[i].has_label) return &kNoLabel;
      const int64_t least = totals[i].places < constraint.min_domains ? 0 : totals[i].smallest;
      const int64_t itself = constraint.selector.Matches(pod_.shape->labels) ? 1 : 0;
      if (node.columns[i].count + itself - least > constraint.max_skew) return &kSkewed;
    }
    return nullptr;
  }
};

class SoftSpread : public SpreadCounts<PlaceScore> {
 public:
  SoftSpread(const PodInfo& pod, std::vector<SpreadConstraint> constraints, bool needs_all_labels)
      : SpreadCounts(pod, std::move(constraints), needs_all_labels) {
    for (const SpreadConstraint& constraint : constraints_)
      AddColumn(constraint.topology_key, constraint.topology_key != kHostname);
  }

  // Of a place that is one node, all pods count, whatever the node is like.
  bool CountsNode(size_t column, const NodeInfo& node) const override {
    return constraints_[column].topology_key == kHostname || SpreadCounts::CountsNode(column, node);
  }

  std::vector<std::optional<int64_t>> Score(std::span<const PlaceNumbers> nodes) const override {
    const std::vector<double> weights = WeightsOver(nodes);
    std::vector<std::optional<int64_t>> scores(nodes.size());
    for (size_t n = 0; n < nodes.size(); ++n) {
      if (IsLeftOut(nodes[n])) continue;
      double score = 0;
      for (size_t i = 0; i < constraints_.size(); ++i) {
        const auto& number = nodes[n].columns[i];
        if (number.has_label)
          score += static_cast<double>(number.count) * weights[i] + constraints_[i].max_skew - 1;
      }
      scores[n] = std::llround(score);
    }
    return scores;
  }

  int64_t Normalize(int64_t score, int64_t smallest, int64_t largest) const override {
    if (largest == 0) return ScorePlugin::kMaxScore;
    return ScorePlugin::kMaxScore * (largest + smallest - score) / largest;
  }

 private:
  bool IsLeftOut(const PlaceNumbers& node) const {
    return needs_all_labels_ && !std::all_of(node.columns.begin(), node.columns.end(),
                                             [](const auto& number) { return number.has_label; });
  }
  // A constraint over more places counts more, as pods of one are fewer.
  std::vector<double> WeightsOver(std::span<const PlaceNumbers> nodes) const {
    std::vector<double> weights;
    for (size_t i = 0; i < constraints_.size(); ++i) {
      int64_t size = 0;
      std::set<int32_t> places;
      for (const PlaceNumbers& node : nodes) {
        if (IsLeftOut(node)) continue;
        if (constraints_[i].topology_key == kHostname) {
          size += node.nodes;
        } else if (node.columns[i].has_label && places.insert(node.columns[i].place).second) {
          ++size;
        }
      }
      weights.push_back(std::log(static_cast<double>(size + 2)));
    }
    return weights;
  }
};

class PodTopologySpread : public PlacePlugin {
 public:
  explicit PodTopologySpread(PodTopologySpreadArgs args) : args_(std::move(args)) {}

  std::string_view name() const override { return "PodTopologySpread"; }

  std::unique_ptr<PlaceFilter> MakeFilter(const PodInfo& pod,
                                          const ClusterFacts& facts) const override {
    std::vector<SpreadConstraint> constraints = ConstraintsOf(pod, facts, true);
    if (constraints.empty()) return nullptr;
    return std::make_unique<HardSpread>(pod, std::move(constraints));
  }
  std::unique_ptr<PlaceScore> MakeScore(const PodInfo& pod,
                                        const ClusterFacts& facts) const override {
    std::vector<SpreadConstraint> constraints = ConstraintsOf(pod, facts, false);
    if (constraints.empty()) return nullptr;
    const bool needs_all_labels = !pod.shape->spread.empty() || !args_.system_defaults;
    return std::make_unique<SoftSpread>(pod, std::move(constraints), needs_all_labels);
  }

  uint32_t WakesOn() const override {
    return ClusterEvent::kNodeAdded | ClusterEvent::kNodeLabels | ClusterEvent::kNodeTaints |
           ClusterEvent::kNodeGone | ClusterEvent::kPodPlaced | ClusterEvent::kPodLabels |
           ClusterEvent::kPodGone | ClusterEvent::kSelectors;
  }
  bool MayHelp(const PodInfo& pod, const ClusterEvent& event,
               const ClusterFacts& facts) const override {
    const std::vector<SpreadConstraint> constraints = ConstraintsOf(pod, facts, true);
    if (constraints.empty()) return true;
    if (event.pod_before == nullptr && event.pod == nullptr)
      return NodeCounts(constraints, event.node_before) || NodeCounts(constraints, event.node) ||
             (event.node_before == nullptr && event.node == nullptr);
    return std::any_of(constraints.begin(), constraints.end(), [&](const auto& constraint) {
      return Counts(pod, constraint, event.pod_before) != Counts(pod, constraint, event.pod);
    });
  }

 private:
  static bool NodeCounts(const std::vector<SpreadConstraint>& constraints, const NodeInfo* node) {
    if (node == nullptr) return false;
    const auto& labels = node->node->metadata().labels();
    return std::all_of(constraints.begin(), constraints.end(), [&](const auto& constraint) {
      return labels.contains(constraint.topology_key);
    });
  }
  static bool Counts(const PodInfo& pod, const SpreadConstraint& constraint, const PodInfo* other) {
    return other != nullptr && other->shape->ns == pod.shape->ns &&
           constraint.selector.Matches(other->shape->labels);
  }

  std::vector<SpreadConstraint> ConstraintsOf(const PodInfo& pod, const ClusterFacts& facts,
                                              bool hard) const {
    const bool own = !pod.shape->spread.empty();
    std::vector<SpreadConstraint> constraints;
    for (const SpreadConstraint& constraint : own ? pod.shape->spread : args_.default_constraints) {
      if (constraint.hard == hard) constraints.push_back(constraint);
    }
    if (own || constraints.empty()) return constraints;
    const api::Selector siblings = facts.SiblingsOf(*pod.shape);
    if (siblings.empty()) return {};
    for (SpreadConstraint& constraint : constraints)
      constraint.selector = siblings;
    return constraints;
  }

  const PodTopologySpreadArgs args_;
};

}  // namespace

PodTopologySpreadArgs::PodTopologySpreadArgs() {
  SpreadConstraint hosts;
  hosts.topology_key = kHostname;
  hosts.max_skew = 3;
  SpreadConstraint zones;
  zones.topology_key = "topology.kubernetes.io/zone";
  zones.max_skew = 5;
  default_constraints = {hosts, zones};
}

std::shared_ptr<const Plugin> MakePodTopologySpread(PodTopologySpreadArgs args) {
  return std::make_shared<PodTopologySpread>(std::move(args));
}

}  // namespace gantry::scheduler
