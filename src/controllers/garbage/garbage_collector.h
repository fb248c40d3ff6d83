#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Deletes objects whose owners are all gone, and carries out foreground and orphan deletion of
// owners.
std::unique_ptr<client::Reconciler> MakeGarbageCollector();

}  // namespace gantry::controllers
