#include "node/images/layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "node/images/digest.h"
#include "node/os/fs.h"

namespace gantry::node {
namespace {

using ArchivePtr = std::unique_ptr<struct archive, decltype(&archive_read_free)>;

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kReserved = ".wh..wh.";  // other marks of the first union file system
constexpr size_t kBlock = 64 << 10;

Status ArchiveError(struct archive* archive, std::string_view what) {
  const char* text = archive_error_string(archive);
  return Status(Code::kInvalid,
                std::string(what) + ": " + (text != nullptr ? text : "malformed archive"));
}

// Only what needs no further program.
void SupportCompression(struct archive* archive) {
  archive_read_support_filter_none(archive);
  archive_read_support_filter_gzip(archive);
  archive_read_support_filter_bzip2(archive);
  archive_read_support_filter_xz(archive);
  archive_read_support_filter_zstd(archive);
}

// The bytes of a file behind its compression, hashed as they pass.
class PlainBytes {
 public:
  static Result<std::unique_ptr<PlainBytes>> Open(const std::string& path) {
    auto self = std::unique_ptr<PlainBytes>(new PlainBytes());
    struct archive* raw = self->raw_.get();
    SupportCompression(raw);
    archive_read_support_format_raw(raw);
    archive_read_support_format_empty(raw);
    if (archive_read_open_filename(raw, path.c_str(), kBlock) != ARCHIVE_OK) {
      return ArchiveError(raw, "read " + path);
    }
    struct archive_entry* entry = nullptr;
    int got = archive_read_next_header(raw, &entry);
    if (got != ARCHIVE_OK && got != ARCHIVE_EOF) return ArchiveError(raw, "read " + path);
    self->at_end_ = got == ARCHIVE_EOF;
    return self;
  }

  la_ssize_t Read(const void** bytes) {
    if (at_end_) return 0;
    la_ssize_t n = archive_read_data(raw_.get(), buffer_, sizeof buffer_);
    if (n > 0) hash_.Update(buffer_, static_cast<size_t>(n));
    if (n <= 0) at_end_ = true;
    *bytes = buffer_;
    return n;
  }

  // Reads what is left (padding behind the last entry) and gives the digest of all.
  std::string FinishHex() {
    const void* ignored = nullptr;
    while (Read(&ignored) > 0) {
    }
    return hash_.Hex();
  }

  const char* error() { return archive_error_string(raw_.get()); }

 private:
  PlainBytes() = default;
  ArchivePtr raw_{archive_read_new(), archive_read_free};
  Sha256 hash_;
  bool at_end_ = false;
  char buffer_[kBlock];
};

la_ssize_t ReadPlain(struct archive* archive, void* source, const void** bytes) {
  auto* plain = static_cast<PlainBytes*>(source);
  la_ssize_t n = plain->Read(bytes);
  if (n < 0) archive_set_error(archive, EIO, "%s", plain->error());
  return n;
}

// The components of an archive's path: no leading slash, no ".", empty for the root itself.
Result<std::vector<std::string>> Components(std::string_view path) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= path.size();) {
    size_t end = std::min(path.find('/', begin), path.size());
    std::string_view part = path.substr(begin, end - begin);
    if (part == "..") {
      return Status(Code::kInvalid, "archive entry \"" + std::string(path) + "\" leaves the root");
    }
    if (!part.empty() && part != ".") parts.emplace_back(part);
    begin = end + 1;
  }
  return parts;
}

// A directory tree that is written to as if it were the root of the file system.
class Root {
 public:
  static Result<Root> Open(const std::string& path) {
    Root root;
    root.fd_.reset(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root.fd_) return FromErrno(errno, "open " + path);
    return root;
  }

  int fd() const { return fd_.get(); }

  Result<UniqueFd> OpenInside(const std::string& path, int flags) const {
    open_how how{};
    how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    int fd = static_cast<int>(
        syscall(SYS_openat2, fd_.get(), path.empty() ? "." : path.c_str(), &how, sizeof how));
    if (fd < 0) return FromErrno(errno, "open " + path + " inside the layer");
    return UniqueFd(fd);
  }

