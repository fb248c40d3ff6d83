#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Deletes bootstrap tokens (Secrets of kube-system) when they have expired.
std::unique_ptr<client::Reconciler> MakeTokenCleaner();

}  // namespace gantry::controllers
