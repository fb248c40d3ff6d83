#pragma once

#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"

namespace gantry::api {

// Node selectors as pods, volumes and preferences use them. An invalid requirement matches nothing.

bool MatchesTerm(const core::v1::NodeSelectorTerm& term, const core::v1::Node& node);
// Any of its terms; a selector without terms matches nothing.
bool Matches(const core::v1::NodeSelector& selector, const core::v1::Node& node);
// The pod's nodeSelector and its required node affinity.
bool MatchesPodPlacement(const core::v1::PodSpec& pod, const core::v1::Node& node);

}  // namespace gantry::api
