#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Empties a namespace that is being deleted, pods first, tells in its conditions what remains, and
// lets it go.
std::unique_ptr<client::Reconciler> MakeNamespaceController();

}  // namespace gantry::controllers
