#pragma once

#include <memory>

#include "base/env/env.h"
#include "client/client.h"
#include "client/informer.h"
#include "scheduler/config/configuration.h"

namespace gantry::scheduler {

// Gives every pod that has no node one, by the rules of its profile (spec.schedulerName).
// Decisions are made one after another and never wait (but for extenders, where there are any): a
// placement counts in the scheduler's own table at once, the binding is written behind it, and a
// binding that fails is taken back and tried again. A pod that fits nowhere may push others aside:
// their deletion is written behind the decision too. Life cycle: Start once the informer set
// exists, Stop before it goes. Threading: any thread.
class Scheduler {
 public:
  // The references outlive the scheduler. kBadRequest when an extender's certificates are no good.
  static Result<std::unique_ptr<Scheduler>> Make(Env& env, client::Client& client,
                                                 client::InformerSet& informers,
                                                 const Configuration& configuration);
  ~Scheduler();

  void Start();
  Task<> Stop();

 private:
  class Loop;
  explicit Scheduler(std::unique_ptr<Loop> loop);

  std::unique_ptr<Loop> loop_;
};

}  // namespace gantry::scheduler
