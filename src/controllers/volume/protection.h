#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Claims that pods use and volumes that claims are bound to stay until nobody uses them any more,
// however they are deleted: admission gives them a finalizer, and these take it away.

// kubernetes.io/pvc-protection.
std::unique_ptr<client::Reconciler> MakeClaimProtection();
// kubernetes.io/pv-protection.
std::unique_ptr<client::Reconciler> MakeVolumeProtection();

}  // namespace gantry::controllers
