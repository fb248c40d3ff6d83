#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Fills the rules of cluster roles that are put together from others by their labels.
std::unique_ptr<client::Reconciler> MakeClusterRoleAggregationController();

}  // namespace gantry::controllers
