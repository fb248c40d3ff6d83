#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/core/v1/node.pb.h"
#include "api/object.h"
#include "base/env/time.h"

namespace gantry::controllers {

// How fast pods are driven from nodes that do not answer. When many nodes of a zone fall silent at
// once, what broke is rather the way to them.
struct EvictionRates {
  double nodes_per_second = 0.1;
  double nodes_per_second_when_unhealthy = 0.01;  // 0 in zones of `small_zone` nodes and fewer
  double unhealthy_share = 0.55;
  int small_zone = 50;
};

enum class ZoneState : unsigned char {
  kNormal,
  kPartialDisruption,  // more than two nodes, and at least `unhealthy_share` of all, not ready
  kFullDisruption,     // all nodes not ready
};

struct Zone {
  ZoneState state = ZoneState::kNormal;
  // The time from one node to the next; the maximum: none at all.
  Duration interval = Duration::zero();
};

// Region and zone of a node, as one string.
std::string ZoneOf(const api::core::v1::Node& node);

std::map<std::string, Zone> JudgeZones(const std::vector<api::Ref<api::core::v1::Node>>& nodes,
                                       const EvictionRates& rates);

// True when there is no zone in which any node is ready: then nobody is evicted.
bool AllDisrupted(const std::map<std::string, Zone>& zones);

}  // namespace gantry::controllers
