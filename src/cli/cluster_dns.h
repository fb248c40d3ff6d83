#pragma once

#include <string>

#include "client/client.h"

namespace gantry::cli {

// The service kube-system/kube-dns, which holds the cluster DNS address so that no other service
// gets it. The nodes answer on it themselves: it has no endpoints.
Task<Status> PublishClusterDns(client::Client& client, std::string address);

}  // namespace gantry::cli
