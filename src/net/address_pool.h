#pragma once

#include <map>
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
  std::string netns_path;
  std::vector<IpAddress> ips;  // one of each family, the primary first
  std::vector<HostPort> host_ports;
};

// The pod addresses of this node. Every pod is a small file named after its primary address,
// written before its addresses are handed out and removed after the last trace of the pod, so that
// no crash hands one out twice. Threading: one thread at a time.
class AddressPool {
 public:
  // Reads what is recorded in `directory` (made where missing). Files that a crash left
  // half-written were never handed out and are removed.
  static Result<AddressPool> Open(std::string directory);

  // Which networks addresses come from, at most one of each family, the primary first; the first
  // two (network, gateway) and the last address of each are never given. Records outside of them
  // stay until released.
  void SetNetworks(std::vector<Cidr> networks);
  const std::vector<Cidr>& networks() const { return networks_; }

  // A record of the pod with addresses of its own, one from each network: those that it has, or
  // the next free ones. kUnavailable when none is free.
  Result<PodRecord> Acquire(const PodAttachment& pod);
  Status Release(const std::string& uid);

  // Null where there is none. Valid until the next change.
  const PodRecord* Find(const std::string& uid) const;
  const PodRecord* FindByIp(const IpAddress& ip) const;
  std::vector<PodRecord> All() const;

 private:
  explicit AddressPool(std::string directory) : directory_(std::move(directory)) {}
  Status Load();
  Result<IpAddress> NextFree(size_t network);
  bool InUse(const IpAddress& ip) const;
  std::string PathOf(const PodRecord& record) const {
    return directory_ + "/" + record.ips.front().ToString();
  }

  std::string directory_;
  std::vector<Cidr> networks_;
  std::vector<uint64_t> last_;  // by network, the offset of the address given last: one rests as
                                // long as possible before its next use
  std::map<std::string, PodRecord> by_uid_;
  std::map<IpAddress, std::string> by_ip_;
};

}  // namespace gantry::net
