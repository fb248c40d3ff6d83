#pragma once

#include <string>
#include <string_view>

namespace gantry::node {

// Where the node agent keeps what. All of it can be found again after kill -9; what is under
// run_dir is gone after a reboot, as the containers are.
//
//   DATA/images/index.json            images by name and id
//   DATA/images/configs/<sha256>      image configurations as they came
//   DATA/layers/<chain id>/           one unpacked layer, the lower directory of overlays
//   DATA/pods/<uid>/pod.pb            who the pod is (for clean-up without an API server)
//   DATA/pods/<uid>/volumes/<kind>/<name>/
//   DATA/pods/<uid>/containers/<name>/<attempt>/    one run of a container, its home:
//       record.json layers termination-log rootfs/ upper/ work/
//   DATA/logs/<namespace>_<name>_<uid>/<container>/<attempt>.log
//   RUN/runtime/                      the OCI runtime's own state
//   RUN/bundles/<uid>/<name>/<attempt>/             the same run's OCI bundle:
//       config.json process pid exit oom attach ctl stop-signal
//   RUN/exits/                        conmon writes one file per exited container here
//   RUN/ns/<uid>/{net,ipc,uts,pid}    pinned namespaces
//   RUN/ns/<uid>/etc/                 hosts, resolv.conf, hostname
//   RUN/ns/<uid>/shm/                 the pod's /dev/shm
//   RUN/ns/<uid>/volumes/<name>/      secrets and tokens; RUN/ns is a file system in memory
//   RUN/crun                          the runtime's program, read-only
// Threading: immutable.
class Paths {
 public:
  explicit Paths(std::string data_dir);

  const std::string& data_dir() const { return data_dir_; }
  // Eight hex digits that stand for the data directory in names of the kernel (cgroups, run
  // directory).
  const std::string& instance() const { return instance_; }
  const std::string& run_dir() const { return run_dir_; }

  std::string Images() const { return data_dir_ + "/images"; }
  std::string Layers() const { return data_dir_ + "/layers"; }
  std::string Pods() const { return data_dir_ + "/pods"; }
  std::string Pod(std::string_view uid) const;
  std::string Volume(std::string_view uid, std::string_view kind, std::string_view name) const;
  std::string Containers(std::string_view uid) const { return Pod(uid) + "/containers"; }
  std::string Home(std::string_view uid, std::string_view container, int attempt) const;
  std::string Bundles(std::string_view uid) const;
  std::string Bundle(std::string_view uid, std::string_view container, int attempt) const;
  std::string Logs() const { return data_dir_ + "/logs"; }
  std::string PodLogs(std::string_view ns, std::string_view name, std::string_view uid) const;

  std::string RuntimeState() const { return run_dir_ + "/runtime"; }
  std::string Exits() const { return run_dir_ + "/exits"; }
  std::string Namespaces(std::string_view uid) const;
  std::string PodEtc(std::string_view uid) const { return Namespaces(uid) + "/etc"; }
  // Of volumes whose contents must never touch the disk.
  std::string MemoryVolumes(std::string_view uid) const { return Namespaces(uid) + "/volumes"; }
  std::string PodShm(std::string_view uid) const { return Namespaces(uid) + "/shm"; }
  // The parent of all cgroups of this instance, relative to each hierarchy's root.
  std::string CgroupRoot() const { return "/gantry-" + instance_; }

 private:
  std::string data_dir_, instance_, run_dir_;
};

}  // namespace gantry::node
