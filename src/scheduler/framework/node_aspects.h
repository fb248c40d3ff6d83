#pragma once

#include <set>
#include <string>

#include "api/core/v1/pod.pb.h"

namespace gantry::scheduler {

// What rules look at of a node's object. Nodes that are alike in it get the same answers from them.
struct NodeAspects {
  std::set<std::string> labels;      // the values of these labels
  std::set<std::string> has_labels;  // whether it has these labels at all
  std::set<std::string> names;       // whether its name is one of these
  bool taints = false;               // these, and whether it is unschedulable

  // What decides whether the node matches.
  void Add(const api::core::v1::NodeSelectorTerm& term);
  void Add(const api::core::v1::NodeSelector& selector);
  // The pod's nodeSelector and its required node affinity.
  void AddPlacementOf(const api::core::v1::PodSpec& pod);
};

}  // namespace gantry::scheduler
