#pragma once

#include <string>
#include <utility>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "base/status.h"
#include "node/paths.h"
#include "node/runtime/cgroup.h"

namespace gantry::node {

// What a pod's containers share: pinned namespaces (no process holds them) and a control group.
struct SandboxOptions {
  std::string uid, hostname;
  bool host_network = false;
  bool host_ipc = false;
  bool share_pid = false;  // a tiny process is then the first of the shared pid namespace
  std::vector<std::pair<std::string, std::string>> sysctls;
  std::string cgroup;
  CgroupLimits limits;
};

// Threading: any thread, one call per pod at a time. Calls block for a few milliseconds.
class Sandboxes {
 public:
  Sandboxes(const Paths& paths, const Cgroups& cgroups) : paths_(paths), cgroups_(cgroups) {}

  Status Create(const SandboxOptions& options);
  // It stands as Create left it (a reboot takes it away).
  bool Ready(const std::string& uid) const;
  // Idempotent; kills the pid holder, lets go of the namespaces, removes the control group.
  Status Remove(const std::string& uid, const std::string& cgroup);

  // Empty when the pod uses the host's.
  std::string NamespacePath(const std::string& uid, const std::string& type) const;
  // Pods that have a sandbox.
  std::vector<std::string> List() const;

 private:
  const Paths& paths_;
  const Cgroups& cgroups_;
};

// Options for a pod. `instance_cgroup`: Paths::CgroupRoot().
SandboxOptions SandboxOptionsFor(const api::core::v1::Pod& pod, const std::string& instance_cgroup,
                                 const std::string& cluster_domain);

// Where the pod's group lies: "/gantry-x/kubepods/burstable/pod<uid>".
std::string PodCgroup(const api::core::v1::Pod& pod, const std::string& instance_cgroup);
// The limits of the pod's group, and of one container's.
CgroupLimits PodLimits(const api::core::v1::Pod& pod);
CgroupLimits ContainerLimits(const api::core::v1::Container& container);
// The pod's host name as its containers see it.
std::string PodHostname(const api::core::v1::Pod& pod, const std::string& cluster_domain);
// Whether the kernel takes it.
Status CheckHostname(const std::string& hostname);

}  // namespace gantry::node
