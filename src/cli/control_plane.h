#pragma once

#include <memory>

#include "client/informer.h"
#include "client/reconciler.h"
#include "controllers/all.h"
#include "scheduler/scheduler.h"

namespace gantry::cli {

// Controllers and scheduler over one client each. Life cycle: Make, then Start with the informers,
// Stop.
class ControlPlane {
 public:
  // `informers` serve both; all outlive it.
  static Result<std::unique_ptr<ControlPlane>> Make(Env& env, client::Client& controllers_client,
                                                    client::Client& scheduler_client,
                                                    client::InformerSet& informers,
                                                    const controllers::Options& options,
                                                    const scheduler::Configuration& scheduling);
  void Start();
  Task<> Stop();

 private:
  ControlPlane(Env& env, client::Client& controllers_client, client::InformerSet& informers)
      : runner_(env, controllers_client, informers) {}

  client::ReconcilerRunner runner_;
  std::unique_ptr<scheduler::Scheduler> scheduler_;
};

}  // namespace gantry::cli
