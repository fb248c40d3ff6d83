#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/selector.h"

namespace gantry::scheduler {

// Labels of a namespace; those of one that nobody knows are empty.
using api::LabelMap;

// The selector, parsed. One that is invalid selects nothing.
api::Selector SelectorOrNothing(const api::meta::v1::LabelSelector& selector);

// One pod affinity term with its selectors parsed: which pods it means, and what counts as beside
// them. The API server has made matchLabelKeys and mismatchLabelKeys part of the selector.
// Threading: immutable.
struct AffinityTerm {
  AffinityTerm(const api::core::v1::PodAffinityTerm& term, const std::string& own_ns);

  // Whether it means pods with these labels in this namespace.
  bool Matches(const std::string& ns, const LabelMap& labels, const LabelMap& ns_labels) const;

  api::Selector selector;
  std::set<std::string> namespaces;
  std::optional<api::Selector> namespace_selector;
  std::string topology_key;
};

struct WeightedTerm {
  AffinityTerm term;
  int64_t weight = 0;
};

// What a pod asks of its distance to other pods.
struct PodTerms {
  PodTerms() = default;
  explicit PodTerms(const api::core::v1::Pod& pod);

  bool empty() const {
    return required_affinity.empty() && required_anti_affinity.empty() &&
           preferred_affinity.empty() && preferred_anti_affinity.empty();
  }

  std::vector<AffinityTerm> required_affinity;
  std::vector<AffinityTerm> required_anti_affinity;
  std::vector<WeightedTerm> preferred_affinity;
  std::vector<WeightedTerm> preferred_anti_affinity;
};

}  // namespace gantry::scheduler
