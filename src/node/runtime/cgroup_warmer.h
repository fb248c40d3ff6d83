#pragma once

#include <memory>
#include <string>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/spawn.h"
#include "node/runtime/cgroup.h"

namespace gantry::node {

// The kernel lets a process into another control group only after a grace period of 5 to 20 ms,
// unless another process was moved within the last 12 ms or so. The runtime meets this in the
// middle of starting a container. While a start is under way this moves our own process to where it
// is already, again and again, so that the waiting is over by then. Nothing depends on it: where it
// is not possible, starts take that much longer.
// Life cycle: `env` outlives it; Stop before the end. Threading: the strand.
class CgroupWarmer {
 public:
  CgroupWarmer(Env& env, Executor strand, const Cgroups& cgroups);

  // A container will be started soon. Until the handle is dropped, but no longer than 200 ms.
  std::shared_ptr<void> Hold();
  Task<> Stop();

 private:
  Task<> KeepWarm();

  Env& env_;
  Executor strand_;
  std::string procs_file_;      // of our own group; empty: it does not work here
  std::weak_ptr<void> holder_;  // shared by all who hold
  SteadyTime until_{};
  bool warming_ = false;
  CancelSource stop_;
  Gate gate_;
};

}  // namespace gantry::node
