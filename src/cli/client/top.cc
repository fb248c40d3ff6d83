#include "cli/client/client_commands.h"
#include "cli/client/failure.h"

namespace gantry::cli {

namespace {

constexpr CommandHelp kHelp = {
    "top pods|nodes", "Show the use of CPU and memory. It needs a server of metrics.k8s.io.",
    "gantry top nodes"};

}  // namespace

Result<int> RunTop(Invocation call) {
  FlagSet set(kHelp, &call.globals);
  GANTRY_TRY(set.Parse(call.args));
  return LocalError("Metrics API not available");
}

}  // namespace gantry::cli
