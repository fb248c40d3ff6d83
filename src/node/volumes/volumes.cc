#include "node/volumes/volumes.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "api/core/v1/volume.pb.h"
#include "api/quantity.h"
#include "node/os/fs.h"

namespace gantry::node {
namespace {

using api::core::v1::Volume;
using api::core::v1::VolumeSource;

std::string KindOf(const VolumeSource& source) {
  if (source.has_empty_dir()) return "empty-dir";
  if (source.has_config_map()) return "configmap";
  if (source.has_secret()) return "secret";
  if (source.has_downward_api()) return "downward-api";
  if (source.has_projected()) return "projected";
  return "other";
}

std::optional<int64_t> FsGroup(const api::core::v1::Pod& pod) {
  const auto& context = pod.spec().security_context();
  return context.has_fs_group() ? std::optional<int64_t>(context.fs_group()) : std::nullopt;
}

Status GiveToGroup(const std::string& path, int64_t group) {
  if (chown(path.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(group)) != 0)
    return FromErrno(errno, "chown " + path);
  if (chmod(path.c_str(), 02777) != 0) return FromErrno(errno, "chmod " + path);
  return Status::Ok();
}

Status SetUpHostPath(const api::core::v1::HostPathVolumeSource& source) {
  const std::string& path = source.path();
  const std::string& type = source.type();
  struct stat st{};
  bool there = stat(path.c_str(), &st) == 0;
  if (type == "DirectoryOrCreate" && !there) return MakeDirs(path, 0755);
  if (type == "FileOrCreate" && !there) {
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0644));
    return fd ? Status::Ok() : FromErrno(errno, "create " + path);
  }
  if (type.empty()) return there ? Status::Ok() : MakeDirs(path, 0755);
  struct Check {
    std::string_view type;
    mode_t kind;
    std::string_view name;
  };
  constexpr Check kChecks[] = {
      {"DirectoryOrCreate", S_IFDIR, "directory"}, {"Directory", S_IFDIR, "directory"},
      {"FileOrCreate", S_IFREG, "file"},           {"File", S_IFREG, "file"},
      {"Socket", S_IFSOCK, "socket file"},         {"CharDevice", S_IFCHR, "character device"},
      {"BlockDevice", S_IFBLK, "block device"}};
  for (const Check& check : kChecks) {
    if (check.type != type) continue;
    if (there && (st.st_mode & S_IFMT) == check.kind) return Status::Ok();
    return Status(Code::kInvalid,
                  "hostPath type check failed: " + path + " is not a " + std::string(check.name));
  }
  return Status(Code::kInvalid, type + " is an invalid volume type");
}

Status MountTmpfs(const std::string& path, int64_t bytes) {
  GANTRY_TRY(MakeDirs(path, 0755));
  if (IsMountPoint(path)) return Status::Ok();
  std::string data = "mode=0777";
  if (bytes > 0) data += ",size=" + std::to_string(bytes);
  return Mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, data);
}

}  // namespace

std::string PodVolumes::PathOf(const Volume& volume) const {
  const VolumeSource& source = volume.volume_source();
  if (source.has_host_path()) return source.host_path().path();
  if (source.has_secret() || source.has_projected())
    return paths_.MemoryVolumes(uid_) + "/" + volume.name();
  return paths_.Volume(uid_, KindOf(source), volume.name());
}

Status PodVolumes::SetUp(const Volume& volume, const PayloadInputs& in) {
  const VolumeSource& source = volume.volume_source();
  std::string path = PathOf(volume);
  std::optional<int64_t> group = FsGroup(*in.pod);
  if (source.has_host_path()) return SetUpHostPath(source.host_path());
  if (HasPayload(source)) {
    GANTRY_ASSIGN(Payload payload, BuildPayload(source, in));
    return WritePayload(path, payload, group);
  }
  if (source.has_empty_dir()) {
    const std::string& medium = source.empty_dir().medium();
    bool memory = medium == "Memory";
    // What it was once given is the containers' to change.
    bool fresh = memory ? !IsMountPoint(path) : !Exists(path);
    if (memory) {
      int64_t limit = 0;
      if (source.empty_dir().has_size_limit())
        limit = api::Quantity::ParseOrZero(source.empty_dir().size_limit().string()).Value();
      GANTRY_TRY(MountTmpfs(path, limit));
    } else if (medium.empty()) {
      GANTRY_TRY(MakeDirs(path, 0777));
      if (fresh && chmod(path.c_str(), 0777) != 0) return FromErrno(errno, "chmod " + path);
    } else {
      return Status(Code::kInvalid, "unsupported storage medium \"" + medium + "\"");
    }
    return fresh && group ? GiveToGroup(path, *group) : Status::Ok();
  }
  if (source.ByteSizeLong() == 0) {  // an empty source is an emptyDir
    return MakeDirs(path, 0777);
  }
  return Status(Code::kInvalid, "no volume plugin matched");
}

