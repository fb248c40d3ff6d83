#pragma once

#include <sys/types.h>

#include "base/status.h"

namespace gantry::node {

// Starts the first process of a new pid namespace: it reaps what is orphaned to it, and waits for a
// signal to end. A few kilobytes, no libraries; it goes on when we end. Any thread.
Result<pid_t> StartPidHolder();

}  // namespace gantry::node
