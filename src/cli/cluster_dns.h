#pragma once

#include <string>

#include "client/client.h"

namespace gantry::cli {

// The service kube-system/kube-dns, which holds the cluster DNS addresses ("10.43.0.10", or one of
// each family with a comma between) so that no other service gets them. The nodes answer on them
// themselves: it has no endpoints. "": nothing to do.
Task<Status> PublishClusterDns(client::Client& client, std::string addresses);

}  // namespace gantry::cli
