#include "scheduler/framework/affinity_term.h"

#include "api/meta/v1/selector.pb.h"

namespace gantry::scheduler {

api::Selector SelectorWithKeys(const api::meta::v1::LabelSelector& selector,
                               const LabelKeys& match_keys, const LabelKeys& mismatch_keys,
                               const LabelMap& pod_labels) {
  api::meta::v1::LabelSelector whole = selector;
  auto add = [&](const LabelKeys& keys, const char* op) {
    for (const std::string& key : keys) {
      auto label = pod_labels.find(key);
      if (label == pod_labels.end()) continue;
      auto* requirement = whole.add_match_expressions();
      requirement->set_key(key);
      requirement->set_operator_(op);
      requirement->add_values(label->second);
    }
  };
  add(match_keys, "In");
  add(mismatch_keys, "NotIn");
  Result<api::Selector> parsed = api::Selector::From(whole);
  return parsed.ok() ? *std::move(parsed) : api::Selector::Nothing();
}

AffinityTerm::AffinityTerm(const api::core::v1::PodAffinityTerm& term, const std::string& own_ns,
                           const LabelMap& own_labels)
    : selector(term.has_label_selector()
                   ? SelectorWithKeys(term.label_selector(), term.match_label_keys(),
                                      term.mismatch_label_keys(), own_labels)
                   : api::Selector::Nothing()),
      namespaces(term.namespaces().begin(), term.namespaces().end()),
      topology_key(term.topology_key()) {
  if (term.has_namespace_selector()) {
    Result<api::Selector> parsed = api::Selector::From(term.namespace_selector());
    namespace_selector = parsed.ok() ? *std::move(parsed) : api::Selector::Nothing();
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
  const LabelMap& labels = pod.metadata().labels();
  auto read = [&](const auto& from, auto* required, auto* preferred) {
    for (const auto& term : from.required_during_scheduling_ignored_during_execution())
      required->emplace_back(term, ns, labels);
    for (const auto& term : from.preferred_during_scheduling_ignored_during_execution()) {
      if (term.weight() != 0)
        preferred->push_back({AffinityTerm(term.pod_affinity_term(), ns, labels), term.weight()});
    }
  };
  const auto& affinity = pod.spec().affinity();
  read(affinity.pod_affinity(), &required_affinity, &preferred_affinity);
  read(affinity.pod_anti_affinity(), &required_anti_affinity, &preferred_anti_affinity);
}

}  // namespace gantry::scheduler
