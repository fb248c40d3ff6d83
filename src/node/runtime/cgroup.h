#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace gantry::node {

struct CgroupLimits {
  std::optional<int64_t> cpu_shares;    // as in cgroup v1, 2..262144
  std::optional<int64_t> cpu_quota_us;  // per cpu_period_us
  int64_t cpu_period_us = 100000;
  std::optional<int64_t> memory_bytes;
  std::optional<int64_t> pids;
};

struct CgroupUsage {
  int64_t cpu_nanoseconds = 0;
  int64_t memory_bytes = 0;
  int64_t working_set_bytes = 0;  // without inactive file pages, as the kubelet counts
  int64_t rss_bytes = 0;          // of the processes themselves
  int64_t page_faults = 0, major_page_faults = 0;
  int64_t pids = 0;
};

// cpu.weight of cgroup v2 for a number of shares of v1.
int64_t CpuWeight(int64_t shares);

// The control groups of this machine: v2, v1, or a hybrid, which is used as v1. Paths are relative
// to each hierarchy's root ("/gantry-1a2b/kubepods"). Calls do quick system calls. Threading:
// immutable after Detect.
class Cgroups {
 public:
  // kNotFound when no usable hierarchy is mounted.
  static Result<Cgroups> Detect();

  bool v2() const { return v2_; }
  // Where a v2 hierarchy with controllers is mounted beside v1 ones; empty otherwise.
  const std::string& hybrid_mount() const { return hybrid_mount_; }

  // Makes the group (and its parents) and sets its limits.
  Status Create(const std::string& path, const CgroupLimits& limits) const;
  // Kills what is in it and removes it with all groups below. "Not there" is success.
  Status Remove(const std::string& path) const;
  std::vector<pid_t> Processes(const std::string& path) const;
  // The file that moves a process into the group where we are; empty when we cannot see it.
  std::string OwnProcessesFile() const;
  Result<CgroupUsage> Usage(const std::string& path) const;
  // Of the machine's root group.
  std::vector<std::string> Children(const std::string& path) const;

 private:
  std::string Controller(const std::string& name) const;

  bool v2_ = false;
  std::map<std::string, std::string> mounts_;  // controller -> mount point; v2: "" -> mount point
  std::string hybrid_mount_;
};

}  // namespace gantry::node
