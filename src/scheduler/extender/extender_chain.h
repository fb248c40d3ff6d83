#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/extender/extender.h"

namespace gantry::scheduler {

// All extenders, asked one after another. Threading: one strand.
class ExtenderChain {
 public:
  static Result<ExtenderChain> Make(Env& env, const std::vector<ExtenderConfig>& configs);

  // Whether the decision about the pod has to wait for any.
  bool AnyInterested(const PodInfo& pod) const;
  // The one that binds the pod; null when it is bound by the scheduler.
  Extender* BinderOf(const PodInfo& pod) const;
  // What a pod that they turned away waits for: anything.
  const Plugin& rule() const { return *rule_; }

  struct Candidate {
    api::Ref<api::core::v1::Node> node;
    int64_t score = 0;  // by the scheduler's own rules
  };
  struct Choice {
    std::vector<std::string> best;       // nodes with the highest score; none when none is left
    std::map<std::string, int> reasons;  // why nodes were turned away, and how many
    std::vector<std::string> refused;    // those that may be taken when pods go from them
  };
  Task<Result<Choice>> Choose(PodInfoPtr pod, std::vector<Candidate> candidates);
  Task<Result<Extender::Candidates>> Preempt(PodInfoPtr pod, Extender::Candidates candidates,
                                             Extender::PodsByNode on_node);
  Task<> Stop();

 private:
  ExtenderChain() = default;
  Task<Status> Filter(const PodInfoPtr& pod, std::vector<Candidate>* candidates, Choice* choice);
  Task<> Prioritize(const PodInfoPtr& pod, std::vector<Candidate>* candidates);

  std::vector<std::unique_ptr<Extender>> extenders_;
  std::shared_ptr<const Plugin> rule_;
};

}  // namespace gantry::scheduler
