#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Keeps as many active pods of a ReplicaSet's template as it asks for, and counts them in its
// status.
std::unique_ptr<client::Reconciler> MakeReplicaSetController();

}  // namespace gantry::controllers
