#pragma once

#include <absl/synchronization/mutex.h>

#include <map>
#include <optional>
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

// The nf_tables table of the services of one family. The number of services costs a packet nothing:
// a map leads from address, protocol and port to a chain, and there is one chain for each way of
// choosing among so many endpoints, which all services alike share; a second map leads from
// address, protocol, port and a random number (the endpoint's place) to the endpoint. So a change
// of a service changes its own elements and nothing else.
//
//   prerouting, output -> guard: guarded(address . protocol . port) -> the chain of its sources,
//                                which drops all others
//                      -> dispatch: services(address . protocol . port) -> goto
//                                   unused addresses of the service network: refuse
//                                   nodeports(local address . protocol . port) -> goto
//   chain "internal-3": mark for masquerade what comes from outside; to
//                       endpoints[(address . protocol . port . random of 3)]
//   postrouting: masquerade what is marked, and endpoints that reach themselves
//
// With session affinity the chain first looks whether the client is in the set of a place
// ("sticky-0", ...), else draws one; then the client is put into that set for the service's time.
// These chains and sets are shared in the same way. Threading: one call at a time. Calls block for
// as long as the kernel takes: about 0.1 ms for one service.
class ServiceRules {
 public:
  // Networks of the other family are left out.
  ServiceRules(InstanceNames names, std::vector<Cidr> cluster_cidrs,
               std::vector<Cidr> service_cidrs, NftFamily family = NftFamily::kIp);

  NftFamily family() const { return family_; }

  struct Change {
    FrontendKey key;
    const Frontend* after = nullptr;  // null: gone
  };

  // Replaces the whole table in one step, whatever it held.
  Status Replace(std::span<const Frontend> frontends);
  // Applies changes in one step. On failure the table is as before, and Replace is due.
  Status Apply(std::span<const Change> changes);

  // Whether endpoints have gone since the last ForgetUnanswered, so that it is due a moment after
  // the change: when what was sent to them before it would have been answered.
  bool ForgetDue() const { return forget_due_; }
  // Forgets the flows that nobody has answered and that go where the maps do not lead any more. The
  // kernel would keep such a flow for two minutes, and send there whatever comes from the same port
  // of the same client again: what it tries anew, and other connections.
  Status ForgetUnanswered();

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
  // Endpoints keep their places as long as they are there, so that a change touches few elements.
  struct Applied {
    Shape shape;
    std::vector<Backend> backends, local;
    std::optional<std::vector<Cidr>> sources;
    bool LeadsTo(const IpAddress& ip, uint16_t port) const;
  };
  using Gone = std::map<FrontendKey, std::vector<Backend>>;
  // A place that an endpoint of a service with affinity has left, and where it is now, if anywhere.
  struct Move {
    FrontendKey key;
    uint32_t from = 0;
    std::optional<uint32_t> to;
    uint32_t affinity_seconds = 0;
  };
  using UseCounts = std::map<IpAddress, int>;
  class Plan;

  static Shape ShapeOf(const Frontend& frontend);
  NftRule NewRule() const { return NftRule(family_); }
  void AddSkeleton(NftBatch& batch) const;
  void AddDispatch(NftBatch& batch) const;
  void AddHooks(NftBatch& batch) const;
  void AddChainRules(NftBatch& batch, const Shape& shape) const;
  // Address, protocol and port that a packet asks for, from register 0 on; returns the next one.
  int LoadTarget(NftRule& rule, bool node_port) const;
  // Who asks for what: sender, address, protocol and port, from kClientRegister on.
  NftRule& LoadClient(NftRule& rule) const;
  // Draws one of `count` places and sends the packet to the endpoint there.
  void SendToPlace(NftRule& rule, const Shape& shape, uint32_t count, uint32_t offset) const;
  // Makes the chain of a shape, and what it leads to, where they are missing.
  void UseChain(NftBatch& batch, const Shape& shape);
  void UsePlace(NftBatch& batch, const Shape& shape, uint32_t place);
  void DropSpareChains(NftBatch& batch);
  // The chain that lets only these in.
  void UseGuard(NftBatch& batch, const std::vector<Cidr>& sources);
  void DropSpareGuards(NftBatch& batch);
  // Clients follow their endpoint to its new place, or are free again.
  Status MoveClients(NetlinkSocket& socket, const std::vector<Move>& moves) const;
  // UDP has no end of a connection: flows to endpoints that are gone, or from before there were
  // any, must be translated anew.
  void ForgetFlows(const Gone& gone, const std::set<FrontendKey>& fresh) const;
  Status Run(std::span<const Change> changes, bool replace);

  const InstanceNames names_;
  const NftFamily family_;
  const int address_registers_;
  std::vector<Cidr> cluster_cidrs_, service_cidrs_;

  std::map<FrontendKey, Applied> applied_;
  std::map<Shape, int> chains_;              // how many frontends use each
  std::map<std::vector<Cidr>, int> guards_;  // the same for the chains of sources
  std::set<std::string, std::less<>>
      made_;                        // what affinity needs: sets, maps and chains that are there
  mutable absl::Mutex uses_mutex_;  // for writing, and for reading from other threads
  UseCounts uses_;                  // how many elements lead to an address
  std::set<IpAddress> here_;        // those of them that are pods of this node
  bool forget_due_ = false;
  bool broken_ = true;  // the kernel's table may not be what `applied_` says
};

}  // namespace gantry::net
