#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace gantry::node {

struct UnpackedLayer {
  std::string diff_id;  // hex SHA-256 of the uncompressed archive
  int64_t bytes = 0;    // of file contents
};

// Unpacks one image layer (tar, plain or compressed in any way) into the empty directory `target`
// in the form in which overlayfs takes it as a lower directory: whiteouts become character devices
// 0/0, opaque directories get their extended attribute; owners, modes with setuid bits, times,
// links, devices and extended attributes are kept. Nothing is ever written outside `target`,
// whatever the archive says: names with ".." are refused, symbolic links on the way are followed as
// if `target` were the root. Blocks. Needs root.
Result<UnpackedLayer> UnpackLayer(const std::string& archive, const std::string& target);

// Unpacks the regular files of an image archive (docker-archive or OCI layout, plain or compressed)
// into `target`; links between them are resolved inside. The same guarantees.
Status UnpackArchive(const std::string& archive, const std::string& target);

}  // namespace gantry::node
