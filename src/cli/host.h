#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace gantry::cli {

// This machine's name in the form of a node's: lower case.
std::string HostName();

// The address that connections to other machines come from; 127.0.0.1 without a network.
std::string DefaultAddress();

// The IPv4 addresses of all of this machine's interfaces.
std::vector<std::string> LocalAddresses();

// What the node agent needs of the machine: root, crun or runc, conmon. One line that says what to
// install or do.
Status CheckNodeRequirements();

}  // namespace gantry::cli
