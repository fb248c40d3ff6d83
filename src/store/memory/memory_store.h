#pragma once

#include <memory>

#include "store/store.h"

namespace gantry::store {

// A store that forgets everything when it goes: for tests and simulations. `env` outlives it.
std::unique_ptr<Store> MakeMemoryStore(Env& env);

}  // namespace gantry::store
