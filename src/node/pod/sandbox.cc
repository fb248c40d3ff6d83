#include "node/pod/sandbox.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "api/core/v1/container.pb.h"
#include "api/quantity.h"
#include "node/os/child.h"
#include "node/os/fs.h"
#include "node/os/process.h"
#include "node/pod/pid_holder.h"
#include "node/pod/status.h"

namespace gantry::node {
namespace {

using api::core::v1::Container;
using api::core::v1::Pod;

constexpr size_t kMaxHostname = 64;

Status Pin(const std::string& type, const std::string& path) {
  UniqueFd file(open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0400));
  if (!file) return FromErrno(errno, "create " + path);
  return Mount("/proc/self/ns/" + type, path, "", MS_BIND, "");
}

Status LoopbackUp() {
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return FromErrno(errno, "socket");
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  if (ioctl(fd.get(), SIOCGIFFLAGS, &request) != 0) return FromErrno(errno, "flags of lo");
  request.ifr_flags |= IFF_UP;
  if (ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) return FromErrno(errno, "set lo up");
  return Status::Ok();
}

int64_t Milli(const google::protobuf::Map<std::string, api::resource::Quantity>& list,
              const char* name) {
  auto it = list.find(name);
  return it == list.end() ? 0 : api::Quantity::ParseOrZero(it->second.string()).MilliValue();
}

int64_t Value(const google::protobuf::Map<std::string, api::resource::Quantity>& list,
              const char* name) {
  auto it = list.find(name);
  return it == list.end() ? 0 : api::Quantity::ParseOrZero(it->second.string()).Value();
}

int64_t SharesFor(int64_t milli) { return std::clamp<int64_t>(milli * 1024 / 1000, 2, 262144); }
int64_t QuotaFor(int64_t milli) { return std::max<int64_t>(1000, milli * 100); }

// The larger of what all main containers (with sidecars) need together and what any init container
// needs alone.
template <class Get>
int64_t Total(const Pod& pod, Get get) {
  int64_t together = 0, at_most = 0, sidecars = 0;
  for (const Container& container : pod.spec().containers())
    together += get(container);
  for (const Container& container : pod.spec().init_containers()) {
    if (container.restart_policy() == "Always") {
      sidecars += get(container);
      together += get(container);
      at_most = std::max(at_most, sidecars);
    } else {
      at_most = std::max(at_most, sidecars + get(container));
    }
  }
  return std::max(together, at_most);
}

}  // namespace

Status Sandboxes::Create(const SandboxOptions& options) {
  std::string dir = paths_.Namespaces(options.uid);
  GANTRY_TRY(Remove(options.uid, {}));
  GANTRY_TRY(MakeDirs(dir, 0711));
  GANTRY_TRY(cgroups_.Create(options.cgroup, options.limits));
  int flags = (options.host_network ? 0 : CLONE_NEWNET | CLONE_NEWUTS) |
              (options.host_ipc ? 0 : CLONE_NEWIPC);
  if (flags != 0) {
    GANTRY_TRY(RunInChild(flags, [&]() -> Status {
      if (!options.host_network) {
        if (sethostname(options.hostname.data(), options.hostname.size()) != 0)
          return FromErrno(errno, "set hostname");
        GANTRY_TRY(LoopbackUp());
        GANTRY_TRY(Pin("net", dir + "/net"));
        GANTRY_TRY(Pin("uts", dir + "/uts"));
      }
      if (!options.host_ipc) GANTRY_TRY(Pin("ipc", dir + "/ipc"));
      for (const auto& [name, value] : options.sysctls) {
        std::string path = "/proc/sys/" + name;
        std::replace(path.begin() + 10, path.end(), '.', '/');
        GANTRY_TRY(WriteKernelFile(path, value));
      }
      return Status::Ok();
    }));
  }
  if (options.share_pid) {
    GANTRY_ASSIGN(pid_t holder, StartPidHolder());
    GANTRY_TRY(WriteFile(
        dir + "/holder",
        std::to_string(holder) + " " + std::to_string(ProcessStartTime(holder).value_or(0))));
    GANTRY_TRY(WriteFile(dir + "/pid", ""));
    GANTRY_TRY(Mount("/proc/" + std::to_string(holder) + "/ns/pid", dir + "/pid", "", MS_BIND, ""));
  }
  return WriteFile(dir + "/ready", "");
}

bool Sandboxes::Ready(const std::string& uid) const {
  std::string dir = paths_.Namespaces(uid);
  if (!Exists(dir + "/ready")) return false;
  for (const char* type : {"/net", "/ipc", "/pid"}) {
    if (Exists(dir + type) && !IsMountPoint(dir + type)) return false;
  }
  return true;
}

