#pragma once

#include "base/ip.h"

namespace gantry::net {

using gantry::Cidr;
using gantry::Everywhere;
using gantry::HostCidr;
using gantry::IpAddress;
using gantry::ParseAddresses;
using gantry::ParseCidrs;

}  // namespace gantry::net