Result<std::string> PodVolumes::SubPath(const Volume& volume, const std::string& container,
                                        int mount_index, const std::string& sub_path) {
  std::string base = PathOf(volume);
  UniqueFd root(open(base.c_str(), O_PATH | O_CLOEXEC));
  if (!root) return FromErrno(errno, "open " + base);
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  auto resolve = [&](const std::string& path) {
    return UniqueFd(
        static_cast<int>(syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)));
  };
  UniqueFd part = resolve(sub_path);
  if (!part && errno == ENOENT) {
    std::string so_far;
    for (size_t begin = 0; begin <= sub_path.size();) {
      size_t end = std::min(sub_path.find('/', begin), sub_path.size());
      UniqueFd above = so_far.empty() ? UniqueFd(dup(root.get())) : resolve(so_far);
      if (!above) return FromErrno(errno, "open " + base + "/" + so_far);
      std::string name = sub_path.substr(begin, end - begin);
      if (mkdirat(above.get(), name.c_str(), 0755) == 0) {
        struct stat st{};
        if (stat(base.c_str(), &st) == 0)
          (void)fchmodat(above.get(), name.c_str(), st.st_mode & 07777, 0);
        if (stat(base.c_str(), &st) == 0 &&
            fchownat(above.get(), name.c_str(), st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
          return FromErrno(errno, "chown " + name);
        }
      } else if (errno != EEXIST) {
        return FromErrno(errno, "mkdir " + name);
      }
      so_far += (so_far.empty() ? "" : "/") + name;
      begin = end + 1;
    }
    part = resolve(sub_path);
  }
  if (!part) {
    if (errno == EXDEV || errno == ELOOP)
      return Status(Code::kInvalid,
                    "subpath \"" + sub_path + "\" not within volume path \"" + base + "\"");
    return FromErrno(errno, "subpath " + sub_path);
  }
  std::string target = paths_.Pod(uid_) + "/volume-subpaths/" + container + "/" + volume.name() +
                       "-" + std::to_string(mount_index);
  while (IsMountPoint(target))
    GANTRY_TRY(Unmount(target));
  (void)RemoveTree(target);
  struct stat st{};
  if (fstat(part.get(), &st) != 0) return FromErrno(errno, "stat " + sub_path);
  if (S_ISDIR(st.st_mode)) {
    GANTRY_TRY(MakeDirs(target, 0755));
  } else {
    GANTRY_TRY(MakeDirs(target.substr(0, target.rfind('/')), 0755));
    GANTRY_TRY(WriteFile(target, ""));
  }
  GANTRY_TRY(
      Mount("/proc/self/fd/" + std::to_string(part.get()), target, "", MS_BIND | MS_REC, ""));
  return target;
}

Status PodVolumes::DropSubPaths(const std::string& container) {
  std::string root = paths_.Pod(uid_) + "/volume-subpaths/" + container;
  for (const std::string& name : ListDir(root)) {
    while (IsMountPoint(root + "/" + name))
      GANTRY_TRY(Unmount(root + "/" + name));
  }
  return RemoveTree(root);
}

Status PodVolumes::TearDown() {
  std::string pod = paths_.Pod(uid_);
  // CONTAINER/NAME and KIND/NAME
  GANTRY_TRY(UnmountBelow(pod + "/volume-subpaths", 2));
  GANTRY_TRY(UnmountBelow(pod + "/volumes", 2));
  GANTRY_TRY(RemoveTree(pod + "/volume-subpaths"));
  GANTRY_TRY(RemoveTree(paths_.MemoryVolumes(uid_)));
  return RemoveTree(pod + "/volumes");
}

}  // namespace gantry::node
