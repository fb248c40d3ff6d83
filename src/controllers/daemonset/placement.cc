#include "controllers/daemonset/placement.h"

#include <algorithm>

#include "api/node_selector.h"
#include "api/owners.h"
#include "api/tolerations.h"
#include "controllers/history/history.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::DaemonSet;
using api::core::v1::Node;
using api::core::v1::NodeSelectorRequirement;
using api::core::v1::NodeSelectorTerm;
using api::core::v1::Pod;
using api::core::v1::PodSpec;
using api::core::v1::Taint;
using api::core::v1::Toleration;

// What daemons put up with: they often are what makes a node well again.
constexpr struct {
  const char* key;
  const char* effect;
  bool host_network_only;
} kTolerated[] = {
    {"node.kubernetes.io/not-ready", "NoExecute", false},
    {"node.kubernetes.io/unreachable", "NoExecute", false},
    {"node.kubernetes.io/disk-pressure", "NoSchedule", false},
    {"node.kubernetes.io/memory-pressure", "NoSchedule", false},
    {"node.kubernetes.io/pid-pressure", "NoSchedule", false},
    {"node.kubernetes.io/unschedulable", "NoSchedule", false},
    {"node.kubernetes.io/network-unavailable", "NoSchedule", true},
};

bool SameToleration(const Toleration& a, const Toleration& b) {
  return a.key() == b.key() && a.operator_() == b.operator_() && a.value() == b.value() &&
         a.effect() == b.effect() && a.toleration_seconds() == b.toleration_seconds() &&
         a.has_toleration_seconds() == b.has_toleration_seconds();
}

void AddTolerations(PodSpec* spec) {
  for (const auto& row : kTolerated) {
    if (row.host_network_only && !spec->host_network()) continue;
    Toleration toleration;
    toleration.set_key(row.key);
    toleration.set_operator_("Exists");
    toleration.set_effect(row.effect);
    const auto& have = spec->tolerations();
    if (std::none_of(have.begin(), have.end(),
                     [&](const Toleration& one) { return SameToleration(one, toleration); })) {
      *spec->add_tolerations() = std::move(toleration);
    }
  }
}

void SetNode(const std::string& node, NodeSelectorTerm* term) {
  term->clear_match_fields();
  NodeSelectorRequirement* field = term->add_match_fields();
  field->set_key("metadata.name");
  field->set_operator_("In");
  field->add_values(node);
}

// Every alternative of the template's required affinity also asks for the node.
void TieTo(const std::string& node, PodSpec* spec) {
  auto* terms = spec->mutable_affinity()
                    ->mutable_node_affinity()
                    ->mutable_required_during_scheduling_ignored_during_execution()
                    ->mutable_node_selector_terms();
  if (terms->empty()) terms->Add();
  for (NodeSelectorTerm& term : *terms)
    SetNode(node, &term);
}

bool AllTolerated(const PodSpec& spec, const Node& node, std::string_view effect) {
  const auto& taints = node.spec().taints();
  return std::all_of(taints.begin(), taints.end(), [&](const Taint& taint) {
    return taint.effect() != effect || api::FindToleration(spec.tolerations(), taint);
  });
}

}  // namespace

Placement PlacementOn(const DaemonSet& set, const Node& node) {
  PodSpec spec = set.spec().template_().spec();
  if (!spec.node_name().empty() && spec.node_name() != node.metadata().name()) return {};
  if (!api::MatchesPodPlacement(spec, node)) return {};
  AddTolerations(&spec);
  Placement placement;
  placement.keep = AllTolerated(spec, node, "NoExecute");
  placement.run = placement.keep && AllTolerated(spec, node, "NoSchedule");
  return placement;
}

Pod MakeDaemonPod(const DaemonSet& set, const std::string& hash, const std::string& node) {
  const auto& from = set.spec().template_();
  Pod pod;
  auto* meta = pod.mutable_metadata();
  *meta->mutable_labels() = from.metadata().labels();
  (*meta->mutable_labels())[kRevisionHashLabel] = hash;
  *meta->mutable_annotations() = from.metadata().annotations();
  *meta->mutable_finalizers() = from.metadata().finalizers();
  meta->set_namespace_(set.metadata().namespace_());
  meta->set_generate_name(set.metadata().name() + "-");
  *meta->add_owner_references() = api::MakeControllerRef(api::KindOf<DaemonSet>(), set.metadata());
  *pod.mutable_spec() = from.spec();
  AddTolerations(pod.mutable_spec());
  TieTo(node, pod.mutable_spec());
  return pod;
}

std::string NodeOfDaemonPod(const Pod& pod) {
  if (!pod.spec().node_name().empty()) return pod.spec().node_name();
  const auto& affinity = pod.spec().affinity().node_affinity();
  for (const NodeSelectorTerm& term :
       affinity.required_during_scheduling_ignored_during_execution().node_selector_terms()) {
    for (const NodeSelectorRequirement& field : term.match_fields()) {
      if (field.key() == "metadata.name" && field.values_size() == 1) return field.values(0);
    }
  }
  return "";
}

}  // namespace gantry::controllers