  // The directory that holds the last component; missing ones are made.
  Result<UniqueFd> Parent(const std::vector<std::string>& parts) {
    std::string path;
    for (size_t i = 0; i + 1 < parts.size(); ++i)
      path += (i > 0 ? "/" : "") + parts[i];
    if (parent_path_ == path && parent_) return UniqueFd(dup(parent_.get()));
    Result<UniqueFd> found = OpenInside(path, O_RDONLY | O_DIRECTORY);
    if (!found.ok() && found.code() == Code::kNotFound) {
      std::string so_far;
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        GANTRY_ASSIGN(UniqueFd above, OpenInside(so_far, O_RDONLY | O_DIRECTORY));
        if (mkdirat(above.get(), parts[i].c_str(), 0755) != 0 && errno != EEXIST) {
          return FromErrno(errno, "mkdir " + path);
        }
        so_far += (i > 0 ? "/" : "") + parts[i];
      }
      found = OpenInside(path, O_RDONLY | O_DIRECTORY);
    }
    GANTRY_TRY(found);
    parent_path_ = path;
    parent_.reset(dup(found->get()));
    return std::move(found).value();
  }

  // After anything but a plain file may have replaced a directory or a link on a way.
  void Forget() { parent_.reset(); }

 private:
  UniqueFd fd_;
  std::string parent_path_;
  UniqueFd parent_;
};

