#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "node/runtime/cgroup.h"

namespace gantry::node {

struct OciMount {
  std::string destination, type, source;
  std::vector<std::string> options;
};

struct OciRlimit {
  std::string type;
  uint64_t soft = 0, hard = 0;
};

enum class Seccomp : uint8_t { kUnconfined, kRuntimeDefault, kLocalhost };

// One container in the terms of the OCI runtime specification. Everything is resolved: nothing here
// refers to the API.
struct ContainerSpec {
  std::vector<std::string> args, env;
  std::string cwd = "/";
  uint32_t uid = 0, gid = 0;
  std::vector<uint32_t> additional_gids;
  std::vector<std::string> capabilities;  // "CAP_CHOWN"
  bool no_new_privileges = false;
  bool read_only_root = false;
  bool privileged = false;
  bool terminal = false;
  bool unmasked_proc = false;
  int oom_score_adj = 0;
  std::string root = "rootfs";
  std::string root_propagation;  // "", "rslave", "rshared"
  // Type and path; an empty path is a new namespace. What is not named is the host's.
  std::vector<std::pair<std::string, std::string>> namespaces;
  std::vector<OciMount> mounts;
  std::vector<OciRlimit> rlimits;
  std::string cgroups_path;
  CgroupLimits limits;
  Seccomp seccomp = Seccomp::kUnconfined;
  std::string seccomp_profile;  // JSON of the profile for kLocalhost
};

// The bundle's config.json.
std::string BuildOciConfig(const ContainerSpec& spec);

// The process document for an exec inside a container with this config.json. kDataLoss when that
// does not parse.
Result<std::string> BuildExecProcess(const std::string& config,
                                     const std::vector<std::string>& command, bool terminal);

// The capabilities that containers get by default, and all that this process can give away
// ("CAP_…").
const std::vector<std::string>& DefaultCapabilities();
const std::vector<std::string>& AllCapabilities();

// The mounts that every container has: /proc, /dev, /dev/pts, /dev/mqueue, /sys, /sys/fs/cgroup.
std::vector<OciMount> StandardMounts(bool privileged, bool host_network);

}  // namespace gantry::node
