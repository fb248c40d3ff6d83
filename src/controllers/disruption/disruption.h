#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Keeps the status of PodDisruptionBudgets: how many of their pods are healthy, and how many may be
// evicted. The eviction subresource takes from it.
std::unique_ptr<client::Reconciler> MakeDisruptionController();

// Takes the condition DisruptionTarget back from pods that were not deleted after all.
std::unique_ptr<client::Reconciler> MakeStaleDisruptionController();

}  // namespace gantry::controllers
