#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/env/time.h"
#include "base/status.h"

namespace gantry::bench {

struct Memory {
  double megabytes = 0;  // 1e6 bytes, proportional set size
  int processes = 0;
};

// All that runs for a server: itself, what it started, and the monitors of its containers (known by
// the data directory on their command line). Processes in a PID namespace of their own, which is
// what containers are, do not count.
Memory MemoryOf(pid_t server, const std::string& data_dir);
// Of one process alone.
double ProcessMegabytes(pid_t pid);

// A control group that counts the processor time of whatever runs in it, exact to the microsecond
// and including what has ended. Containers leave it for groups of their own; monitors and runtime
// commands stay. Removed with the object.
class CpuGroup {
 public:
  // cgroup v2, or the cpuacct hierarchy of v1.
  static Result<std::unique_ptr<CpuGroup>> Make(const std::string& name);
  ~CpuGroup();

  // A process enters the group by writing "0" here.
  std::string ProcsFile() const { return path_ + "/cgroup.procs"; }
  Duration Used() const;

  // Removes what programs of this `prefix` left behind; processes must have ended.
  static void RemoveAll(const std::string& prefix);

 private:
  CpuGroup(std::string path, bool v2) : path_(std::move(path)), v2_(v2) {}

  std::string path_;
  bool v2_;
};

}  // namespace gantry::bench
