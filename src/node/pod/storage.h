#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "api/core/v1/pod.pb.h"

namespace gantry::node {

// What a pod keeps on the node's disk, in bytes: by emptyDir volume (those in memory left out), and
// by container (what it wrote to its own root and to its log).
struct StorageUsage {
  std::map<std::string, int64_t, std::less<>> volumes, containers;
};

// Whether anything limits what the pod may keep there.
bool HasStorageLimit(const api::core::v1::Pod& pod);

// Why the pod has to be evicted, as the kubelet words it; empty: it need not be. Pure.
std::string StorageExceeded(const api::core::v1::Pod& pod, const StorageUsage& usage);

}  // namespace gantry::node
