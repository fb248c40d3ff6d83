#pragma once

#include <algorithm>
#include <string>

#include "scheduler/framework/node_info.h"

namespace gantry::scheduler {

// The amount of a resource, by its name.
inline int64_t AmountOf(const Resources& resources, const std::string& name) {
  if (name == "cpu") return resources.milli_cpu;
  if (name == "memory") return resources.memory;
  if (name == "ephemeral-storage") return resources.ephemeral_storage;
  if (name == "pods") return resources.pods;
  auto it = resources.others.find(name);
  return it == resources.others.end() ? 0 : it->second;
}

// Resources that few nodes have: "example.com/gpu", "hugepages-2Mi".
inline bool IsScalar(const std::string& name) {
  return name != "cpu" && name != "memory" && name != "ephemeral-storage" && name != "pods";
}

}  // namespace gantry::scheduler
