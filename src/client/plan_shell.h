#pragma once

#include <functional>
#include <vector>

#include "client/client.h"
#include "client/reconciler.h"

namespace gantry::client {

// The revision that a write gave to an object of `kind`.
struct Written {
  const api::KindInfo* kind = nullptr;
  int64_t revision = 0;
};

// What came of a plan.
struct Execution {
  // Called for every event that the plan wants recorded.
  std::function<void(EventNote)> record;
  // Every write that went through, also when a later one failed.
  std::vector<Written> written;
};

// Carries out what a Plan asks for, by the rules written at Action. All references outlive the
// call.
Task<Status> Execute(Env& env, Client& client, Plan plan, Execution& execution);

}  // namespace gantry::client
