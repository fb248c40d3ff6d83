#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "scheduler/cache/cluster_facts.h"
#include "scheduler/cache/node_table.h"
#include "scheduler/evaluation/explanation.h"
#include "scheduler/evaluation/place_counts.h"
#include "scheduler/framework/plugin.h"

namespace gantry::scheduler {

// What the rules of a profile say of the pods of one shape on every node. It is kept from pod to
// pod: a change of the cluster costs what it takes to ask the rules about the nodes that changed.
//
// Nodes that pass what looks at the node alone are sorted into kinds: nodes of a kind get the same
// answer from everything else (rules about places, scores that are compared with those of other
// nodes), so a decision asks once for each kind and takes the node that scores best by itself.
//
// Threading: the scheduler's strand. The table and the facts must not change between Refresh and
// the calls that answer from it.
class Evaluation {
 public:
  // All outlive it. `pod` is one of those that it is for.
  Evaluation(const Profile& profile, NodeTable& nodes, const ClusterFacts& facts, PodInfoPtr pod);
  ~Evaluation();

  // Brings the answers up to date.
  void Refresh();

  struct Scored {
    size_t slot = 0;
    int64_t score = 0;
  };
  // The slot of the best node for this pod, NodeTable::kNoSlot when none passes. Among equals the
  // `tie`-th (a random number) is taken.
  size_t Best(const PodInfo& pod, uint64_t tie);
  // All nodes that pass, by slot.
  std::vector<Scored> Feasible(const PodInfo& pod);

  // Whether the node passes, also should those come for which room is being made there.
  bool Passes(const PodInfo& pod, size_t slot);
  // Why not; `rule` is the one that turned it away. Empty when it passes.
  std::vector<Rejection> RejectionsOf(const PodInfo& pod, size_t slot,
                                      const Plugin** rule = nullptr);

  // Why no node passes. Without the preemption part.
  Explanation Explain(const PodInfo& pod);
  std::map<std::string, std::vector<std::string>> NodesByReason(const PodInfo& pod);
  // The slots of nodes that were turned away, but may pass when pods are removed from them.
  std::vector<size_t> WherePodsInTheWay(const PodInfo& pod);

  // The last word on pods that pass nowhere and cannot make room, as long as nothing has changed.
  const Explanation* Remembered() const;
  void Remember(Explanation explanation);

  // A node as it would be with other pods. While there is one, nothing else may be asked.
  class Trial {
   public:
    Trial(Evaluation& evaluation, size_t slot);
    ~Trial();
    void Remove(const std::string& uid);
    void PutBack(const NodeInfo::Placed& pod);
    // Empty when the pod would pass, with and without those for which room is being made there.
    std::vector<Rejection> RejectionsOf(const PodInfo& pod, const Plugin** rule = nullptr);

   private:
    void Shift(const PodGroup& group, int64_t pods);

    Evaluation& evaluation_;
    const size_t slot_;
    NodeInfo node_;
    std::vector<std::pair<const PodGroup*, int64_t>> shifted_;
  };

 private:
  struct FilterPart;
  struct ScorePart;
  struct Slot {
    uint64_t generation = 0;
    int32_t verdict = kGone;
    bool contested = false;  // room is being made here for pods that go first
    int32_t kind = -1;
    uint32_t position = 0;  // in its list of the kind
    int64_t own_score = 0;  // by what looks at the node alone
  };
  static constexpr int32_t kGone = -1, kPassed = 0;  // else an index of verdicts_
  struct Verdict {
    const Plugin* rule = nullptr;
    std::vector<Rejection> rejections;
  };
  struct Kind {
    std::vector<int64_t> code;
    // The nodes by their own score. The last list is the best.
    absl::btree_map<int64_t, std::vector<uint32_t>> slots;
    int64_t size = 0;
  };
  // Nodes of a kind that passes, or one contested node that does.
  struct Choice {
    int32_t kind = -1;
    size_t slot = 0;  // one of them
    int64_t nodes = 0;
    int64_t score = 0;  // to be added to each node's own score
  };

  void Build();
  bool IsOutdated() const;
  void RescoreAll();
  void Ask(size_t slot);
  void ScoreSlot(size_t slot);
  int32_t VerdictOn(const NodeInfo& node);
  void SortIn(size_t slot);
  void TakeOut(size_t slot);
  const Rejection* JudgePlaces(size_t slot, const Plugin** rule) const;
  std::vector<Rejection> Judge(const PodInfo& pod, const NodeInfo& node, size_t slot,
                               const Plugin** rule) const;
  std::vector<Choice> Choices(const PodInfo& pod);
  void AddNormalized(std::vector<Choice>* choices) const;
  void AddPlaceScores(std::vector<Choice>* choices) const;
  uint64_t ScoreBasis() const;

  const Profile& profile_;
  NodeTable& nodes_;
  const ClusterFacts& facts_;
  const PodInfoPtr pod_;
  api::Selector siblings_;
  uint64_t namespaces_seen_ = 0;
  mutable uint64_t selectors_seen_ = 0;
  uint64_t seen_generation_ = 0;
  uint64_t score_basis_ = 0;

  std::vector<const FilterPlugin*> filters_;
  std::vector<Profile::Weighted<ScorePlugin>> own_scores_;       // final as they are
  std::vector<Profile::Weighted<ScorePlugin>> compared_scores_;  // normalized over nodes
  std::vector<std::unique_ptr<FilterPart>> place_filters_;
  std::vector<std::unique_ptr<ScorePart>> place_scores_;

  std::optional<Explanation> remembered_;
  uint64_t remembered_at_ = 0, budgets_then_ = 0;

  std::vector<Slot> slots_;
  std::vector<int64_t> raw_scores_;  // slot * compared_scores_.size() + score
  std::vector<Verdict> verdicts_;
  std::vector<Kind> kinds_;
  std::vector<int32_t> free_kinds_;
  absl::flat_hash_map<std::vector<int64_t>, int32_t> kind_of_code_;
  std::set<uint32_t> contested_;
  std::vector<uint32_t> dirty_;
};

}  // namespace gantry::scheduler
