#include "node/images/scratch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include <cerrno>
#include <utility>

namespace gantry::node {
namespace {

constexpr std::string_view kPrefix = ".tmp-";

UniqueFd OpenDir(const std::string& path) {
  return UniqueFd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

Result<ScratchDir> ScratchDir::Make(const std::string& parent) {
  GANTRY_TRY(MakeDirs(parent, 0700));
  ScratchDir dir;
  std::string path = parent + "/" + std::string(kPrefix) + "XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return FromErrno(errno, "mkdtemp in " + parent);
  dir.path_ = path;
  dir.lock_ = OpenDir(path);
  if (!dir.lock_ || flock(dir.lock_.get(), LOCK_EX | LOCK_NB) != 0)
    return FromErrno(errno, "lock " + path);
  return dir;
}

void ScratchDir::Sweep(const std::string& parent) {
  for (const std::string& name : ListDir(parent)) {
    if (!name.starts_with(kPrefix)) continue;
    std::string path = parent + "/" + name;
    UniqueFd dir = OpenDir(path);
    if (dir && flock(dir.get(), LOCK_EX | LOCK_NB) == 0) (void)RemoveTree(path);
  }
}

ScratchDir::ScratchDir(ScratchDir&& other) noexcept
    : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)) {}

ScratchDir::~ScratchDir() {
  if (!path_.empty()) (void)RemoveTree(path_);
}

}  // namespace gantry::node
