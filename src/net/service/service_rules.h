#pragma once

#include <absl/synchronization/mutex.h>

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/ip.h"
#include "net/names.h"
#include "net/nft/batch.h"
#include "net/service/frontends.h"

namespace gantry::net {

// The nf_tables table of the services. The number of services costs a packet nothing: a map leads from address, protocol and
// port to the number of a chain, and there is one chain for each way of choosing among so many endpoints, which all services alike share; a
// second map leads from address, protocol, port and a random number to the endpoint. So a change of a service changes its own elements
// and nothing else.
//
//   prerouting, output -> services: (address . protocol . port) -> chain number -> goto
//                                   unused addresses of the service network: refuse
//                                   (local address . protocol . port) -> chain number -> goto
//   chain "internal-3": mark for masquerade what comes from outside; to endpoints[(address . protocol . port . random of 3)]
//   postrouting: masquerade what is marked, and endpoints that reach themselves
//
// With session affinity the chain keeps (client . address . protocol . port) -> endpoint in a third map, with a timeout.
// Threading: one call at a time. Calls block for as long as the kernel takes: about 0.2 ms for one service.
class ServiceRules {
 public:
  ServiceRules(InstanceNames names, std::vector<Cidr> cluster_cidrs, std::vector<Cidr> service_cidrs);

  struct Change {
    FrontendKey key;
    const Frontend* after = nullptr;  // null: gone
  };

  // Replaces the whole table in one step, whatever it held.
  Status Replace(std::span<const Frontend> frontends);
  // Applies changes in one step. On failure the table is as before, and Replace is due.
  Status Apply(std::span<const Change> changes);

  // Whether new connections may be sent to `ip`, by what was applied last.
  // Any thread, also during a change.
  bool Uses(const IpAddress& ip) const;
  size_t frontends() const { return applied_.size(); }

 private:
  // What a chain does. Equal shapes share one chain.
  struct Shape {
    Frontend::Kind kind = Frontend::Kind::kReject;
    bool node_port = false;
    uint32_t backends = 0, local = 0;
    uint32_t affinity_seconds = 0;
    auto operator<=>(const Shape&) const = default;
    std::string Name() const;
  };
  struct Chain {
    uint32_t number = 0;
    int users = 0;
  };
  // Endpoints keep their places as long as they are there, so that a change touches few elements.
  struct Applied {
    Shape shape;
    std::vector<Backend> backends, local;
  };
  using Gone = std::map<FrontendKey, std::vector<Backend>>;
  using UseCounts = std::map<IpAddress, int>;
  class Plan;

  static Shape ShapeOf(const Frontend& frontend);
  void AddSkeleton(NftBatch& batch) const;
  void AddChainRules(NftBatch& batch, const Shape& shape) const;
  void AppendPick(NftRule& rule, const Shape& shape, bool local, bool sticky) const;
  uint32_t UseChain(NftBatch& batch, const Shape& shape);
  void DropSpareChains(NftBatch& batch);
  // Clients that stick to endpoints which are gone are free again.
  Status ForgetAffinity(NetlinkSocket& socket, const Gone& gone) const;
  // UDP has no end of a connection: flows to endpoints that are gone, or from before there were any, must be translated anew.
  void ForgetFlows(const Gone& gone, const std::set<FrontendKey>& fresh) const;
  Status Run(std::span<const Change> changes, bool replace);

  const InstanceNames names_;
  const std::vector<Cidr> cluster_cidrs_, service_cidrs_;

  std::map<FrontendKey, Applied> applied_;
  std::map<Shape, Chain> chains_;
  uint32_t next_number_ = 1;
  mutable absl::Mutex uses_mutex_;  // for writing, and for reading from other threads
  UseCounts uses_;                  // how many elements lead to an address
  std::set<IpAddress> here_;        // those of them that are pods of this node
  bool broken_ = true;  // the kernel's table may not be what `applied_` says
};

}  // namespace gantry::net
