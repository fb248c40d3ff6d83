#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/host_ports.h"
#include "scheduler/framework/affinity_term.h"
#include "scheduler/framework/resources.h"

namespace gantry::scheduler {

// A topology spread constraint, its selector parsed with matchLabelKeys.
struct SpreadConstraint {
  std::string topology_key;
  int32_t max_skew = 1;
  int32_t min_domains = 1;
  bool hard = false;  // DoNotSchedule
  api::Selector selector;
  bool honor_affinity = true;
  bool honor_taints = false;
};

// The part of a pod that decides where it may go, worked out once and shared by all pods that are
// alike in it: the replicas of a template. Threading: immutable.
struct PodShape {
  // `signature` as SignatureOf gives it.
  PodShape(const api::core::v1::Pod& pod, std::string signature);
  // Canonical bytes of what the shape is made from: pods with equal signatures have equal shapes
  // and get the same answers from every rule.
  static std::string SignatureOf(const api::core::v1::Pod& pod);

  std::string signature;
  // Of a pod with labels that number the pods of its owner (StatefulSet, indexed Job): the
  // signature without these. Pods that are equal in it get the same answers too, unless another
  // pod's terms or a service's selector look at such a label. Empty when there are none, or its own
  // terms do.
  std::string unnumbered_signature;
  std::string ns;
  LabelMap labels;
  int32_t priority = 0;
  // The controller that owns it, for the selectors of default constraints.
  std::string owner_kind;
  std::string owner_name;
  Resources requests;        // pods = 1
  Resources score_requests;  // as `requests`, with the scheduler's minimum for containers that ask
                             // for nothing
  std::vector<api::HostPort> host_ports;
  PodTerms terms;
  std::vector<SpreadConstraint> spread;
  // Equal for pods that count alike in the rules about other pods: namespace, labels, pod affinity.
  std::string group_key;
};
// Whether the selector, or any of the terms, looks at a label that numbers pods.
bool LooksAtNumbers(const api::Selector& selector);
bool LooksAtNumbers(const PodTerms& terms);

using PodShapePtr = std::shared_ptr<const PodShape>;

// Finds the shape of a pod, made once for all that are alike. Threading: one at a time.
class PodShapes {
 public:
  PodShapePtr Of(const api::core::v1::Pod& pod);

 private:
  void DropUnused();

  std::unordered_map<std::string, std::weak_ptr<const PodShape>> shapes_;
  size_t next_sweep_ = 1024;
};

}  // namespace gantry::scheduler
