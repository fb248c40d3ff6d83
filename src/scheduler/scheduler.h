#pragma once

#include <memory>

#include "base/env/env.h"
#include "client/client.h"
#include "client/informer.h"

namespace gantry::scheduler {

// Gives every pod that has no node one, by the rules of its profile (spec.schedulerName).
// Decisions are made one after another and never wait: a placement counts in the scheduler's own
// table at once, the binding is written behind it, and a binding that fails is taken back and tried
// again. Life cycle: Start once the informer set exists, Stop before it goes. Threading: any
// thread.
class Scheduler {
 public:
  // All outlive the scheduler.
  Scheduler(Env& env, client::Client& client, client::InformerSet& informers);
  ~Scheduler();

  void Start();
  Task<> Stop();

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace gantry::scheduler
