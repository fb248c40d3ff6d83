#include "apiserver/registry/pod_label_keys.h"

#include "api/core/v1/affinity.pb.h"
#include "api/meta/v1/selector.pb.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Pod;
using api::core::v1::PodAffinityTerm;
using Keys = google::protobuf::RepeatedPtrField<std::string>;

void MergeInto(PodAffinityTerm* term, const Pod& pod) {
  if (!term->has_label_selector()) return;
  auto add = [&](const Keys& keys, const char* op) {
    for (const std::string& key : keys) {
      const auto label = pod.metadata().labels().find(key);
      if (label == pod.metadata().labels().end()) continue;
      auto* requirement = term->mutable_label_selector()->add_match_expressions();
      requirement->set_key(key);
      requirement->set_operator_(op);
      requirement->add_values(label->second);
    }
  };
  add(term->match_label_keys(), "In");
  add(term->mismatch_label_keys(), "NotIn");
}

template <typename Terms>
void MergeIntoAll(Terms* terms, const Pod& pod) {
  for (auto& term : *terms->mutable_required_during_scheduling_ignored_during_execution())
    MergeInto(&term, pod);
  for (auto& term : *terms->mutable_preferred_during_scheduling_ignored_during_execution())
    MergeInto(term.mutable_pod_affinity_term(), pod);
}

}  // namespace

void MergeLabelKeys(Pod* pod) {
  if (!pod->spec().has_affinity()) return;
  auto* affinity = pod->mutable_spec()->mutable_affinity();
  if (affinity->has_pod_affinity()) MergeIntoAll(affinity->mutable_pod_affinity(), *pod);
  if (affinity->has_pod_anti_affinity()) MergeIntoAll(affinity->mutable_pod_anti_affinity(), *pod);
}

}  // namespace gantry::apiserver
