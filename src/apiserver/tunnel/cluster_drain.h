#pragma once

#include <absl/synchronization/mutex.h>

#include <memory>
#include <string>
#include <vector>

#include "base/env/env.h"
#include "base/env/notifier.h"
#include "base/env/spawn.h"
#include "base/status.h"

namespace gantry::apiserver::tunnel {

class TunnelServer;

// Asks all nodes that can be reached whether anybody is still sent to addresses that are going.
// What is asked within a few milliseconds is one question to each node, so that a large rollout
// does not multiply with the number of nodes. Life cycle: Stop before destruction. Threading: any
// thread.
class ClusterDrain {
 public:
  // `env` and `nodes` outlive it.
  ClusterDrain(Env& env, TunnelServer& nodes)
      : env_(env), nodes_(nodes), strand_(env.MakeStrand()) {}

  // Returns when every node has answered. A node that does not answer holds nobody up for longer
  // than `timeout`, nor for longer than a moment after the slowest of the others.
  Task<> AwaitDrained(std::vector<std::string> addresses, Duration timeout);

  Task<> Stop();

 private:
  struct Batch;

  Task<> Run(std::shared_ptr<Batch> batch);

  Env& env_;
  TunnelServer& nodes_;
  const Executor strand_;
  CancelSource stop_;
  Gate gate_;

  absl::Mutex mutex_;
  std::shared_ptr<Batch> open_ ABSL_GUARDED_BY(mutex_);  // may still be joined; or null
};

}  // namespace gantry::apiserver::tunnel
