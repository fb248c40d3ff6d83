#pragma once

#include <string>

#include "base/status.h"
#include "node/os/fs.h"

namespace gantry::node {

// A new directory that goes away with its owner. What a killed process has left is told from what
// is in use by a lock. Threading: a value. All calls block.
class ScratchDir {
 public:
  static Result<ScratchDir> Make(const std::string& parent);
  // Removes those in `parent` that have no owner any more.
  static void Sweep(const std::string& parent);

  ScratchDir(ScratchDir&& other) noexcept;
  ScratchDir& operator=(ScratchDir&&) = delete;
  ~ScratchDir();

  const std::string& path() const { return path_; }
  // It has become something else: it stays.
  void Keep() { path_.clear(); }

 private:
  ScratchDir() = default;
  std::string path_;
  UniqueFd lock_;
};

}  // namespace gantry::node
