#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Keeps the pods of StatefulSets: each with a name, a number and claims of its own, which a
// replacement takes over once its predecessor is gone; made, updated and removed one after another
// unless the set says otherwise.
std::unique_ptr<client::Reconciler> MakeStatefulSetController();

}  // namespace gantry::controllers
