#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Keeps one pod of a DaemonSet on every node that it is for; replaces them node by node when the
// template changes.
std::unique_ptr<client::Reconciler> MakeDaemonSetController();

}  // namespace gantry::controllers
