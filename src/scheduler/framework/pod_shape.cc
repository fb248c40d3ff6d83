#include "scheduler/framework/pod_shape.h"

#include <algorithm>

#include "api/meta/v1/selector.pb.h"
#include "api/pod_resources.h"
#include "api/same.h"

namespace gantry::scheduler {
namespace {

using api::core::v1::Pod;
using api::core::v1::PodSpec;

// A container that asks for nothing still counts when nodes are compared, so that such pods spread.
constexpr int64_t kDefaultMilliCpu = 100;
constexpr int64_t kDefaultMemory = 200 * 1024 * 1024;

constexpr std::string_view kNumbers[] = {"apps.kubernetes.io/pod-index",
                                         "batch.kubernetes.io/job-completion-index",
                                         "statefulset.kubernetes.io/pod-name"};

const api::meta::v1::OwnerReference* ControllerOf(const Pod& pod) {
  for (const auto& owner : pod.metadata().owner_references()) {
    if (owner.controller()) return &owner;
  }
  return nullptr;
}

std::string GroupKeyOf(const Pod& pod) {
  Pod part;
  part.mutable_metadata()->set_namespace_(pod.metadata().namespace_());
  *part.mutable_metadata()->mutable_labels() = pod.metadata().labels();
  const auto& affinity = pod.spec().affinity();
  if (affinity.has_pod_affinity())
    *part.mutable_spec()->mutable_affinity()->mutable_pod_affinity() = affinity.pod_affinity();
  if (affinity.has_pod_anti_affinity())
    *part.mutable_spec()->mutable_affinity()->mutable_pod_anti_affinity() =
        affinity.pod_anti_affinity();
  return api::StableBytes(part);
}

// With "key in (the pod's value)" for each of matchLabelKeys that the pod has.
api::Selector SelectorOf(const api::core::v1::TopologySpreadConstraint& constraint,
                         const LabelMap& labels) {
  api::meta::v1::LabelSelector whole = constraint.label_selector();
  for (const std::string& key : constraint.match_label_keys()) {
    const auto label = labels.find(key);
    if (label == labels.end()) continue;
    auto* requirement = whole.add_match_expressions();
    requirement->set_key(key);
    requirement->set_operator_("In");
    requirement->add_values(label->second);
  }
  return SelectorOrNothing(whole);
}

SpreadConstraint ReadConstraint(const api::core::v1::TopologySpreadConstraint& from,
                                const LabelMap& labels) {
  SpreadConstraint constraint;
  constraint.topology_key = from.topology_key();
  constraint.max_skew = from.max_skew();
  constraint.min_domains = from.has_min_domains() ? from.min_domains() : 1;
  constraint.hard = from.when_unsatisfiable() == "DoNotSchedule";
  constraint.selector =
      from.has_label_selector() ? SelectorOf(from, labels) : api::Selector::Nothing();
  constraint.honor_affinity = from.node_affinity_policy() != "Ignore";
  constraint.honor_taints = from.node_taints_policy() == "Honor";
  return constraint;
}

// Empty when the pod has no such labels.
std::string UnnumberedSignatureOf(const Pod& pod) {
  const auto& labels = pod.metadata().labels();
  if (std::none_of(std::begin(kNumbers), std::end(kNumbers),
                   [&](std::string_view key) { return labels.contains(std::string(key)); }))
    return {};
  Pod copy = pod;
  for (const std::string_view key : kNumbers)
    copy.mutable_metadata()->mutable_labels()->erase(std::string(key));
  return PodShape::SignatureOf(copy);
}

}  // namespace

bool LooksAtNumbers(const api::Selector& selector) {
  const auto requirements = selector.requirements();
  return std::any_of(requirements.begin(), requirements.end(), [](const auto& requirement) {
    return std::find(std::begin(kNumbers), std::end(kNumbers), requirement.key) !=
           std::end(kNumbers);
  });
}

bool LooksAtNumbers(const PodTerms& terms) {
  auto looks = [](const AffinityTerm& term) { return LooksAtNumbers(term.selector); };
  auto weighted = [&](const WeightedTerm& term) { return looks(term.term); };
  return std::any_of(terms.required_affinity.begin(), terms.required_affinity.end(), looks) ||
         std::any_of(terms.required_anti_affinity.begin(), terms.required_anti_affinity.end(),
                     looks) ||
         std::any_of(terms.preferred_affinity.begin(), terms.preferred_affinity.end(), weighted) ||
         std::any_of(terms.preferred_anti_affinity.begin(), terms.preferred_anti_affinity.end(),
                     weighted);
}

// The service account token volume has a random name in each pod and decides nothing.
std::string PodShape::SignatureOf(const Pod& pod) {
  Pod part;
  part.mutable_metadata()->set_namespace_(pod.metadata().namespace_());
  *part.mutable_metadata()->mutable_labels() = pod.metadata().labels();
  const PodSpec& from = pod.spec();
  if (const auto* owner = ControllerOf(pod)) {
    auto* named = part.mutable_metadata()->add_owner_references();
    named->set_kind(owner->kind());
    named->set_name(owner->name());
  }
  PodSpec* spec = part.mutable_spec();
  *spec->mutable_node_selector() = from.node_selector();
  if (from.has_affinity()) *spec->mutable_affinity() = from.affinity();
  *spec->mutable_tolerations() = from.tolerations();
  *spec->mutable_topology_spread_constraints() = from.topology_spread_constraints();
  *spec->mutable_overhead() = from.overhead();
  if (from.has_resources()) *spec->mutable_resources() = from.resources();
  spec->set_priority(from.priority());
  auto copy = [](const auto& containers, auto* out) {
    for (const auto& container : containers) {
      auto* slim = out->Add();
      slim->set_image(container.image());
      *slim->mutable_resources() = container.resources();
      *slim->mutable_ports() = container.ports();
      slim->set_restart_policy(container.restart_policy());
    }
  };
  copy(from.containers(), spec->mutable_containers());
  copy(from.init_containers(), spec->mutable_init_containers());
  for (const auto& volume : from.volumes()) {
    if (volume.volume_source().has_persistent_volume_claim()) *spec->add_volumes() = volume;
  }
  return api::StableBytes(part);
}

PodShape::PodShape(const Pod& pod, std::string signature)
    : signature(std::move(signature)),
      ns(pod.metadata().namespace_()),
      labels(pod.metadata().labels()),
      priority(pod.spec().priority()),
      requests(Resources::From(api::PodRequests(pod))),
      host_ports(api::HostPortsOf(pod)),
      terms(pod),
      group_key(GroupKeyOf(pod)) {
  if (const auto* owner = ControllerOf(pod)) {
    owner_kind = owner->kind();
    owner_name = owner->name();
  }
  requests.pods = 1;
  score_requests = requests;
  // What the pod as a whole asks for takes the place of what its containers leave out.
  const auto& whole = pod.spec().resources().requests();
  for (const auto& container : pod.spec().containers()) {
    const auto& asks = container.resources().requests();
    if (!asks.contains("cpu") && !whole.contains("cpu"))
      score_requests.milli_cpu += kDefaultMilliCpu;
    if (!asks.contains("memory") && !whole.contains("memory"))
      score_requests.memory += kDefaultMemory;
  }
  for (const auto& constraint : pod.spec().topology_spread_constraints())
    spread.push_back(ReadConstraint(constraint, labels));
  const bool looks = LooksAtNumbers(terms) ||
                     std::any_of(spread.begin(), spread.end(), [](const auto& constraint) {
                       return LooksAtNumbers(constraint.selector);
                     });
  if (!looks) unnumbered_signature = UnnumberedSignatureOf(pod);
}

PodShapePtr PodShapes::Of(const Pod& pod) {
  std::string signature = PodShape::SignatureOf(pod);
  auto [it, added] = shapes_.try_emplace(signature);
  if (PodShapePtr shape = it->second.lock()) return shape;
  auto shape = std::make_shared<const PodShape>(pod, std::move(signature));
  it->second = shape;
  if (added && shapes_.size() >= next_sweep_) DropUnused();
  return shape;
}

void PodShapes::DropUnused() {
  std::erase_if(shapes_, [](const auto& entry) { return entry.second.expired(); });
  next_sweep_ = std::max<size_t>(1024, 2 * shapes_.size());
}

}  // namespace gantry::scheduler
