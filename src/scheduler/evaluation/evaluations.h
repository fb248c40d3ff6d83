#pragma once

#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "scheduler/evaluation/evaluation.h"

namespace gantry::scheduler {

// The evaluations of the shapes that were asked for last. Threading: the scheduler's strand.
class Evaluations {
 public:
  // Both outlive it.
  Evaluations(NodeTable& nodes, const ClusterFacts& facts) : nodes_(nodes), facts_(facts) {}

  // That of the pod's shape under this profile (which outlives it), up to date. Valid until the
  // next call.
  Evaluation& For(const Profile& profile, const PodInfoPtr& pod);

 private:
  struct Entry {
    std::string key;
    std::unique_ptr<Evaluation> evaluation;
  };

  std::string KeyOf(const Profile& profile, const PodInfo& pod) const;

  NodeTable& nodes_;
  const ClusterFacts& facts_;
  std::list<Entry> by_use_;  // the last used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
};

}  // namespace gantry::scheduler
