#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/ip.h"

namespace gantry::net::dns {

// The parts of resolv.conf(5) that matter to a forwarder.
struct ResolvConf {
  std::vector<IpAddress> servers;
  std::vector<std::string> searches;

  // Lines that make no sense are passed over, as the C library does. The last search (or domain)
  // line counts.
  static ResolvConf Parse(std::string_view text);
};

}  // namespace gantry::net::dns
