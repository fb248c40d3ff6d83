#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/ip.h"
#include "net/pod_network.h"

namespace gantry::net {

// What is remembered of an attached pod.
struct PodRecord {
  PodRecord() = default;
  std::string uid, ns, name;
  IpAddress ip;
  std::vector<HostPort> host_ports;
};

// The pod addresses of this node. Every address in use is a small file named after it, written
// before the address is handed out and removed after the last trace of the pod, so that no crash
// hands one out twice. Threading: one thread at a time.
class AddressPool {
 public:
  // Reads what is recorded in `directory` (made where missing). Files that a crash left
  // half-written were never handed out and are removed.
  static Result<AddressPool> Open(std::string directory);

  // Which network addresses come from; the first two (network, gateway) and the last are never
  // given. Records outside of it stay until released.
  void SetNetwork(const Cidr& network) { network_ = network; }
  const std::optional<Cidr>& network() const { return network_; }

  // A record of the pod with an address of its own: the one that it has, or the next free one.
  // kUnavailable when none is free.
  Result<PodRecord> Acquire(const PodAttachment& pod);
  Status Release(const std::string& uid);

  // Null where there is none. Valid until the next change.
  const PodRecord* Find(const std::string& uid) const;
  const PodRecord* FindByIp(const IpAddress& ip) const;
  std::vector<PodRecord> All() const;

 private:
  explicit AddressPool(std::string directory) : directory_(std::move(directory)) {}
  Status Load();
  std::string PathOf(const IpAddress& ip) const { return directory_ + "/" + ip.ToString(); }

  std::string directory_;
  std::optional<Cidr> network_;
  uint32_t last_ = 1;  // offset of the address given last: an address rests as long as possible
                       // before its next use
  std::map<std::string, PodRecord> by_uid_;
  std::map<IpAddress, std::string> by_ip_;
};

}  // namespace gantry::net
