#pragma once

#include <string>

#include "cli/data_dir.h"
#include "cli/network_options.h"
#include "client/client.h"

namespace gantry::cli {

// The network of a cluster as its servers publish it for nodes: the ConfigMap
// kube-system/gantry-network, one entry for each flag that all nodes must have alike. So a machine
// joins without being told, and one that was told something else says so instead of being silently
// cut off.

// What a cluster has that was not told anything: `ca_pem` gives it a VXLAN number of its own.
void FillNetworkDefaults(NetworkOptions* options, const std::string& ca_pem);

// Writes the options, which are complete. A change of what was published is logged.
Task<Status> PublishClusterNetwork(client::Client& client, NetworkOptions options);

// Completes a node's options with what is published. kInvalid where a flag contradicts it. A
// cluster that publishes nothing has the defaults. What is learnt is kept in `dir` for a start at
// which no server answers: what runs on the machine has to be looked after then, too.
Task<Result<NetworkOptions>> LearnClusterNetwork(client::Client& client, const DataDir& dir,
                                                 NetworkOptions options);

}  // namespace gantry::cli
