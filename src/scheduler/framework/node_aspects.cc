#include "scheduler/framework/node_aspects.h"

namespace gantry::scheduler {

void NodeAspects::Add(const api::core::v1::NodeSelectorTerm& term) {
  for (const auto& requirement : term.match_expressions())
    labels.insert(requirement.key());
  for (const auto& requirement : term.match_fields())
    names.insert(requirement.values().begin(), requirement.values().end());
}

void NodeAspects::Add(const api::core::v1::NodeSelector& selector) {
  for (const auto& term : selector.node_selector_terms())
    Add(term);
}

void NodeAspects::AddPlacementOf(const api::core::v1::PodSpec& pod) {
  for (const auto& [key, value] : pod.node_selector())
    labels.insert(key);
  Add(pod.affinity().node_affinity().required_during_scheduling_ignored_during_execution());
}

}  // namespace gantry::scheduler