Status RemoveEntry(int parent, const std::string& name) {
  if (unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return Status::Ok();
  return RemoveTree("/proc/self/fd/" + std::to_string(parent) + "/" + name);
}

Status CopyData(struct archive* archive, int fd, const std::string& name, int64_t* bytes) {
  const void* block = nullptr;
  size_t size = 0;
  la_int64_t offset = 0;
  while (true) {
    int got = archive_read_data_block(archive, &block, &size, &offset);
    if (got == ARCHIVE_EOF) return Status::Ok();
    if (got != ARCHIVE_OK) return ArchiveError(archive, "read " + name);
    const char* at = static_cast<const char*>(block);
    size_t left = size;
    off_t where = offset;
    while (left > 0) {
      ssize_t n = pwrite(fd, at, left, where);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return FromErrno(errno, "write " + name);
      at += n;
      where += n;
      left -= static_cast<size_t>(n);
    }
    *bytes += static_cast<int64_t>(size);
  }
}

class LayerWriter {
 public:
  LayerWriter(struct archive* archive, Root root) : archive_(archive), root_(std::move(root)) {}

  Status Run() {
    struct archive_entry* entry = nullptr;
    while (true) {
      int got = archive_read_next_header(archive_, &entry);
      if (got == ARCHIVE_EOF) break;
      if (got != ARCHIVE_OK && got != ARCHIVE_WARN) return ArchiveError(archive_, "unpack layer");
      const char* path = archive_entry_pathname(entry);
      if (path == nullptr) return Status(Code::kInvalid, "archive entry without a name");
      GANTRY_TRY(Write(entry, path).WithContext(std::string("unpack ") + path));
    }
    for (auto it = directories_.rbegin(); it != directories_.rend(); ++it) {
      Result<UniqueFd> dir = root_.OpenInside(it->first, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (dir.ok()) futimens(dir->get(), it->second.times);
    }
    return Status::Ok();
  }

  int64_t bytes() const { return bytes_; }

 private:
  struct Times {
    timespec times[2];
  };

  Status Write(struct archive_entry* entry, const std::string& path) {
    GANTRY_ASSIGN(std::vector<std::string> parts, Components(path));
    if (parts.empty()) return ApplyRoot(entry);
    GANTRY_ASSIGN(UniqueFd parent, root_.Parent(parts));
    const std::string& name = parts.back();
    if (name == kOpaque) return MarkOpaque(parent.get());
    if (name.starts_with(kReserved)) return Status::Ok();
    if (name.starts_with(kWhiteout)) return Whiteout(parent.get(), name.substr(kWhiteout.size()));
    if (const char* target = archive_entry_hardlink(entry)) return Link(parent.get(), name, target);
    mode_t mode = archive_entry_mode(entry);
    switch (mode & S_IFMT) {
      case S_IFDIR:
        return Directory(entry, parent.get(), name, parts);
      case S_IFREG:
        return Regular(entry, parent.get(), name);
      case S_IFLNK:
        return Symlink(entry, parent.get(), name);
      case S_IFCHR:
      case S_IFBLK:
      case S_IFIFO:
        return Node(entry, parent.get(), name);
      default:
        return Status::Ok();  // sockets do not survive in archives
    }
  }

  // Hides what layers below have under this name, and leaves what this layer itself has there.
  Status Whiteout(int parent, const std::string& hidden) {
    if (hidden.empty() || hidden == "." || hidden == "..")
      return Status(Code::kInvalid, "malformed whiteout");
    if (mknodat(parent, hidden.c_str(), S_IFCHR, makedev(0, 0)) == 0) return Status::Ok();
    if (errno != EEXIST) return FromErrno(errno, "make whiteout");
    UniqueFd own(openat(parent, hidden.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    return own ? MarkOpaque(own.get()) : Status::Ok();
  }

  static Status MarkOpaque(int directory) {
    if (fsetxattr(directory, "trusted.overlay.opaque", "y", 1, 0) == 0) return Status::Ok();
    return FromErrno(errno, "mark opaque");
  }

  Status ApplyRoot(struct archive_entry* entry) {
    if (fchown(root_.fd(), static_cast<uid_t>(archive_entry_uid(entry)),
               static_cast<gid_t>(archive_entry_gid(entry))) != 0 ||
        fchmod(root_.fd(), archive_entry_perm(entry)) != 0) {
      return FromErrno(errno, "set owner and mode of the root");
    }
    return Status::Ok();
  }

  Status Link(int parent, const std::string& name, const std::string& target) {
    GANTRY_ASSIGN(std::vector<std::string> parts, Components(target));
    if (parts.empty()) return Status(Code::kInvalid, "hard link to the root");
    std::string path;
    for (size_t i = 0; i + 1 < parts.size(); ++i)
      path += (i > 0 ? "/" : "") + parts[i];
    GANTRY_ASSIGN(UniqueFd from, root_.OpenInside(path, O_PATH | O_DIRECTORY));
    GANTRY_TRY(RemoveEntry(parent, name));
    if (linkat(from.get(), parts.back().c_str(), parent, name.c_str(), 0) != 0) {
      return FromErrno(errno, "link to " + target);
    }
    return Status::Ok();
  }

  Status Directory(struct archive_entry* entry, int parent, const std::string& name,
                   const std::vector<std::string>& parts) {
    bool hides = false;
    if (mkdirat(parent, name.c_str(), 0700) != 0) {
      struct stat st{};
      if (errno != EEXIST) return FromErrno(errno, "mkdir");
      if (fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode)) {
        hides = S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
        GANTRY_TRY(RemoveEntry(parent, name));
        root_.Forget();
        if (mkdirat(parent, name.c_str(), 0700) != 0) return FromErrno(errno, "mkdir");
      }
    }
    UniqueFd fd(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return FromErrno(errno, "open");
    if (hides) GANTRY_TRY(MarkOpaque(fd.get()));
    std::string path;
    for (const std::string& part : parts)
      path += (path.empty() ? "" : "/") + part;
    directories_.emplace_back(path, TimesOf(entry));
    return Attributes(entry, fd.get());
  }

  Status Regular(struct archive_entry* entry, int parent, const std::string& name) {
    GANTRY_TRY(RemoveEntry(parent, name));
    UniqueFd fd(
        openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return FromErrno(errno, "create");
    GANTRY_TRY(CopyData(archive_, fd.get(), name, &bytes_));
    if (archive_entry_size_is_set(entry) && ftruncate(fd.get(), archive_entry_size(entry)) != 0) {
      return FromErrno(errno, "truncate");
    }
    GANTRY_TRY(Attributes(entry, fd.get()));
    futimens(fd.get(), TimesOf(entry).times);
    return Status::Ok();
  }

  Status Symlink(struct archive_entry* entry, int parent, const std::string& name) {
    GANTRY_TRY(RemoveEntry(parent, name));
    root_.Forget();
    const char* target = archive_entry_symlink(entry);
    if (target == nullptr || symlinkat(target, parent, name.c_str()) != 0) {
      return FromErrno(target == nullptr ? EINVAL : errno, "symlink");
    }
    return OwnerAndTimes(entry, parent, name);
  }

  Status Node(struct archive_entry* entry, int parent, const std::string& name) {
    GANTRY_TRY(RemoveEntry(parent, name));
    mode_t mode = archive_entry_mode(entry);
    dev_t device = makedev(static_cast<unsigned>(archive_entry_rdevmajor(entry)),
                           static_cast<unsigned>(archive_entry_rdevminor(entry)));
    if (mknodat(parent, name.c_str(), mode, device) != 0) return FromErrno(errno, "make node");
    GANTRY_TRY(OwnerAndTimes(entry, parent, name));
    if (fchmodat(parent, name.c_str(), mode & 07777, 0) != 0) return FromErrno(errno, "set mode");
    return Status::Ok();
  }

  Status OwnerAndTimes(struct archive_entry* entry, int parent, const std::string& name) {
    if (fchownat(parent, name.c_str(), static_cast<uid_t>(archive_entry_uid(entry)),
                 static_cast<gid_t>(archive_entry_gid(entry)), AT_SYMLINK_NOFOLLOW) != 0) {
      return FromErrno(errno, "set owner");
    }
    utimensat(parent, name.c_str(), TimesOf(entry).times, AT_SYMLINK_NOFOLLOW);
    return Status::Ok();
  }

  Status Attributes(struct archive_entry* entry, int fd) {
    if (fchown(fd, static_cast<uid_t>(archive_entry_uid(entry)),
               static_cast<gid_t>(archive_entry_gid(entry))) != 0) {
      return FromErrno(errno, "set owner");
    }
    if (fchmod(fd, archive_entry_perm(entry)) != 0) return FromErrno(errno, "set mode");
    archive_entry_xattr_reset(entry);
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
      if (name == nullptr || std::string_view(name).starts_with("trusted.")) continue;
      if (fsetxattr(fd, name, value, size, 0) != 0 && errno != ENOTSUP) {
        return FromErrno(errno, std::string("set attribute ") + name);
      }
    }
    return Status::Ok();
  }

  static Times TimesOf(struct archive_entry* entry) {
    Times times{};
    timespec mtime{};
    if (archive_entry_mtime_is_set(entry)) {
      mtime.tv_sec = archive_entry_mtime(entry);
      mtime.tv_nsec = archive_entry_mtime_nsec(entry);
    }
    times.times[0] = times.times[1] = mtime;
    return times;
  }

  struct archive* archive_;
  Root root_;
  std::vector<std::pair<std::string, Times>> directories_;
  int64_t bytes_ = 0;
};

}  // namespace

Result<UnpackedLayer> UnpackLayer(const std::string& archive, const std::string& target) {
  GANTRY_ASSIGN(std::unique_ptr<PlainBytes> plain, PlainBytes::Open(archive));
  ArchivePtr tar(archive_read_new(), archive_read_free);
  archive_read_support_format_tar(tar.get());
  archive_read_support_format_empty(tar.get());
  if (archive_read_open(tar.get(), plain.get(), nullptr, ReadPlain, nullptr) != ARCHIVE_OK) {
    return ArchiveError(tar.get(), "read " + archive);
  }
  GANTRY_ASSIGN(Root root, Root::Open(target));
  LayerWriter writer(tar.get(), std::move(root));
  GANTRY_TRY(writer.Run());
  UnpackedLayer layer;
  layer.bytes = writer.bytes();
  layer.diff_id = plain->FinishHex();
  return layer;
}

Status UnpackArchive(const std::string& path, const std::string& target) {
  ArchivePtr tar(archive_read_new(), archive_read_free);
  SupportCompression(tar.get());
  archive_read_support_format_tar(tar.get());
  if (archive_read_open_filename(tar.get(), path.c_str(), kBlock) != ARCHIVE_OK) {
    return ArchiveError(tar.get(), "read " + path);
  }
  GANTRY_ASSIGN(Root root, Root::Open(target));
  struct archive_entry* entry = nullptr;
  while (true) {
    int got = archive_read_next_header(tar.get(), &entry);
    if (got == ARCHIVE_EOF) return Status::Ok();
    if (got != ARCHIVE_OK && got != ARCHIVE_WARN) return ArchiveError(tar.get(), "read " + path);
    const char* name = archive_entry_pathname(entry);
    GANTRY_ASSIGN(std::vector<std::string> parts, Components(name != nullptr ? name : ""));
    if (parts.empty()) continue;
    GANTRY_ASSIGN(UniqueFd parent, root.Parent(parts));
    const std::string& last = parts.back();
    int64_t bytes = 0;
    if (const char* link = archive_entry_hardlink(entry)) {
      GANTRY_ASSIGN(std::vector<std::string> to, Components(link));
      if (to.empty()) continue;
      GANTRY_ASSIGN(UniqueFd from, root.Parent(to));
      GANTRY_TRY(RemoveEntry(parent.get(), last));
      if (linkat(from.get(), to.back().c_str(), parent.get(), last.c_str(), 0) != 0) {
        return FromErrno(errno, std::string("link to ") + link);
      }
    } else if (archive_entry_filetype(entry) == AE_IFREG) {
      GANTRY_TRY(RemoveEntry(parent.get(), last));
      UniqueFd fd(openat(parent.get(), last.c_str(),
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
      if (!fd) return FromErrno(errno, std::string("create ") + name);
      GANTRY_TRY(CopyData(tar.get(), fd.get(), name, &bytes));
    } else if (archive_entry_filetype(entry) == AE_IFDIR) {
      if (mkdirat(parent.get(), last.c_str(), 0700) != 0 && errno != EEXIST) {
        return FromErrno(errno, std::string("mkdir ") + name);
      }
    } else if (archive_entry_filetype(entry) == AE_IFLNK) {
      GANTRY_TRY(RemoveEntry(parent.get(), last));
      root.Forget();
      if (symlinkat(archive_entry_symlink(entry), parent.get(), last.c_str()) != 0) {
        return FromErrno(errno, std::string("symlink ") + name);
      }
    }
  }
}

}  // namespace gantry::node
