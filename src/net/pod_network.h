#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/env/env.h"
#include "base/status.h"

namespace gantry::net {

struct HostPort {
  std::string protocol;  // "TCP", "UDP", "SCTP"
  std::string host_ip;   // empty: all addresses
  uint16_t host_port = 0;
  uint16_t container_port = 0;
};

struct PodAttachment {
  PodAttachment() = default;
  std::string uid, ns, name;
  int64_t revision = 0;    // of the object that it is started from; 0: unknown
  std::string netns_path;  // a pinned network namespace; the node made it and removes it
  std::vector<HostPort> host_ports;
};

// Gives pods their interface, addresses and host ports. Everything it sets up can be found again
// after kill -9: addresses in use are recorded under the data directory before they are handed out.
// Threading: any thread.
class PodNetwork {
 public:
  virtual ~PodNetwork() = default;

  // The pod's addresses, the primary first. Doing it again for the same uid gives the same answer.
  virtual Task<Result<std::vector<std::string>>> Attach(PodAttachment pod) = 0;
  // "Not there" is success. The namespace may be gone already.
  virtual Task<Status> Detach(std::string uid) = 0;
  // Releases what belongs to pods other than these: called once after a start.
  virtual Task<Status> ReleaseAllBut(std::vector<std::string> live_uids) = 0;
  // "" when pods can be attached; else why not, for the node's Ready condition.
  virtual std::string NotReadyReason() const = 0;
};

// Knows when nobody is sent to a pod any more.
class EndpointDrain {
 public:
  virtual ~EndpointDrain() = default;
  // Returns when no service map sends new connections to any of the addresses (at once when none
  // ever did), or at the deadline. The node calls it for a pod that is being deleted before it
  // signals its containers.
  virtual Task<> AwaitDrained(std::vector<std::string> pod_ips, SteadyTime deadline) = 0;
};

}  // namespace gantry::net
