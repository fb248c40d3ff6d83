#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace gantry::cli {

// This machine's name in the form of a node's: lower case.
std::string HostName();

// The address of the family that connections to other machines come from; "" without a way there.
std::string DefaultAddress(bool v6);
// That of IPv4, else that of IPv6; 127.0.0.1 without a network.
std::string DefaultAddress();

// The addresses of all of this machine's interfaces, those of a link apart.
std::vector<std::string> LocalAddresses();

// What the node agent needs of the machine: root, crun or runc, conmon. One line that says what to
// install or do.
Status CheckNodeRequirements();
// What a server with an etcd of its own needs beside that.
Status CheckEtcdInstalled();

}  // namespace gantry::cli
