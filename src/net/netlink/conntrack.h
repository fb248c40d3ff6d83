#pragma once

#include <cstdint>
#include <functional>

#include "net/ip.h"
#include "net/netlink/socket.h"

namespace gantry::net {

// One tracked flow: what the sender asked for, and who really answers.
struct ConntrackFlow {
  uint8_t protocol = 0;  // IPPROTO_*
  IpAddress source;
  IpAddress destination;
  uint16_t destination_port = 0;
  IpAddress replier;  // equals `destination` where nothing was translated
  uint16_t replier_port = 0;
  bool answered = false;  // a packet has come back
};

// Forgets the tracked flows of `protocol` for which `stale` is true, so that the next packet is
// translated anew. How many were forgotten. Blocks for as long as the kernel takes to list its
// table. Threading: any thread.
Result<int> DeleteFlows(uint8_t protocol,
                        const std::function<bool(const ConntrackFlow& flow)>& stale);
// The same for flows of every protocol that are not answered. The kernel looks through its table
// by itself, which makes this cheap where there are many flows.
Result<int> DeleteUnansweredFlows(const std::function<bool(const ConntrackFlow& flow)>& stale);

}  // namespace gantry::net
