#pragma once

#include <absl/functional/function_ref.h>

#include <string>

#include "base/status.h"

namespace gantry::node {

// Runs `call` to its end in a short-lived child process that shares our memory and descriptors,
// while the calling thread waits. `clone_flags`: namespaces that the child gets of its own
// (CLONE_NEWNET …); it may also setns or unshare as it likes, which never touches us. `call` must
// not throw, must not wait for other threads, and should be brief. Threading: any thread.
Status RunInChild(int clone_flags, absl::FunctionRef<Status()> call);

// A mount namespace in which nothing but `hidden` is unmounted: a copy of ours; shared mounts stay
// shared. The descriptor keeps it alive.
Result<int> MakeMountNamespaceWithout(const std::string& hidden);

}  // namespace gantry::node
