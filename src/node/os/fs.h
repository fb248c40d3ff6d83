#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace gantry::node {

// Owns a file descriptor. Threading: a value.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// Files and directories. All of them block; errors name the path. Threading: any thread.

Result<std::string> ReadFile(const std::string& path, size_t max_bytes = 64 << 20);
// Readers see the old or the new contents, also after a crash. Durable once it returns when `sync`.
Status WriteFileAtomic(const std::string& path, std::string_view contents, mode_t mode = 0644,
                       bool sync = false);
Status WriteFile(const std::string& path, std::string_view contents, mode_t mode = 0644);
// For files of the kernel (cgroups, /proc/sys): one write, no truncation, no creation.
Status WriteKernelFile(const std::string& path, std::string_view contents);
bool Exists(const std::string& path);
// Directory and its parents; "already there" is success.
Status MakeDirs(const std::string& path, mode_t mode = 0755);
// Names in a directory, sorted, without . and ..; an absent directory is empty.
std::vector<std::string> ListDir(const std::string& path);
// A file or a whole tree. Never descends into a mount point: that is an error. "Not there" is
// success.
Status RemoveTree(const std::string& path);
// Bytes allocated on disk below a path, each inode once.
int64_t DiskUsage(const std::string& path);

Status Mount(const std::string& source, const std::string& target, const std::string& type,
             unsigned long flags, const std::string& data);
// Detaches; "not mounted" and "not there" are success.
Status Unmount(const std::string& target);
bool IsMountPoint(const std::string& path);
// Makes a directory a mount of itself whose later mounts other mount namespaces see. Idempotent.
Status MakeSharedMount(const std::string& path);
// Mount points at or below `prefix`, deepest last-mounted first: the order in which to unmount.
std::vector<std::string> MountsBelow(const std::string& prefix);
// Detaches what is mounted on directories and files at most `depth` levels below `dir`. Unlike
// MountsBelow it does not read the table of all mounts of the machine. "Not there" is success.
Status UnmountBelow(const std::string& dir, int depth);

}  // namespace gantry::node