Status Sandboxes::Remove(const std::string& uid, const std::string& cgroup) {
  std::string dir = paths_.Namespaces(uid);
  unlink((dir + "/ready").c_str());
  if (Result<std::string> holder = ReadFile(dir + "/holder"); holder.ok()) {
    pid_t pid = -1;
    unsigned long start = 0;
    if (std::sscanf(holder->c_str(), "%d %lu", &pid, &start) == 2 &&
        ProcessStartTime(pid) == start) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, __WALL);  // ours only when we started it; otherwise this fails at once
    }
  }
  for (const std::string& name : ListDir(dir)) {
    while (IsMountPoint(dir + "/" + name))
      GANTRY_TRY(Unmount(dir + "/" + name));
  }
  GANTRY_TRY(RemoveTree(dir));
  return cgroup.empty() ? Status::Ok() : cgroups_.Remove(cgroup);
}

std::string Sandboxes::NamespacePath(const std::string& uid, const std::string& type) const {
  std::string path = paths_.Namespaces(uid) + "/" + type;
  return Exists(path) ? path : std::string();
}

std::vector<std::string> Sandboxes::List() const { return ListDir(paths_.run_dir() + "/ns"); }

std::string PodHostname(const Pod& pod, const std::string& cluster_domain) {
  std::string name = !pod.spec().hostname_override().empty() ? pod.spec().hostname_override()
                     : !pod.spec().hostname().empty()        ? pod.spec().hostname()
                                                             : pod.metadata().name();
  // The kernel's bound; a name that would end in a separator loses that, too.
  if (name.size() > 63) name.resize(63);
  while (!name.empty() && (name.back() == '-' || name.back() == '.'))
    name.pop_back();
  if (pod.spec().set_hostname_as_fqdn() && !pod.spec().subdomain().empty()) {
    name +=
        "." + pod.spec().subdomain() + "." + pod.metadata().namespace_() + ".svc." + cluster_domain;
  }
  return name;
}

Status CheckHostname(const std::string& hostname) {
  if (hostname.size() <= kMaxHostname) return Status::Ok();
  return Status(Code::kInvalid,
                "failed to construct FQDN from pod hostname and cluster domain, FQDN " + hostname +
                    " is too long (" + std::to_string(kMaxHostname) + " characters is the max, " +
                    std::to_string(hostname.size()) + " characters requested)");
}

SandboxOptions SandboxOptionsFor(const Pod& pod, const std::string& instance_cgroup,
                                 const std::string& cluster_domain) {
  SandboxOptions options;
  options.uid = pod.metadata().uid();
  options.hostname = PodHostname(pod, cluster_domain);
  options.host_network = pod.spec().host_network();
  options.host_ipc = pod.spec().host_ipc();
  options.share_pid = pod.spec().share_process_namespace() && !pod.spec().host_pid();
  for (const auto& sysctl : pod.spec().security_context().sysctls())
    options.sysctls.emplace_back(sysctl.name(), sysctl.value());
  options.cgroup = PodCgroup(pod, instance_cgroup);
  options.limits = PodLimits(pod);
  return options;
}

std::string PodCgroup(const Pod& pod, const std::string& instance_cgroup) {
  std::string qos = QosClass(pod.spec());
  std::string parent = qos == "Guaranteed" ? "" : qos == "Burstable" ? "/burstable" : "/besteffort";
  return instance_cgroup + "/kubepods" + parent + "/pod" + pod.metadata().uid();
}

CgroupLimits PodLimits(const Pod& pod) {
  CgroupLimits limits;
  limits.cpu_shares = SharesFor(Total(pod, [](const Container& c) {
    int64_t request = Milli(c.resources().requests(), "cpu");
    return request > 0 ? request : Milli(c.resources().limits(), "cpu");
  }));
  bool all_cpu = true, all_memory = true;
  for (const Container& container : pod.spec().containers()) {
    all_cpu &= Milli(container.resources().limits(), "cpu") > 0;
    all_memory &= Value(container.resources().limits(), "memory") > 0;
  }
  for (const Container& container : pod.spec().init_containers()) {
    all_cpu &= Milli(container.resources().limits(), "cpu") > 0;
    all_memory &= Value(container.resources().limits(), "memory") > 0;
  }
  if (all_cpu)
    limits.cpu_quota_us = QuotaFor(
        Total(pod, [](const Container& c) { return Milli(c.resources().limits(), "cpu"); }));
  if (all_memory)
    limits.memory_bytes =
        Total(pod, [](const Container& c) { return Value(c.resources().limits(), "memory"); });
  return limits;
}

CgroupLimits ContainerLimits(const Container& container) {
  CgroupLimits limits;
  int64_t request = Milli(container.resources().requests(), "cpu"),
          limit = Milli(container.resources().limits(), "cpu");
  limits.cpu_shares = SharesFor(request > 0 || limit == 0 ? request : limit);
  if (limit > 0) limits.cpu_quota_us = QuotaFor(limit);
  if (int64_t memory = Value(container.resources().limits(), "memory"); memory > 0)
    limits.memory_bytes = memory;
  return limits;
}

}  // namespace gantry::node
