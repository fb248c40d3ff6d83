#include "common/accounting.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "node/os/fs.h"

namespace gantry::bench {
namespace {

namespace fs = std::filesystem;

std::string Slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct ProcessInfo {
  pid_t parent = 0;
  bool ours = false;
  bool container = false;
};

pid_t ParentOf(const std::string& stat) {
  const size_t end = stat.rfind(')');  // the program's name may hold anything
  int parent = 0;
  if (end == std::string::npos || std::sscanf(stat.c_str() + end + 1, " %*c %d", &parent) != 1)
    return 0;
  return parent;
}

ino_t PidNamespace(const std::string& process) {
  struct stat st{};
  return stat(("/proc/" + process + "/ns/pid").c_str(), &st) == 0 ? st.st_ino : 0;
}

std::map<pid_t, ProcessInfo> AllProcesses(pid_t server, const std::string& data_dir) {
  std::map<pid_t, ProcessInfo> all;
  const ino_t own = PidNamespace("self");
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (!std::isdigit(static_cast<unsigned char>(name[0]))) continue;
    const pid_t pid = std::atoi(name.c_str());
    ProcessInfo info;
    info.parent = ParentOf(Slurp("/proc/" + name + "/stat"));
    info.container = PidNamespace(name) != own;
    info.ours =
        pid == server || (pid != getpid() && pid != getppid() &&
                          Slurp("/proc/" + name + "/cmdline").find(data_dir) != std::string::npos);
    all[pid] = info;
  }
  return all;
}

bool Ours(const std::map<pid_t, ProcessInfo>& all, pid_t pid) {
  for (auto it = all.find(pid); it != all.end(); it = all.find(it->second.parent)) {
    if (it->second.container) return false;
    if (it->second.ours) return true;
  }
  return false;
}

std::string GroupRoot(bool* v2) {
  *v2 = fs::exists("/sys/fs/cgroup/cgroup.controllers");
  return *v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpuacct";
}

}  // namespace

double ProcessMegabytes(pid_t pid) {
  std::ifstream rollup("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::string word;
  while (rollup >> word) {
    if (word != "Pss:") continue;
    double kibibytes = 0;
    rollup >> kibibytes;
    return kibibytes * 1024 / 1e6;
  }
  return 0;
}

Memory MemoryOf(pid_t server, const std::string& data_dir) {
  const std::map<pid_t, ProcessInfo> all = AllProcesses(server, data_dir);
  Memory memory;
  for (const auto& [pid, info] : all) {
    if (!Ours(all, pid)) continue;
    memory.megabytes += ProcessMegabytes(pid);
    ++memory.processes;
  }
  return memory;
}

Result<std::unique_ptr<CpuGroup>> CpuGroup::Make(const std::string& name) {
  bool v2 = false;
  const std::string path = GroupRoot(&v2) + "/" + name;
  if (mkdir(path.c_str(), 0755) != 0) return FromErrno(errno, "make control group " + path);
  return std::unique_ptr<CpuGroup>(new CpuGroup(path, v2));
}

CpuGroup::~CpuGroup() { rmdir(path_.c_str()); }

Duration CpuGroup::Used() const {
  if (!v2_) return std::chrono::nanoseconds(std::atoll(Slurp(path_ + "/cpuacct.usage").c_str()));
  std::ifstream stat(path_ + "/cpu.stat");
  std::string word;
  int64_t microseconds = 0;
  while (stat >> word) {
    if (word == "usage_usec" && stat >> microseconds) break;
  }
  return std::chrono::microseconds(microseconds);
}

void CpuGroup::RemoveAll(const std::string& prefix) {
  bool v2 = false;
  const std::string root = GroupRoot(&v2);
  for (const std::string& name : node::ListDir(root)) {
    if (name.starts_with(prefix)) rmdir((root + "/" + name).c_str());
  }
}

}  // namespace gantry::bench
