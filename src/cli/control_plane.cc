#include "cli/control_plane.h"

namespace gantry::cli {

Result<std::unique_ptr<ControlPlane>> ControlPlane::Make(
    Env& env, client::Client& controllers_client, client::Client& scheduler_client,
    client::InformerSet& informers, const controllers::Options& options,
    const scheduler::Configuration& scheduling) {
  std::unique_ptr<ControlPlane> plane(new ControlPlane(env, controllers_client, informers));
  GANTRY_TRY(controllers::AddAll(options, &plane->runner_));
  GANTRY_ASSIGN(plane->scheduler_,
                scheduler::Scheduler::Make(env, scheduler_client, informers, scheduling));
  return plane;
}

void ControlPlane::Start() {
  runner_.Start();
  scheduler_->Start();
}

Task<> ControlPlane::Stop() {
  co_await scheduler_->Stop();
  co_await runner_.Stop();
}

}  // namespace gantry::cli
