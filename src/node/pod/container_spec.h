#pragma once

#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "node/images/image_store.h"
#include "node/pod/containers.h"
#include "node/pod/environment.h"
#include "node/runtime/oci_config.h"

namespace gantry::node {

// A mount of a volume whose source is known.
struct ResolvedMount {
  std::string source, destination, propagation;
  bool read_only = false;
};

struct ContainerSpecInputs {
  const api::core::v1::Pod* pod = nullptr;
  const ContainerEntry* entry = nullptr;
  const ImageConfig* image = nullptr;
  EnvironmentList environment;
  std::vector<ResolvedMount> mounts;
  std::string root;     // where the container's root is mounted on the host: users and groups are
                        // looked up there
  std::string pod_etc;  // hosts, resolv.conf, hostname
  std::string termination_log;
  std::string shm;     // a shared /dev/shm of the pod; empty: the host's
  std::string cgroup;  // of this container
  std::string network_namespace, ipc_namespace, uts_namespace, pid_namespace;  // empty: see below
  std::string seccomp_dir;                                                     // localhost profiles
  std::string hostname;
  int64_t memory_capacity = 0;
};

// Everything that the OCI runtime has to know. Errors are worded as the kubelet's (runAsNonRoot and
// so on). Reads the image's user and group files. A namespace without path: the host's for pods
// that ask for it, else a new one.
Result<ContainerSpec> BuildContainerSpec(const ContainerSpecInputs& inputs);

// The OOM score adjustment by quality of service.
int OomScoreAdjustment(const api::core::v1::Pod& pod, const api::core::v1::Container& container,
                       int64_t memory_capacity);

// The contents of the pod's /etc/hosts.
std::string HostsFile(const api::core::v1::Pod& pod, const std::string& hostname,
                      const std::string& cluster_domain, const std::vector<std::string>& pod_ips);

}  // namespace gantry::node
