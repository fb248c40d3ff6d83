#include "scheduler/preemption/preemption.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "api/duration.h"
#include "api/pods.h"
#include "scheduler/preemption/disruption_budgets.h"

namespace gantry::scheduler {
namespace {

constexpr char kNotHelpful[] = "Preemption is not helpful for scheduling";
constexpr char kNoVictims[] = "No preemption victims found for incoming pod";

// A pod that never started is the youngest.
WallTime StartOf(const PodInfo& pod) {
  return pod.pod->status().has_start_time() ? api::ToWallTime(pod.pod->status().start_time())
                                            : WallTime::max();
}

bool IsMoreImportant(const PodInfo& a, const PodInfo& b) {
  if (a.shape->priority != b.shape->priority) return a.shape->priority > b.shape->priority;
  return StartOf(a) < StartOf(b);
}

bool IsGoingForPreemption(const PodInfo& pod) {
  if (!pod.terminating()) return false;
  const auto* condition = api::FindCondition(pod.pod->status(), "DisruptionTarget");
  return condition && condition->status() == "True" &&
         condition->reason() == "PreemptionByScheduler";
}

// Why the pod may not push others aside; empty when it may.
std::string WhyNotEligible(Evaluation& evaluation, const NodeTable& nodes, const PodInfo& pod) {
  if (pod.pod->spec().preemption_policy() == "Never")
    return "not eligible due to preemptionPolicy=Never.";
  const size_t slot = nodes.SlotOf(nodes.NominatedNodeOf(pod.uid()));
  if (slot == NodeTable::kNoSlot || !nodes.slots()[slot].node) return {};
  // When nothing that goes from there would help, it looks elsewhere.
  for (const Rejection& rejection : evaluation.RejectionsOf(pod, slot)) {
    if (rejection.unresolvable) return {};
  }
  for (const auto& [uid, other] : nodes.slots()[slot].pods) {
    if (other.pod->shape->priority < pod.shape->priority && IsGoingForPreemption(*other.pod))
      return "not eligible due to a terminating pod on the nominated node.";
  }
  return {};
}

using Placed = std::vector<const NodeInfo::Placed*>;

// Which pods have to go from the node; `reasons` says why that would not help.
std::optional<Victims> VictimsOn(Evaluation& evaluation, const NodeInfo& node, size_t slot,
                                 const ClusterFacts& facts, const PodInfo& pod,
                                 std::map<std::string, int>* reasons) {
  Placed lower;
  for (const auto& [uid, other] : node.pods) {
    if (other.pod->shape->priority < pod.shape->priority) lower.push_back(&other);
  }
  if (lower.empty()) {
    ++(*reasons)[kNoVictims];
    return std::nullopt;
  }
  std::stable_sort(lower.begin(), lower.end(),
                   [](const auto* a, const auto* b) { return IsMoreImportant(*a->pod, *b->pod); });
  Evaluation::Trial trial(evaluation, slot);
  for (const NodeInfo::Placed* other : lower)
    trial.Remove(other->pod->uid());
  const std::vector<Rejection> still = trial.RejectionsOf(pod);
  if (!still.empty()) {
    for (const Rejection& rejection : still)
      ++(*reasons)[rejection.reason];
    return std::nullopt;
  }
  // As many as possible come back: first those that budgets protect, the most important first.
  DisruptionBudgets budgets(facts);
  Placed protected_ones, others;
  for (const NodeInfo::Placed* other : lower)
    (budgets.Forbid(*other->pod) ? protected_ones : others).push_back(other);
  Victims victims;
  auto bring_back = [&](const Placed& pods) {
    int64_t gone = 0;
    for (const NodeInfo::Placed* other : pods) {
      trial.PutBack(*other);
      if (trial.RejectionsOf(pod).empty()) continue;
      trial.Remove(other->pod->uid());
      victims.pods.push_back(other->pod);
      ++gone;
    }
    return gone;
  };
  victims.budget_violations = bring_back(protected_ones);
  bring_back(others);
  if (victims.pods.empty()) {  // the rules have nothing against this node
    ++(*reasons)[kNoVictims];
    return std::nullopt;
  }
  std::stable_sort(victims.pods.begin(), victims.pods.end(),
                   [](const auto& a, const auto& b) { return IsMoreImportant(*a, *b); });
  return victims;
}

}  // namespace

PreemptionPlan PlanPreemption(Evaluation& evaluation, const NodeTable& nodes,
                              const ClusterFacts& facts, const Profile::Preemption& options,
                              const PodInfo& pod, uint64_t random,
                              const std::vector<std::string>& refused) {
  PreemptionPlan plan;
  plan.message = WhyNotEligible(evaluation, nodes, pod);
  if (!plan.message.empty()) return plan;

  std::vector<size_t> slots = evaluation.WherePodsInTheWay(pod);
  for (const std::string& node : refused) {
    if (const size_t slot = nodes.SlotOf(node); slot != NodeTable::kNoSlot) slots.push_back(slot);
  }
  std::map<std::string, int> reasons;
  const int hopeless = nodes.node_count() - static_cast<int>(slots.size());
  if (hopeless > 0) reasons[kNotHelpful] = hopeless;
  // Enough to choose from; all of them would take long in a large cluster.
  const size_t wanted =
      std::max(slots.size() * static_cast<size_t>(options.min_candidate_nodes_percentage) / 100,
               static_cast<size_t>(options.min_candidate_nodes_absolute));
  size_t harmless = 0;
  for (size_t i = 0; i < slots.size() && (harmless == 0 || plan.candidates.size() < wanted); ++i) {
    const size_t slot = slots[(random + i) % slots.size()];
    const NodeInfo& node = nodes.slots()[slot];
    std::optional<Victims> victims = VictimsOn(evaluation, node, slot, facts, pod, &reasons);
    if (!victims) continue;
    if (victims->budget_violations == 0) ++harmless;
    plan.candidates[node.name] = *std::move(victims);
  }
  if (plan.candidates.empty()) {
    plan.message = SummaryOf(nodes.node_count(), reasons);
    plan.drop_nomination = true;
  }
  return plan;
}

std::string LeastHarmful(const std::map<std::string, Victims>& candidates) {
  const std::string* best = nullptr;
  std::tuple<int64_t, int64_t, int64_t, size_t, WallTime::duration> least;
  for (const auto& [node, victims] : candidates) {
    int64_t sum = 0;
    WallTime earliest = WallTime::max();  // of the most important ones
    for (const PodInfoPtr& pod : victims.pods) {
      // Counted from the lowest priority there is, so that more pods are always more.
      sum += int64_t{pod->shape->priority} - std::numeric_limits<int32_t>::min();
      if (pod->shape->priority == victims.pods.front()->shape->priority)
        earliest = std::min(earliest, StartOf(*pod));
    }
    const int64_t highest = victims.pods.empty() ? std::numeric_limits<int64_t>::min()
                                                 : victims.pods.front()->shape->priority;
    const auto harm = std::make_tuple(victims.budget_violations, highest, sum, victims.pods.size(),
                                      WallTime::max() - earliest);
    if (best != nullptr && harm >= least) continue;
    best = &node;
    least = harm;
  }
  return *best;
}

std::vector<PodInfoPtr> LessImportantNominations(const NodeTable& nodes, const std::string& node,
                                                 const PodInfo& pod) {
  std::vector<PodInfoPtr> found;
  if (const NodeInfo* info = nodes.Find(node)) {
    for (const auto& [uid, nominated] : info->nominated) {
      if (nominated->shape->priority < pod.shape->priority) found.push_back(nominated);
    }
  }
  return found;
}

}  // namespace gantry::scheduler
