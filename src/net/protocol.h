#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <string_view>

namespace gantry::net {

// "TCP" (also for ""), "UDP", "SCTP" as IP protocol numbers; 0 for anything else.
inline uint8_t ProtocolNumber(std::string_view name) {
  if (name.empty() || name == "TCP") return IPPROTO_TCP;
  if (name == "UDP") return IPPROTO_UDP;
  if (name == "SCTP") return IPPROTO_SCTP;
  return 0;
}

}  // namespace gantry::net
