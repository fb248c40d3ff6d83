#include "cli/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <utility>

namespace gantry::cli {
namespace {

namespace fs = std::filesystem;

Status MakePrivate(const fs::path& directory) {
  std::error_code error;
  if (fs::is_directory(directory, error)) return Status::Ok();
  if (!directory.parent_path().empty()) fs::create_directories(directory.parent_path(), error);
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return FromErrno(errno, "mkdir " + directory.string());
  return Status::Ok();
}

Status SyncDirectory(const fs::path& directory) {
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return FromErrno(errno, "open " + directory.string());
  const int failed = fsync(fd) != 0 ? errno : 0;
  close(fd);
  return failed == 0 ? Status::Ok() : FromErrno(failed, "fsync " + directory.string());
}

Status WriteAll(int fd, std::string_view content, const std::string& name) {
  while (!content.empty()) {
    const ssize_t written = write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FromErrno(errno, "write " + name);
    content.remove_prefix(static_cast<size_t>(written));
  }
  if (fsync(fd) != 0) return FromErrno(errno, "fsync " + name);
  return Status::Ok();
}

// Format 2: a node's certificate and key are one file.
Status JoinNodeFiles(const DataDir& dir) {
  Result<std::string> certificate = dir.Read("pki/node.crt");
  Result<std::string> key = dir.Read("pki/node.key");
  if (!certificate.ok() || !key.ok()) return Status::Ok();
  GANTRY_TRY(dir.Write("pki/node.pem", *certificate + *key));
  std::error_code error;
  fs::remove(dir.File("pki/node.crt"), error);
  fs::remove(dir.File("pki/node.key"), error);
  return Status::Ok();
}

// Each leads from its place's format (the first from 1) to the next; done again after a crash.
using Migration = Status (*)(const DataDir& dir);
constexpr Migration kMigrations[] = {JoinNodeFiles};
constexpr int kFormat = 1 + static_cast<int>(std::size(kMigrations));

}  // namespace

Result<DataDir> DataDir::Open(const std::string& path) {
  // Processes that it starts and paths that it mounts outlive the working directory.
  std::error_code error;
  const std::string absolute = fs::absolute(path, error).lexically_normal().string();
  GANTRY_TRY(MakePrivate(absolute).WithContext(
      "cannot use the data directory; choose another with --data-dir"));
  const std::string lock_path = absolute + "/lock";
  const int fd = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return FromErrno(
        errno, "cannot use the data directory; choose another with --data-dir: open " + lock_path);
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int failed = errno;
    char holder[32] = {};
    const ssize_t length = pread(fd, holder, sizeof holder - 1, 0);
    close(fd);
    if (failed != EWOULDBLOCK) return FromErrno(failed, "lock " + lock_path);
    std::string pid(holder, static_cast<size_t>(length > 0 ? length : 0));
    while (!pid.empty() && pid.back() == '\n')
      pid.pop_back();
    return Status(Code::kConflict, "data directory " + absolute + " is in use by process " + pid +
                                       "; stop that process, or choose another with --data-dir");
  }
  DataDir dir(absolute, fd);
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(fd, 0) != 0) return FromErrno(errno, "truncate " + lock_path);
  if (pwrite(fd, pid.data(), pid.size(), 0) < 0) return FromErrno(errno, "write " + lock_path);
  GANTRY_TRY(dir.BringUpToDate());
  return dir;
}

Status DataDir::BringUpToDate() const {
  int found = 1;  // from before there was such a file
  Result<std::string> text = Read("format");
  if (text.ok()) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), found);
    if (error != std::errc() || found < 1)
      return DataLoss(File("format") + " is damaged: it should hold a number");
  } else if (text.code() != Code::kNotFound) {
    return text.status();
  }
  if (found > kFormat) {
    return Status(Code::kConflict,
                  "data directory " + path_ + " has format " + std::to_string(found) +
                      ", and this gantry knows formats up to " + std::to_string(kFormat) +
                      ": use the newer gantry that wrote it");
  }
  for (; found < kFormat; ++found)
    GANTRY_TRY(
        kMigrations[found - 1](*this).WithContext("cannot bring the data directory up to date"));
  const std::string now = std::to_string(kFormat) + "\n";
  if (text.ok() && *text == now) return Status::Ok();
  return Write("format", now);
}

DataDir::DataDir(DataDir&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

DataDir::~DataDir() {
  if (lock_ >= 0) close(lock_);
}

Result<std::string> DataDir::Read(std::string_view name) const { return ReadWholeFile(File(name)); }

Result<std::string> ReadWholeFile(const std::string& file) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FromErrno(errno, "open " + file);
  std::string content;
  char buffer[4096];
  while (true) {
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int failed = errno;
      close(fd);
      return FromErrno(failed, "read " + file);
    }
    if (got == 0) break;
    content.append(buffer, static_cast<size_t>(got));
  }
  close(fd);
  return content;
}

Status DataDir::Write(std::string_view name, std::string_view content) const {
  // What is there already needs no room on a disk that may be full.
  if (Result<std::string> had = Read(name); had.ok() && *had == content) return Status::Ok();
  const fs::path file = File(name);
  GANTRY_TRY(MakePrivate(file.parent_path()));
  const std::string next = file.string() + ".next";
  const int fd = open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return FromErrno(errno, "open " + next);
  Status written = WriteAll(fd, content, next);
  close(fd);
  GANTRY_TRY(written);
  if (rename(next.c_str(), file.c_str()) != 0) return FromErrno(errno, "rename " + next);
  return SyncDirectory(file.parent_path());
}

}  // namespace gantry::cli
