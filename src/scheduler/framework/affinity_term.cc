#include "scheduler/framework/affinity_term.h"

#include "api/meta/v1/selector.pb.h"

namespace gantry::scheduler {

api::Selector SelectorOrNothing(const api::meta::v1::LabelSelector& selector) {
  Result<api::Selector> parsed = api::Selector::From(selector);
  return parsed.ok() ? *std::move(parsed) : api::Selector::Nothing();
}

AffinityTerm::AffinityTerm(const api::core::v1::PodAffinityTerm& term, const std::string& own_ns)
    : selector(term.has_label_selector() ? SelectorOrNothing(term.label_selector())
                                         : api::Selector::Nothing()),
      namespaces(term.namespaces().begin(), term.namespaces().end()),
      topology_key(term.topology_key()) {
  if (term.has_namespace_selector()) {
    namespace_selector = SelectorOrNothing(term.namespace_selector());
  } else if (namespaces.empty()) {
    namespaces.insert(own_ns);
  }
}

bool AffinityTerm::Matches(const std::string& ns, const LabelMap& labels,
                           const LabelMap& ns_labels) const {
  const bool in_namespace =
      namespaces.contains(ns) || (namespace_selector && namespace_selector->Matches(ns_labels));
  return in_namespace && selector.Matches(labels);
}

PodTerms::PodTerms(const api::core::v1::Pod& pod) {
  const std::string& ns = pod.metadata().namespace_();
  auto read = [&](const auto& from, auto* required, auto* preferred) {
    for (const auto& term : from.required_during_scheduling_ignored_during_execution())
      required->emplace_back(term, ns);
    for (const auto& term : from.preferred_during_scheduling_ignored_during_execution()) {
      if (term.weight() != 0)
        preferred->push_back({AffinityTerm(term.pod_affinity_term(), ns), term.weight()});
    }
  };
  const auto& affinity = pod.spec().affinity();
  read(affinity.pod_affinity(), &required_affinity, &preferred_affinity);
  read(affinity.pod_anti_affinity(), &required_anti_affinity, &preferred_anti_affinity);
}

}  // namespace gantry::scheduler
