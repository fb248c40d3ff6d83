#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/env/time.h"
#include "node/machine.h"
#include "node/runtime/cgroup.h"

namespace gantry::node {

// What the node and its pods have used so far, at one moment.

struct InterfaceUsage {
  std::string name;
  uint64_t received_bytes = 0, received_errors = 0;
  uint64_t sent_bytes = 0, sent_errors = 0;
};

struct ContainerUsage {
  std::string name, id, image, cgroup;
  pid_t pid = -1;  // of its first process
  WallTime started_at{};
  CgroupUsage used;
};

struct PodUsage {
  std::string ns, name, uid, cgroup;
  bool host_network = false;
  WallTime started_at{};
  CgroupUsage used;
  std::vector<InterfaceUsage> interfaces;  // none for a pod in the machine's own network
  std::vector<ContainerUsage> containers;
};

struct NodeUsage {
  std::string node_name;
  WallTime now{};
  WallTime booted_at{};
  MachineFacts machine;
  CgroupUsage used;
  std::vector<InterfaceUsage> interfaces;
  std::vector<PodUsage> pods;
};

// The interfaces of /proc/PID/net/dev (its text) but for the loopback.
std::vector<InterfaceUsage> ParseInterfaces(const std::string& text);

// The kubelet's /stats/summary (JSON), /metrics/resource and /metrics/cadvisor (Prometheus' text).
std::string StatsSummary(const NodeUsage& usage);
std::string ResourceMetrics(const NodeUsage& usage);
std::string CadvisorMetrics(const NodeUsage& usage);

}  // namespace gantry::node
