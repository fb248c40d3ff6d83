#include "node/os/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

namespace gantry::node {
namespace {

Status WriteAll(int fd, std::string_view contents, const std::string& path) {
  while (!contents.empty()) {
    ssize_t n = write(fd, contents.data(), contents.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return FromErrno(errno, "write " + path);
    }
    contents.remove_prefix(static_cast<size_t>(n));
  }
  return Status::Ok();
}

bool IsMountRoot(int dir_fd, const char* name) {
  struct statx st{};
  if (statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &st) != 0) return false;
  return (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

Status RemoveAt(int dir_fd, const char* name, const std::string& path) {
  if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT) return Status::Ok();
  if (errno != EISDIR && errno != EPERM) return FromErrno(errno, "remove " + path);
  if (IsMountRoot(dir_fd, name)) return InternalError("remove " + path + ": it is a mount point");
  int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    return errno == ENOENT ? Status::Ok() : FromErrno(errno, "open " + path);
  }
  DIR* dir = fdopendir(fd);
  if (dir == nullptr) {
    close(fd);
    return FromErrno(errno, "read " + path);
  }
  Status status;
  while (dirent* entry = readdir(dir)) {
    std::string_view child = entry->d_name;
    if (child == "." || child == "..") continue;
    if (Status s = RemoveAt(dirfd(dir), entry->d_name, path + "/" + entry->d_name); !s.ok()) {
      status = s;
    }
  }
  closedir(dir);
  if (!status.ok()) return status;
  if (unlinkat(dir_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return FromErrno(errno, "remove " + path);
  }
  return Status::Ok();
}

void AddUsage(int dir_fd, const char* name, std::set<std::pair<dev_t, ino_t>>* seen,
              int64_t* total) {
  struct stat st{};
  if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (st.st_nlink > 1 && !S_ISDIR(st.st_mode) && !seen->insert({st.st_dev, st.st_ino}).second) {
    return;
  }
  *total += st.st_blocks * 512;
  if (!S_ISDIR(st.st_mode)) return;
  int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  DIR* dir = fdopendir(fd);
  if (dir == nullptr) {
    close(fd);
    return;
  }
  while (dirent* entry = readdir(dir)) {
    std::string_view child = entry->d_name;
    if (child != "." && child != "..") AddUsage(dirfd(dir), entry->d_name, seen, total);
  }
  closedir(dir);
}

// Undoes the octal escapes of /proc/self/mountinfo.
std::string Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                      (text[i + 3] - '0')));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

}  // namespace

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

Result<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return FromErrno(errno, "open " + path);
  std::string out;
  char buffer[16384];
  while (true) {
    ssize_t n = read(fd.get(), buffer, sizeof buffer);
    if (n < 0) {
      if (errno == EINTR) continue;
      return FromErrno(errno, "read " + path);
    }
    if (n == 0) return out;
    out.append(buffer, static_cast<size_t>(n));
    if (out.size() > max_bytes) return InternalError("read " + path + ": larger than expected");
  }
}

Status WriteFile(const std::string& path, std::string_view contents, mode_t mode) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd) return FromErrno(errno, "open " + path);
  return WriteAll(fd.get(), contents, path);
}

Status WriteKernelFile(const std::string& path, std::string_view contents) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return FromErrno(errno, "open " + path);
  if (write(fd.get(), contents.data(), contents.size()) < 0) {
    return FromErrno(errno, "write \"" + std::string(contents) + "\" to " + path);
  }
  return Status::Ok();
}

Status WriteFileAtomic(const std::string& path, std::string_view contents, mode_t mode, bool sync) {
  std::string temporary = path + ".XXXXXX";
  UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));
  // Errors name the file that is meant: the same failure has the same words, and one event.
  if (!fd) return FromErrno(errno, "create " + path);
  Status status = WriteAll(fd.get(), contents, path);
  if (status.ok() && fchmod(fd.get(), mode) != 0) status = FromErrno(errno, "chmod " + path);
  if (status.ok() && sync && fsync(fd.get()) != 0) status = FromErrno(errno, "fsync " + path);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = FromErrno(errno, "rename " + temporary + " to " + path);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  if (sync) {
    std::string parent = path.substr(0, path.rfind('/'));
    UniqueFd dir(open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (dir) fsync(dir.get());
  }
  return Status::Ok();
}

bool Exists(const std::string& path) {
  struct stat st{};
  return lstat(path.c_str(), &st) == 0;
}

Status MakeDirs(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return Status::Ok();
  if (errno != ENOENT) return FromErrno(errno, "mkdir " + path);
  size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0) return FromErrno(ENOENT, "mkdir " + path);
  GANTRY_TRY(MakeDirs(path.substr(0, slash), mode));
  if (mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return Status::Ok();
  return FromErrno(errno, "mkdir " + path);
}

std::vector<std::string> ListDir(const std::string& path) {
  std::vector<std::string> names;
  DIR* dir = opendir(path.c_str());
  if (dir == nullptr) return names;
  while (dirent* entry = readdir(dir)) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

Status RemoveTree(const std::string& path) { return RemoveAt(AT_FDCWD, path.c_str(), path); }

int64_t DiskUsage(const std::string& path) {
  std::set<std::pair<dev_t, ino_t>> seen;
  int64_t total = 0;
  AddUsage(AT_FDCWD, path.c_str(), &seen, &total);
  return total;
}

Status Mount(const std::string& source, const std::string& target, const std::string& type,
             unsigned long flags, const std::string& data) {
  if (mount(source.c_str(), target.c_str(), type.empty() ? nullptr : type.c_str(), flags,
            data.empty() ? nullptr : data.c_str()) == 0) {
    return Status::Ok();
  }
  return FromErrno(errno, "mount " + (type.empty() ? source : type) + " on " + target);
}

Status Unmount(const std::string& target) {
  if (umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return Status::Ok();
  if (errno == EINVAL || errno == ENOENT) return Status::Ok();
  return FromErrno(errno, "unmount " + target);
}

bool IsMountPoint(const std::string& path) { return IsMountRoot(AT_FDCWD, path.c_str()); }

Status UnmountBelow(const std::string& dir, int depth) {
  for (const std::string& name : ListDir(dir)) {
    std::string path = dir + "/" + name;
    while (IsMountPoint(path))
      GANTRY_TRY(Unmount(path));
    if (depth > 1) GANTRY_TRY(UnmountBelow(path, depth - 1));
  }
  return Status::Ok();
}

Status MakeSharedMount(const std::string& path) {
  GANTRY_TRY(MakeDirs(path));
  if (!IsMountPoint(path)) GANTRY_TRY(Mount(path, path, "", MS_BIND, ""));
  return Mount("none", path, "", MS_SHARED, "");
}

std::vector<std::string> MountsBelow(const std::string& prefix) {
  std::vector<std::string> found;
  Result<std::string> info = ReadFile("/proc/self/mountinfo");
  if (!info.ok()) return found;
  std::string_view rest = *info;
  while (!rest.empty()) {
    size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    for (int skip = 0; skip < 4; ++skip)
      line.remove_prefix(std::min(line.size(), line.find(' ') + 1));
    std::string point = Unescape(line.substr(0, line.find(' ')));
    if (point == prefix || point.starts_with(prefix + "/")) found.push_back(std::move(point));
  }
  std::reverse(found.begin(), found.end());
  return found;
}

}  // namespace gantry::node
