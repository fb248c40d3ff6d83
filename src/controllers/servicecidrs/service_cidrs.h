#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Keeps ServiceCIDRs ready, and holds those that are being deleted for as long as a service has an
// address that no other range holds.
std::unique_ptr<client::Reconciler> MakeServiceCidrController();

}  // namespace gantry::controllers
