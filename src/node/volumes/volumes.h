#pragma once

#include <optional>
#include <string>

#include "api/core/v1/pod.pb.h"
#include "node/paths.h"
#include "node/volumes/payload.h"

namespace gantry::node {

// The volumes of one pod on this machine. Everything is found again by its path. Calls block.
// Threading: one at a time.
class PodVolumes {
 public:
  // `paths` outlives it.
  PodVolumes(const Paths& paths, std::string uid) : paths_(paths), uid_(std::move(uid)) {}

  // Makes (or refreshes) one volume. The error says why it cannot be mounted, as the kubelet words
  // it.
  Status SetUp(const api::core::v1::Volume& volume, const PayloadInputs& inputs);

  // Where the volume's files are; for hostPath the path on the host.
  std::string PathOf(const api::core::v1::Volume& volume) const;

  // The source of a mount of part of a volume: a bind mount of our own, so that nothing can swap
  // the path later. Missing directories are made. Leaving the volume is an error.
  Result<std::string> SubPath(const api::core::v1::Volume& volume, const std::string& container,
                              int mount_index, const std::string& sub_path);
  // After the container's end.
  Status DropSubPaths(const std::string& container);

  // Unmounts and deletes all.
  Status TearDown();

 private:
  const Paths& paths_;
  std::string uid_;
};

}  // namespace gantry::node
