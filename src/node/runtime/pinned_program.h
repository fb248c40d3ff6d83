#pragma once

#include <string>

#include "base/status.h"

namespace gantry::node {

// Shows `program` (a path) read-only at `place`, instead of what was there, and returns `place`.
// The mount stays; cleanup.h takes it away.
//
// A container that is being started could write into the runtime's program through
// /proc/PID/exe. crun therefore binds its program read-only before it does anything, and runs
// itself again from there: two mounts, an unmount, which waits for all processors, and a second
// start. When it sees that it was started from a read-only mount already, and the environment has
// kPinnedProgramSign, it does none of that.
Result<std::string> PinProgram(const std::string& program, const std::string& place);

inline constexpr const char* kPinnedProgramSign = "_LIBCONTAINER_CLONED_BINARY=1";

}  // namespace gantry::node
