#include "scheduler/framework/node_info.h"

#include <algorithm>

namespace gantry::scheduler {

void NodeInfo::Add(const PodInfoPtr& pod, PodGroup* group) {
  const PodShape& shape = *pod->shape;
  requested.Add(shape.requests);
  score_milli_cpu += shape.score_requests.milli_cpu;
  score_memory += shape.score_requests.memory;
  auto held = std::find_if(groups.begin(), groups.end(),
                           [&](const auto& entry) { return entry.first == group; });
  if (held == groups.end()) {
    groups.emplace_back(group, 1);
  } else {
    ++held->second;
  }
  pods.emplace(pod->uid(), Placed{pod, group});
}

void NodeInfo::Remove(const std::string& uid) {
  auto it = pods.find(uid);
  if (it == pods.end()) return;
  const PodShape& shape = *it->second.pod->shape;
  requested.Subtract(shape.requests);
  score_milli_cpu -= shape.score_requests.milli_cpu;
  score_memory -= shape.score_requests.memory;
  auto held = std::find_if(groups.begin(), groups.end(),
                           [&](const auto& entry) { return entry.first == it->second.group; });
  if (--held->second == 0) {
    *held = groups.back();
    groups.pop_back();
  }
  pods.erase(it);
}

}  // namespace gantry::scheduler
