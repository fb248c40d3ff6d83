#include "node/runtime/cgroup.h"

#include <dirent.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <set>
#include <sstream>

#include "node/os/fs.h"

namespace gantry::node {
namespace {

constexpr const char* kRoot = "/sys/fs/cgroup";
constexpr const char* kUsed[] = {"cpu", "cpuacct", "memory", "pids"};

int64_t ReadNumber(const std::string& path) {
  Result<std::string> text = ReadFile(path);
  int64_t value = 0;
  if (text.ok()) std::from_chars(text->data(), text->data() + text->size(), value);
  return value;
}

// The figures of a file of the kernel with a name and a number on each line.
class Figures {
 public:
  explicit Figures(const std::string& path) {
    std::istringstream in(ReadFile(path).value_or(""));
    std::string name;
    int64_t value = 0;
    while (in >> name >> value)
      figures_.emplace(name, value);
  }
  int64_t Get(std::string_view name) const {
    auto found = figures_.find(name);
    return found == figures_.end() ? 0 : found->second;
  }

 private:
  std::map<std::string, int64_t, std::less<>> figures_;
};

// The groups below one. Each also has dozens of files: the kernel says which is which.
std::vector<std::string> Groups(const std::string& dir) {
  std::vector<std::string> names;
  DIR* entries = opendir(dir.c_str());
  if (entries == nullptr) return names;
  while (dirent* entry = readdir(entries)) {
    std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.emplace_back(name);
  }
  closedir(entries);
  std::sort(names.begin(), names.end());
  return names;
}

void CollectProcesses(const std::string& dir, std::set<pid_t>* pids) {
  if (Result<std::string> text = ReadFile(dir + "/cgroup.procs"); text.ok()) {
    std::istringstream in(*text);
    for (pid_t pid; in >> pid;)
      pids->insert(pid);
  }
  for (const std::string& name : Groups(dir))
    CollectProcesses(dir + "/" + name, pids);
}

Status RemoveGroup(const std::string& dir) {
  if (rmdir(dir.c_str()) == 0 || errno == ENOENT) return Status::Ok();
  for (const std::string& name : Groups(dir))
    (void)RemoveGroup(dir + "/" + name);
  // Processes that were just killed leave their group a moment later.
  for (int attempt = 0; attempt < 200; ++attempt) {
    if (rmdir(dir.c_str()) == 0 || errno == ENOENT) return Status::Ok();
    if (errno != EBUSY) break;
    usleep(5000);
  }
  return FromErrno(errno, "remove cgroup " + dir);
}

Status EnableControllers(const std::string& mount, const std::string& path) {
  std::string at = mount;
  for (size_t begin = 1; begin < path.size();) {
    size_t end = std::min(path.find('/', begin), path.size());
    for (const char* controller : {"+cpu", "+memory", "+pids", "+cpuset", "+io"}) {
      (void)WriteKernelFile(at + "/cgroup.subtree_control", controller);
    }
    at += "/" + path.substr(begin, end - begin);
    if (mkdir(at.c_str(), 0755) != 0 && errno != EEXIST)
      return FromErrno(errno, "make cgroup " + at);
    begin = end + 1;
  }
  return Status::Ok();
}

}  // namespace

int64_t CpuWeight(int64_t shares) {
  if (shares < 2) shares = 2;
  if (shares > 262144) shares = 262144;
  return 1 + ((shares - 2) * 9999) / 262142;
}

Result<Cgroups> Cgroups::Detect() {
  Cgroups cgroups;
  struct statfs fs{};
  if (statfs(kRoot, &fs) != 0) return FromErrno(errno, kRoot);
  if (fs.f_type == CGROUP2_SUPER_MAGIC) {
    cgroups.v2_ = true;
    cgroups.mounts_[""] = kRoot;
    return cgroups;
  }
  Result<std::string> mounts = ReadFile("/proc/self/mounts");
  GANTRY_TRY(mounts);
  std::istringstream in(*mounts);
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string device, point, type, options;
    fields >> device >> point >> type >> options;
    if (type == "cgroup2") {
      Result<std::string> controllers = ReadFile(point + "/cgroup.controllers");
      if (controllers.ok() && controllers->size() > 1) cgroups.hybrid_mount_ = point;
    }
    if (type != "cgroup") continue;
    std::istringstream list(options);
    for (std::string option; std::getline(list, option, ',');) {
      if (std::find(std::begin(kUsed), std::end(kUsed), option) != std::end(kUsed))
        cgroups.mounts_[option] = point;
    }
  }
  for (const char* needed : {"cpu", "memory"}) {
    if (!cgroups.mounts_.contains(needed)) {
      return Status(Code::kNotFound, std::string("no cgroup hierarchy with the ") + needed +
                                         " controller is mounted");
    }
  }
  return cgroups;
}

std::string Cgroups::Controller(const std::string& name) const {
  auto it = mounts_.find(v2_ ? "" : name);
  return it == mounts_.end() ? std::string() : it->second;
}

