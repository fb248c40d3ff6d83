#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Runs the pods of Jobs until enough of them have succeeded, or too many failed; removes finished
// jobs whose time is over. A pod's end is counted exactly once: a finalizer keeps the pod until its
// job's status has it.
std::unique_ptr<client::Reconciler> MakeJobController();

}  // namespace gantry::controllers
