#include "node/cleanup.h"

#include <signal.h>
#include <unistd.h>

#include <set>

#include "node/os/fs.h"
#include "node/os/process.h"
#include "node/paths.h"
#include "node/runtime/cgroup.h"

namespace gantry::node {
namespace {

// Processes whose command line names one of these directories: the monitors of the containers.
std::set<pid_t> ProcessesThatName(const std::string& program, const std::string& directory) {
  std::set<pid_t> pids;
  for (const std::string& name : ListDir("/proc")) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    Result<std::string> line = ReadFile("/proc/" + name + "/cmdline");
    if (!line.ok() || line->find(program) == std::string::npos ||
        line->find(directory) == std::string::npos)
      continue;
    pids.insert(std::atoi(name.c_str()));
  }
  return pids;
}

}  // namespace

Status CleanUpNode(const std::string& data_dir) {
  Paths paths(data_dir);
  Status result;
  auto note = [&result](Status status) {
    if (!status.ok()) result = std::move(status);
  };
  // Monitors first: they would report and log what follows.
  for (pid_t pid : ProcessesThatName("conmon", paths.run_dir() + "/"))
    kill(pid, SIGKILL);
  if (Result<Cgroups> cgroups = Cgroups::Detect(); cgroups.ok())
    note(cgroups->Remove(paths.CgroupRoot()));
  for (const std::string& uid : ListDir(paths.run_dir() + "/ns")) {
    Result<std::string> holder = ReadFile(paths.Namespaces(uid) + "/holder");
    int pid = 0;
    unsigned long start = 0;
    if (holder.ok() && std::sscanf(holder->c_str(), "%d %lu", &pid, &start) == 2 &&
        ProcessStartTime(pid) == start) {
      kill(pid, SIGKILL);
    }
  }
  for (const std::string& prefix : {paths.run_dir(), paths.Pods()}) {
    for (const std::string& mount : MountsBelow(prefix))
      note(Unmount(mount));
  }
  note(RemoveTree(paths.run_dir()));
  rmdir("/run/gantry");
  note(RemoveTree(paths.Pods()));
  note(RemoveTree(paths.Logs()));
  return result;
}

}  // namespace gantry::node
