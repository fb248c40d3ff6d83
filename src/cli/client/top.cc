#include "cli/client/client_commands.h"
#include "cli/client/failure.h"

namespace gantry::cli {

Result<int> RunTop(Invocation call) {
  FlagSet set("top pods|nodes", &call.globals);
  GANTRY_TRY(set.Parse(call.args));
  return LocalError("Metrics API not available: this server does not serve metrics.k8s.io");
}

}  // namespace gantry::cli
