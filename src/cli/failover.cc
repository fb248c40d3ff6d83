#include "cli/failover.h"

namespace gantry::cli {

using std::chrono::seconds;

Result<FailoverProfile> FindFailoverProfile(const std::string& name) {
  FailoverProfile profile;
  if (name == "default") return profile;
  if (name != "fast") {
    return Status(Code::kInvalid, "--failover " + name + ": it must be default or fast");
  }
  profile.lease = {seconds(1), seconds(3)};
  profile.node_lifecycle.monitor_period = seconds(1);
  profile.node_lifecycle.grace_period = seconds(3);
  profile.node_lifecycle.rates.nodes_per_second = 1;
  profile.toleration_seconds = 0;
  profile.tunnel_dead_after = std::chrono::milliseconds(1500);
  return profile;
}

}  // namespace gantry::cli
