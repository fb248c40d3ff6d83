#include "node/runtime/pinned_program.h"

#include <sys/mount.h>

#include "node/os/fs.h"

namespace gantry::node {

Result<std::string> PinProgram(const std::string& program, const std::string& place) {
  // What an earlier run pinned may be an older version by now.
  while (IsMountPoint(place))
    GANTRY_TRY(Unmount(place));
  GANTRY_TRY(WriteFile(place, "", 0600));
  GANTRY_TRY(Mount(program, place, "", MS_BIND, ""));
  Status read_only = Mount("none", place, "", MS_BIND | MS_REMOUNT | MS_RDONLY, "");
  if (!read_only.ok()) {
    (void)Unmount(place);
    return read_only;
  }
  return place;
}

}  // namespace gantry::node