Status Cgroups::Create(const std::string& path, const CgroupLimits& limits) const {
  if (v2_) {
    std::string mount = Controller("");
    GANTRY_TRY(EnableControllers(mount, path));
    std::string dir = mount + path;
    if (limits.cpu_shares)
      GANTRY_TRY(
          WriteKernelFile(dir + "/cpu.weight", std::to_string(CpuWeight(*limits.cpu_shares))));
    if (limits.cpu_quota_us) {
      GANTRY_TRY(WriteKernelFile(dir + "/cpu.max", std::to_string(*limits.cpu_quota_us) + " " +
                                                       std::to_string(limits.cpu_period_us)));
    }
    if (limits.memory_bytes)
      GANTRY_TRY(WriteKernelFile(dir + "/memory.max", std::to_string(*limits.memory_bytes)));
    if (limits.pids) GANTRY_TRY(WriteKernelFile(dir + "/pids.max", std::to_string(*limits.pids)));
    return Status::Ok();
  }
  std::set<std::string> made;
  for (const auto& [controller, mount] : mounts_) {
    if (made.insert(mount).second) GANTRY_TRY(MakeDirs(mount + path));
  }
  std::string cpu = Controller("cpu") + path, memory = Controller("memory") + path;
  if (limits.cpu_shares)
    GANTRY_TRY(WriteKernelFile(cpu + "/cpu.shares", std::to_string(*limits.cpu_shares)));
  if (limits.cpu_quota_us) {
    GANTRY_TRY(WriteKernelFile(cpu + "/cpu.cfs_period_us", std::to_string(limits.cpu_period_us)));
    GANTRY_TRY(WriteKernelFile(cpu + "/cpu.cfs_quota_us", std::to_string(*limits.cpu_quota_us)));
  }
  if (limits.memory_bytes) {
    GANTRY_TRY(
        WriteKernelFile(memory + "/memory.limit_in_bytes", std::to_string(*limits.memory_bytes)));
  }
  if (std::string pids = Controller("pids"); limits.pids && !pids.empty()) {
    GANTRY_TRY(WriteKernelFile(pids + path + "/pids.max", std::to_string(*limits.pids)));
  }
  return Status::Ok();
}

std::vector<pid_t> Cgroups::Processes(const std::string& path) const {
  std::set<pid_t> pids;
  std::string mount = v2_ ? Controller("") : Controller("memory");
  CollectProcesses(mount + path, &pids);
  return {pids.begin(), pids.end()};
}

std::string Cgroups::OwnProcessesFile() const {
  // "4:memory:/path", or "0::/path" for v2.
  const std::string wanted = v2_ ? "" : "memory";
  std::istringstream in(ReadFile("/proc/self/cgroup").value_or(""));
  for (std::string line; std::getline(in, line);) {
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    if (line.substr(first + 1, second - first - 1) != wanted) continue;
    std::string file = Controller(wanted) + line.substr(second + 1) + "/cgroup.procs";
    return Exists(file) ? file : std::string();
  }
  return {};
}

Status Cgroups::Remove(const std::string& path) const {
  for (pid_t pid : Processes(path))
    kill(pid, SIGKILL);
  Status status;
  if (v2_) return RemoveGroup(Controller("") + path);
  // The runtime makes the container's group in hierarchies that we do not use ourselves, too.
  std::set<std::string> hierarchies;
  for (const auto& [controller, mount] : mounts_)
    hierarchies.insert(mount);
  for (const std::string& name : Groups(kRoot))
    hierarchies.insert(std::string(kRoot) + "/" + name);
  for (const std::string& mount : hierarchies) {
    if (Status s = RemoveGroup(mount + path); !s.ok()) status = s;
  }
  return status;
}

std::vector<std::string> Cgroups::Children(const std::string& path) const {
  std::string dir = (v2_ ? Controller("") : Controller("memory")) + path;
  return Groups(dir);
}

Result<CgroupUsage> Cgroups::Usage(const std::string& path) const {
  CgroupUsage usage;
  int64_t inactive = 0;
  if (v2_) {
    std::string dir = Controller("") + path;
    if (!Exists(dir)) return Status(Code::kNotFound, "cgroup " + path + " not found");
    usage.cpu_nanoseconds = Figures(dir + "/cpu.stat").Get("usage_usec") * 1000;
    const Figures memory(dir + "/memory.stat");
    usage.memory_bytes = ReadNumber(dir + "/memory.current");
    usage.rss_bytes = memory.Get("anon");
    usage.page_faults = memory.Get("pgfault");
    usage.major_page_faults = memory.Get("pgmajfault");
    inactive = memory.Get("inactive_file");
    usage.pids = ReadNumber(dir + "/pids.current");
    // The root group has no figure of its own.
    if (path == "/") usage.memory_bytes = usage.rss_bytes + memory.Get("file");
  } else {
    std::string dir = Controller("memory") + path;
    if (!Exists(dir)) return Status(Code::kNotFound, "cgroup " + path + " not found");
    if (std::string cpu = Controller("cpuacct"); !cpu.empty())
      usage.cpu_nanoseconds = ReadNumber(cpu + path + "/cpuacct.usage");
    const Figures memory(dir + "/memory.stat");
    usage.memory_bytes = ReadNumber(dir + "/memory.usage_in_bytes");
    usage.rss_bytes = memory.Get("total_rss");
    usage.page_faults = memory.Get("total_pgfault");
    usage.major_page_faults = memory.Get("total_pgmajfault");
    inactive = memory.Get("total_inactive_file");
    if (std::string pids = Controller("pids"); !pids.empty())
      usage.pids = ReadNumber(pids + path + "/pids.current");
  }
  usage.working_set_bytes = std::max<int64_t>(0, usage.memory_bytes - inactive);
  return usage;
}

}  // namespace gantry::node
