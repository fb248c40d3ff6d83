#pragma once

#include <memory>

#include "base/env/spawn.h"
#include "store/store.h"

namespace gantry::store {

struct CompactorOptions {
  CompactorOptions() = default;
  Duration keep = std::chrono::minutes(5);  // history that watchers and old lists can count on
  int64_t max_revisions = 100'000;          // but no more revisions than this
  Duration interval = std::chrono::seconds(10);
};

// Compacts a store as time goes on. Says nothing to the store while there is little to forget, so
// that an idle cluster's disk stays idle. Life cycle: Start, Stop. Threading: any thread.
class Compactor {
 public:
  // References outlive it.
  Compactor(Env& env, Store& store, CompactorOptions options = CompactorOptions());

  void Start();
  Task<> Stop();

 private:
  Task<> Run();

  Env& env_;
  Store& store_;
  const CompactorOptions options_;
  CancelSource stop_;
  Gate gate_;
};

}  // namespace gantry::store
