#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Makes a Job at each time of a CronJob's schedule, and removes the oldest of its finished ones.
std::unique_ptr<client::Reconciler> MakeCronJobController();

}  // namespace gantry::controllers
