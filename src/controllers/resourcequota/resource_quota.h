#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Counts what the objects of a namespace use of its quotas, and brings the bounds in force into
// their status. Admission charges what comes; this gives back what went.
std::unique_ptr<client::Reconciler> MakeResourceQuotaController();

}  // namespace gantry::controllers
