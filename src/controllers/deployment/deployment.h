#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Rolls a Deployment's template out through ReplicaSets, one per revision of the template.
std::unique_ptr<client::Reconciler> MakeDeploymentController();

}  // namespace gantry::controllers
