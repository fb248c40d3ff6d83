#include "store/memory/memory_store.h"

#include "store/core/engine.h"

namespace gantry::store {

std::unique_ptr<Store> MakeMemoryStore(Env& env) {
  return std::make_unique<Engine>(env, nullptr, History(), 0, std::vector<int64_t>(), nullptr);
}

}  // namespace gantry::store
