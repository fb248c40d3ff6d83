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

// One pod affinity term with its selectors parsed: which pods it means, and what counts as beside
// them. matchLabelKeys and mismatchLabelKeys are part of the selector. Threading: immutable.
struct AffinityTerm {
  AffinityTerm(const api::core::v1::PodAffinityTerm& term, const std::string& own_ns,
               const LabelMap& own_labels);

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

using LabelKeys = google::protobuf::RepeatedPtrField<std::string>;

// `selector` with "key in (the pod's value)" for each of `match_keys` that the pod has, and "key
// not in" for each of `mismatch_keys`. An invalid selector matches nothing.
api::Selector SelectorWithKeys(const api::meta::v1::LabelSelector& selector,
                               const LabelKeys& match_keys, const LabelKeys& mismatch_keys,
                               const LabelMap& pod_labels);

}  // namespace gantry::scheduler
