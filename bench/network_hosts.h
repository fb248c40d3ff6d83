#pragma once

#include "common/harness.h"

namespace gantry::bench {

// Figures of the network between hosts, which are network namespaces on a bridge of this one.
//   vxlan_ratio        TCP throughput between pods on two hosts over that between the hosts' own
//                      namespaces through a VXLAN made by hand; medians of rounds side by side
Status MeasureVxlan(Bench& bench);
//   agent_idle_pss_mb  memory of all that a joined agent runs, ten seconds after its node is ready
Status MeasureAgentIdle(Bench& bench);

}  // namespace gantry::bench
