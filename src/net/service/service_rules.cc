#include "net/service/service_rules.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iterator>

#include "base/log.h"
#include "net/netlink/conntrack.h"

namespace gantry::net {
namespace {

using Side = NftRule::Side;
using Kind = Frontend::Kind;

// kube-proxy's mark for packets to masquerade: others that know it leave it alone.
constexpr uint32_t kMasqueradeMark = 0x4000;
constexpr int kDestinationPriority = -100;
constexpr int kSourcePriority = 100;
// Endpoints for outside clients of kExternalLocal are numbered from here on.
constexpr uint32_t kLocalOffset = 1u << 16;
constexpr uint32_t kStickyLimit = 1u << 18;  // clients for each place
// So many unused chains are kept for the next service of their shape.
constexpr size_t kSpareChains = 64;

// Registers: what is asked for begins at 0, the endpoint that a map gives at 8, the client at 6 in
// rules that use neither of them together with it.
constexpr int kEndpointRegister = 8;
constexpr int kClientRegister = 6;
constexpr int kPlaceRegister = 3;

constexpr char kReject[] = "reject";
constexpr char kDrop[] = "drop";
constexpr char kGuard[] = "guard";
constexpr char kDispatch[] = "dispatch";

std::string_view KindName(Kind kind) {
  switch (kind) {
    case Kind::kInternal:
      return "internal";
    case Kind::kExternal:
      return "external";
    case Kind::kExternalLocal:
      return "local";
    case Kind::kReject:
      return kReject;
    case Kind::kDrop:
      return kDrop;
  }
  return kReject;
}

// The address part of a key. Node ports have the type of address there, as the rules load it.
NftBytes KeyBytes(const FrontendKey& key) {
  NftBytes bytes;
  if (key.is_node_port()) {
    bytes.Number(NftRule::kLocalAddress);
  } else {
    bytes.Ip(key.ip);
  }
  return bytes.Protocol(key.protocol).Port(key.port);
}

NftBytes EndpointBytes(const Backend& backend) {
  NftBytes to;
  return to.Ip(backend.ip).Port(backend.port);
}

NftElement SelfElement(const IpAddress& ip) {
  NftBytes key;
  key.Ip(ip).Ip(ip);
  return key;
}

// `wanted` in an order that leaves those of `before` where they were, as far as there is no hole to
// fill.
std::vector<Backend> KeepPlaces(const std::vector<Backend>& before,
                                const std::vector<Backend>& wanted) {
  std::vector<Backend> placed(wanted.size());
  std::vector<bool> taken(wanted.size(), false);
  std::vector<Backend> homeless;
  for (const Backend& backend : wanted) {
    auto found = std::find(before.begin(), before.end(), backend);
    size_t place = static_cast<size_t>(found - before.begin());
    if (found == before.end() || place >= wanted.size()) {
      homeless.push_back(backend);
    } else {
      placed[place] = backend;
      taken[place] = true;
    }
  }
  size_t next = 0;
  for (size_t place = 0; place < placed.size(); ++place) {
    if (!taken[place]) placed[place] = homeless[next++];
  }
  return placed;
}

// The set of clients that stick to a place, the chain that leads there and remembers the client,
// and the map from a place to that chain.
std::string StickySet(uint32_t place) { return "sticky-" + std::to_string(place); }
std::string PlaceMap(bool node_port, uint32_t affinity_seconds) {
  return std::string(node_port ? "places-nodeport-" : "places-") + std::to_string(affinity_seconds);
}
std::string PlaceChain(bool node_port, uint32_t affinity_seconds, uint32_t place) {
  return std::string(node_port ? "place-nodeport-" : "place-") + std::to_string(affinity_seconds) +
         "-" + std::to_string(place);
}

const char* EndpointsMap(bool node_port) { return node_port ? "nodeport-endpoints" : "endpoints"; }

// "from-" and a number made of the networks.
std::string GuardChain(const std::vector<Cidr>& sources) {
  uint64_t hash = 0xcbf29ce484222325;
  auto add = [&hash](uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3; };
  for (const Cidr& cidr : sources) {
    for (uint8_t byte : cidr.address.raw())
      add(byte);
    add(cidr.prefix);
  }
  char text[24];
  std::snprintf(text, sizeof(text), "from-%016llx", static_cast<unsigned long long>(hash));
  return text;
}

std::vector<Cidr> OfFamily(std::vector<Cidr> cidrs, NftFamily family) {
  std::erase_if(cidrs, [family](const Cidr& cidr) { return NftFamilyOf(cidr.address) != family; });
  return cidrs;
}

}  // namespace

std::string ServiceRules::Shape::Name() const {
  std::string name(KindName(kind));
  if (kind == Kind::kReject || kind == Kind::kDrop) return name;
  if (node_port) name += "-nodeport";
  name += "-" + std::to_string(backends);
  if (kind == Kind::kExternalLocal) name += "-" + std::to_string(local);
  if (affinity_seconds > 0) name += "-sticky" + std::to_string(affinity_seconds);
  return name;
}

// What a batch changes, gathered: deletions go first, so that an element can be replaced.
class ServiceRules::Plan {
 public:
  void Service(bool add, const FrontendKey& key, std::string chain) {
    Elements& elements = add ? added_ : deleted_;
    (key.is_node_port() ? elements.node_ports : elements.services)
        .emplace_back(KeyBytes(key), std::move(chain));
  }
  void Backends(const FrontendKey& key, uint32_t offset, const std::vector<Backend>& before,
                const std::vector<Backend>& after) {
    for (size_t place = 0; place < std::max(before.size(), after.size()); ++place) {
      const bool was = place < before.size(), is = place < after.size();
      if (was && is && before[place] == after[place]) continue;
      const NftBytes element_key = KeyBytes(key).Number(offset + static_cast<uint32_t>(place));
      if (was) {
        Endpoints(deleted_, key).emplace_back(element_key, EndpointBytes(before[place]));
        --uses_[before[place].ip];
      }
      if (is) {
        Endpoints(added_, key).emplace_back(element_key, EndpointBytes(after[place]));
        ++uses_[after[place].ip];
        if (after[place].on_this_node) here_.insert(after[place].ip);
      }
    }
  }
  void Guard(bool add, const FrontendKey& key, const std::vector<Cidr>& sources) {
    (add ? added_ : deleted_).guarded.emplace_back(KeyBytes(key), GuardChain(sources));
  }
  // What the kernel remembers of `key` and must forget.
  void Aftercare(const FrontendKey& key, const Applied& before, const Applied& after) {
    std::vector<Backend> gone;
    for (const auto* list : {&before.backends, &before.local}) {
      for (const Backend& backend : *list) {
        if (!after.LeadsTo(backend.ip, backend.port)) gone.push_back(backend);
      }
    }
    if (before.shape.affinity_seconds > 0) {
      NoteMoves(key, 0, before.backends, after.backends, after.shape.affinity_seconds);
      NoteMoves(key, kLocalOffset, before.local, after.local, after.shape.affinity_seconds);
    }
    if (key.protocol != IPPROTO_UDP) {
      loses_endpoints_ |= !gone.empty();
      return;
    }
    if (!gone.empty()) gone_udp_[key] = std::move(gone);
    if (before.backends.empty() && !after.backends.empty()) fresh_udp_.insert(key);
  }
  // Notes the elements of this node's pods that come and go. Before Write.
  void NoteSelf(const UseCounts& uses, const std::set<IpAddress>& here) {
    for (const auto& [ip, change] : uses_) {
      auto found = uses.find(ip);
      const int before = found == uses.end() ? 0 : found->second;
      const bool was = here.contains(ip);
      const bool is = before + change > 0 && (was || here_.contains(ip));
      if (is && !was) added_.self.push_back(SelfElement(ip));
      if (was && !is) deleted_.self.push_back(SelfElement(ip));
    }
  }
  void UpdateUses(UseCounts* uses, std::set<IpAddress>* here) const {
    for (const auto& [ip, change] : uses_) {
      auto count = uses->try_emplace(ip, 0).first;
      count->second += change;
      if (count->second > 0) {
        if (here_.contains(ip)) here->insert(ip);
      } else {
        uses->erase(count);
        here->erase(ip);
      }
    }
  }

  void Write(NftBatch& batch, const std::string& table) const {
    auto each = [&](auto write) {
      write("services", &Elements::services);
      write("nodeports", &Elements::node_ports);
      write("guarded", &Elements::guarded);
      write(EndpointsMap(false), &Elements::endpoints);
      write(EndpointsMap(true), &Elements::node_port_endpoints);
      write("self", &Elements::self);
    };
    each([&](const char* set, auto member) { batch.DeleteElements(table, set, deleted_.*member); });
    each([&](const char* set, auto member) { batch.AddElements(table, set, added_.*member); });
  }

  const std::vector<Move>& moves() const { return moves_; }
  const Gone& gone_udp() const { return gone_udp_; }
  const std::set<FrontendKey>& fresh_udp() const { return fresh_udp_; }
  // Whether an endpoint goes, of another protocol than UDP.
  bool loses_endpoints() const { return loses_endpoints_; }

 private:
  struct Elements {
    std::vector<NftElement> services, node_ports, guarded, endpoints, node_port_endpoints, self;
  };
  static std::vector<NftElement>& Endpoints(Elements& elements, const FrontendKey& key) {
    return key.is_node_port() ? elements.node_port_endpoints : elements.endpoints;
  }
  void NoteMoves(const FrontendKey& key, uint32_t offset, const std::vector<Backend>& before,
                 const std::vector<Backend>& after, uint32_t affinity_seconds) {
    for (size_t place = 0; place < before.size(); ++place) {
      if (place < after.size() && after[place] == before[place]) continue;
      Move move;
      move.key = key;
      move.from = offset + static_cast<uint32_t>(place);
      auto found = std::find(after.begin(), after.end(), before[place]);
      if (found != after.end()) move.to = offset + static_cast<uint32_t>(found - after.begin());
      move.affinity_seconds = affinity_seconds;
      moves_.push_back(move);
    }
  }

  Elements deleted_, added_;
  UseCounts uses_;  // changes of the counts
  std::set<IpAddress> here_;
  std::vector<Move> moves_;
  Gone gone_udp_;
  std::set<FrontendKey> fresh_udp_;
  bool loses_endpoints_ = false;
};

bool ServiceRules::Applied::LeadsTo(const IpAddress& ip, uint16_t port) const {
  auto is_it = [&](const Backend& backend) { return backend.ip == ip && backend.port == port; };
  return std::ranges::any_of(backends, is_it) || std::ranges::any_of(local, is_it);
}

ServiceRules::ServiceRules(InstanceNames names, std::vector<Cidr> cluster_cidrs,
                           std::vector<Cidr> service_cidrs, NftFamily family)
    : names_(std::move(names)),
      family_(family),
      address_registers_(RegistersOf(AddressTypeOf(family))),
      cluster_cidrs_(OfFamily(std::move(cluster_cidrs), family)),
      service_cidrs_(OfFamily(std::move(service_cidrs), family)) {}

ServiceRules::Shape ServiceRules::ShapeOf(const Frontend& frontend) {
  Shape shape;
  shape.kind = frontend.kind;
  if (frontend.kind == Kind::kReject || frontend.kind == Kind::kDrop) return shape;
  shape.node_port = frontend.key.is_node_port();
  shape.backends = static_cast<uint32_t>(frontend.backends.size());
  shape.local = static_cast<uint32_t>(frontend.local.size());
  shape.affinity_seconds = frontend.affinity_seconds;
  return shape;
}

void ServiceRules::AddSkeleton(NftBatch& batch) const {
  const std::string& table = names_.service_table;
  const NftType address = AddressTypeOf(family_);
  batch.AddTable(table);
  batch.DeleteTable(table);
  batch.AddTable(table);

  for (const char* name : {"services", "guarded", "nodeports"}) {
    NftSet chains;
    chains.name = name;
    chains.key = {address, NftType::kProtocol, NftType::kPort};
    if (chains.name == "nodeports") chains.key[0] = NftType::kAddressType;
    chains.verdicts = true;
    batch.AddSet(table, chains);
  }
  for (bool node_port : {false, true}) {
    NftSet endpoints;
    endpoints.name = EndpointsMap(node_port);
    endpoints.key = {node_port ? NftType::kAddressType : address, NftType::kProtocol,
                     NftType::kPort, NftType::kMark};
    endpoints.data = {address, NftType::kPort};
    batch.AddSet(table, endpoints);
  }
  NftSet self;
  self.name = "self";
  self.key = {address, address};
  batch.AddSet(table, self);

  batch.AddChain(table, kReject);
  NftRule reset = NewRule();
  reset.ProtocolIs(IPPROTO_TCP).RejectWithReset();
  batch.AddRule(table, kReject, reset);
  NftRule unreachable = NewRule();
  unreachable.RejectPortUnreachable();
  batch.AddRule(table, kReject, unreachable);
  batch.AddChain(table, kDrop);
  NftRule drop = NewRule();
  drop.Drop();
  batch.AddRule(table, kDrop, drop);

  batch.AddChain(table, kGuard);
  NftRule guard = NewRule();
  LoadTarget(guard, /*node_port=*/false);
  guard.VerdictMap("guarded", 0);
  batch.AddRule(table, kGuard, guard);
  AddDispatch(batch);
  AddHooks(batch);
}

void ServiceRules::AddDispatch(NftBatch& batch) const {
  const std::string& table = names_.service_table;
  batch.AddChain(table, kDispatch);
  NftRule by_address = NewRule();
  LoadTarget(by_address, /*node_port=*/false);
  by_address.VerdictMap("services", 0);
  batch.AddRule(table, kDispatch, by_address);
  for (const Cidr& cidr : service_cidrs_) {
    NftRule unused = NewRule();
    unused.AddressIn(Side::kDestination, cidr)
        .AddressTypeIsLocal(Side::kDestination, false)
        .Goto(kReject);
    batch.AddRule(table, kDispatch, unused);
  }
  NftRule by_node_port = NewRule();
  if (family_ == NftFamily::kIp6) {
    // Packets from ::1 cannot leave the loopback interface, whatever their new destination.
    IpAddress loopback = *IpAddress::Parse("::1");
    by_node_port.AddressIn(Side::kDestination, {loopback, 128}, false);
  }
  LoadTarget(by_node_port, /*node_port=*/true);
  by_node_port.VerdictMap("nodeports", 0);
  batch.AddRule(table, kDispatch, by_node_port);
}

void ServiceRules::AddHooks(NftBatch& batch) const {
  const std::string& table = names_.service_table;
  for (auto [chain, hook] :
       {std::pair("prerouting", NftHook::kPrerouting), std::pair("output", NftHook::kOutput)}) {
    batch.AddNatChain(table, chain, hook, kDestinationPriority);
    for (const char* next : {kGuard, kDispatch}) {
      NftRule jump = NewRule();
      jump.Jump(next);
      batch.AddRule(table, chain, jump);
    }
  }
  batch.AddNatChain(table, "postrouting", NftHook::kPostrouting, kSourcePriority);
  NftRule marked = NewRule();
  marked.MarkHas(kMasqueradeMark).ClearMarkBit(kMasqueradeMark).Masquerade();
  batch.AddRule(table, "postrouting", marked);
  NftRule to_self = NewRule();
  to_self.LoadAddress(Side::kSource, 0)
      .LoadAddress(Side::kDestination, address_registers_)
      .InSet("self", 0)
      .Masquerade();
  batch.AddRule(table, "postrouting", to_self);
}

int ServiceRules::LoadTarget(NftRule& rule, bool node_port) const {
  const int next = node_port ? 1 : address_registers_;
  if (node_port) {
    rule.LoadAddressType(Side::kDestination, 0);
  } else {
    rule.LoadAddress(Side::kDestination, 0);
  }
  rule.LoadProtocol(next).LoadDestinationPort(next + 1);
  return next + 2;
}

NftRule& ServiceRules::LoadClient(NftRule& rule) const {
  const int port = kClientRegister + 2 * address_registers_ + 1;
  return rule.LoadAddress(Side::kSource, kClientRegister)
      .LoadAddress(Side::kDestination, kClientRegister + address_registers_)
      .LoadProtocol(port - 1)
      .LoadDestinationPort(port);
}

void ServiceRules::SendToPlace(NftRule& rule, const Shape& shape, uint32_t count,
                               uint32_t offset) const {
  const int place = LoadTarget(rule, shape.node_port);
  rule.LoadRandom(place, count, offset)
      .Map(EndpointsMap(shape.node_port), 0, kEndpointRegister)
      .Dnat(kEndpointRegister, kEndpointRegister + address_registers_);
}

void ServiceRules::AddChainRules(NftBatch& batch, const Shape& shape) const {
  const std::string& table = names_.service_table;
  const std::string chain = shape.Name();
  if (shape.kind == Kind::kReject || shape.kind == Kind::kDrop) return;  // in the skeleton
  batch.AddChain(table, chain);
  // `begin` puts conditions before the choice.
  auto add_picks = [&](auto begin, bool local) {
    const uint32_t count = local ? shape.local : shape.backends;
    const uint32_t offset = local ? kLocalOffset : 0;
    if (shape.affinity_seconds > 0) {
      for (uint32_t place = offset; place < offset + count; ++place) {
        NftRule known = NewRule();
        begin(known);
        LoadClient(known)
            .InSet(StickySet(place), kClientRegister)
            .Goto(PlaceChain(shape.node_port, shape.affinity_seconds, place));
        batch.AddRule(table, chain, known);
      }
      NftRule draw = NewRule();
      begin(draw);
      draw.LoadRandom(kPlaceRegister, count, offset)
          .VerdictMap(PlaceMap(shape.node_port, shape.affinity_seconds), kPlaceRegister);
      batch.AddRule(table, chain, draw);
      return;
    }
    NftRule rule = NewRule();
    begin(rule);
    SendToPlace(rule, shape, count, offset);
    batch.AddRule(table, chain, rule);
  };
  auto anybody = [](NftRule&) {};
  auto add_mark = [&](auto begin) {
    NftRule rule = NewRule();
    begin(rule);
    rule.SetMarkBit(kMasqueradeMark);
    batch.AddRule(table, chain, rule);
  };
  switch (shape.kind) {
    case Kind::kInternal:
      if (!cluster_cidrs_.empty()) {
        add_mark([&](NftRule& rule) {
          for (const Cidr& cidr : cluster_cidrs_)
            rule.AddressIn(Side::kSource, cidr, false);
        });
      }
      add_picks(anybody, false);
      break;
    case Kind::kExternal:
      add_mark(anybody);
      add_picks(anybody, false);
      break;
    case Kind::kExternalLocal: {
      // Clients inside the cluster use the external address like the cluster address; the node
      // itself like anybody outside, but with all endpoints.
      auto on_node = [](NftRule& rule) { rule.AddressTypeIsLocal(Side::kSource); };
      add_mark(on_node);
      add_picks(on_node, false);
      for (const Cidr& cidr : cluster_cidrs_) {
        add_picks([&](NftRule& rule) { rule.AddressIn(Side::kSource, cidr); }, false);
      }
      if (shape.local > 0) {
        add_picks(anybody, true);
      } else {
        NftRule drop = NewRule();
        drop.Drop();
        batch.AddRule(table, chain, drop);
      }
      break;
    }
    case Kind::kReject:
    case Kind::kDrop:
      break;
  }
}

Status ServiceRules::Replace(std::span<const Frontend> frontends) {
  std::vector<Change> changes;
  changes.reserve(frontends.size());
  for (const Frontend& frontend : frontends)
    changes.push_back({frontend.key, &frontend});
  applied_.clear();
  chains_.clear();
  guards_.clear();
  made_.clear();
  return Run(changes, /*replace=*/true);
}

Status ServiceRules::Apply(std::span<const Change> changes) {
  if (broken_) return InternalError("the service table must be replaced after a failed change");
  return Run(changes, /*replace=*/false);
}

bool ServiceRules::Uses(const IpAddress& ip) const {
  absl::MutexLock lock(&uses_mutex_);
  return uses_.contains(ip);
}

void ServiceRules::UseChain(NftBatch& batch, const Shape& shape) {
  auto [found, is_new] = chains_.try_emplace(shape, 0);
  ++found->second;
  if (!is_new) return;
  if (shape.affinity_seconds > 0) {
    for (uint32_t place = 0; place < shape.backends; ++place)
      UsePlace(batch, shape, place);
    for (uint32_t place = 0; place < shape.local; ++place)
      UsePlace(batch, shape, kLocalOffset + place);
  }
  AddChainRules(batch, shape);
}

void ServiceRules::UsePlace(NftBatch& batch, const Shape& shape, uint32_t place) {
  const std::string& table = names_.service_table;
  if (made_.insert(StickySet(place)).second) {
    const NftType address = AddressTypeOf(family_);
    NftSet sticky;
    sticky.name = StickySet(place);
    sticky.key = {address, address, NftType::kProtocol, NftType::kPort};
    sticky.dynamic = true;
    sticky.limit = kStickyLimit;
    batch.AddSet(table, sticky);
  }
  const std::string map = PlaceMap(shape.node_port, shape.affinity_seconds);
  if (made_.insert(map).second) {
    NftSet places;
    places.name = map;
    places.key = {NftType::kMark};
    places.verdicts = true;
    batch.AddSet(table, places);
  }
  const std::string chain = PlaceChain(shape.node_port, shape.affinity_seconds, place);
  if (!made_.insert(chain).second) return;
  batch.AddChain(table, chain);
  NftRule remember = NewRule();
  LoadClient(remember).Remember(StickySet(place), kClientRegister, shape.affinity_seconds);
  batch.AddRule(table, chain, remember);
  NftRule go = NewRule();
  SendToPlace(go, shape, 1, place);  // one of one: the place itself
  batch.AddRule(table, chain, go);
  NftBytes number;
  batch.AddElements(table, map, {{NftElement(number.Number(place), chain)}});
}

void ServiceRules::UseGuard(NftBatch& batch, const std::vector<Cidr>& sources) {
  auto [found, is_new] = guards_.try_emplace(sources, 0);
  ++found->second;
  if (!is_new) return;
  const std::string& table = names_.service_table;
  const std::string chain = GuardChain(sources);
  batch.AddChain(table, chain);
  for (const Cidr& cidr : sources) {
    NftRule may = NewRule();
    may.AddressIn(Side::kSource, cidr).Return();
    batch.AddRule(table, chain, may);
  }
  NftRule others = NewRule();
  others.Drop();
  batch.AddRule(table, chain, others);
}

void ServiceRules::DropSpareGuards(NftBatch& batch) {
  for (const auto& [sources, users] : guards_) {
    if (users == 0) batch.DeleteChain(names_.service_table, GuardChain(sources));
  }
  std::erase_if(guards_, [](const auto& entry) { return entry.second == 0; });
}

void ServiceRules::DropSpareChains(NftBatch& batch) {
  auto unused = [](const auto& entry) { return entry.second == 0; };
  if (static_cast<size_t>(std::count_if(chains_.begin(), chains_.end(), unused)) <= kSpareChains)
    return;
  for (const auto& [shape, users] : chains_) {
    if (users > 0 || shape.kind == Kind::kReject || shape.kind == Kind::kDrop) continue;
    batch.DeleteChain(names_.service_table, shape.Name());
  }
  std::erase_if(chains_, unused);
}

Status ServiceRules::Run(std::span<const Change> changes, bool replace) {
  broken_ = true;  // until the kernel has taken it: what is changed below is then no longer what
                   // the kernel has
  NftBatch batch(family_);
  if (replace) AddSkeleton(batch);
  Plan plan;
  for (const Change& change : changes) {
    auto found = applied_.find(change.key);
    const bool was = found != applied_.end(), is = change.after != nullptr;
    Applied before, after;
    if (was) before = std::move(found->second);
    if (is) {
      after.shape = ShapeOf(*change.after);
      after.backends = KeepPlaces(before.backends, change.after->backends);
      after.local = KeepPlaces(before.local, change.after->local);
      after.sources = change.after->sources;
    }
    if (before.sources != after.sources) {
      if (before.sources) {
        plan.Guard(false, change.key, *before.sources);
        --guards_.at(*before.sources);
      }
      if (after.sources) {
        plan.Guard(true, change.key, *after.sources);
        UseGuard(batch, *after.sources);
      }
    }
    if (was != is || before.shape != after.shape) {
      if (was) {
        plan.Service(false, change.key, before.shape.Name());
        --chains_.at(before.shape);
      }
      if (is) {
        plan.Service(true, change.key, after.shape.Name());
        UseChain(batch, after.shape);
      }
    }
    plan.Backends(change.key, 0, before.backends, after.backends);
    plan.Backends(change.key, kLocalOffset, before.local, after.local);
    plan.Aftercare(change.key, before, after);
    if (is) {
      applied_.insert_or_assign(change.key, std::move(after));
    } else if (was) {
      applied_.erase(found);
    }
  }
  // Only this thread changes the counts, so that it may read them freely.
  if (replace) {
    plan.NoteSelf({}, {});
  } else {
    plan.NoteSelf(uses_, here_);
  }
  plan.Write(batch, names_.service_table);
  DropSpareChains(batch);
  DropSpareGuards(batch);
  GANTRY_ASSIGN(NetlinkSocket socket, OpenNftSocket());
  if (!batch.empty()) GANTRY_TRY(batch.Commit(socket));
  broken_ = false;
  GANTRY_TRY(MoveClients(socket, plan.moves()));
  {
    absl::MutexLock lock(&uses_mutex_);
    if (replace) {
      uses_.clear();
      here_.clear();
    }
    plan.UpdateUses(&uses_, &here_);
  }
  ForgetFlows(plan.gone_udp(), plan.fresh_udp());
  // Nobody knows what an earlier run left.
  forget_due_ |= replace || plan.loses_endpoints();
  return Status::Ok();
}

Status ServiceRules::MoveClients(NetlinkSocket& socket, const std::vector<Move>& moves) const {
  const size_t address_size = static_cast<size_t>(address_registers_) * 4;
  // By set: who leaves it, who comes.
  std::vector<std::pair<std::string, NftElement>> departures, arrivals;
  for (const Move& move : moves) {
    const NftBytes target = KeyBytes(move.key);
    auto visit = [&](std::span<const uint8_t> client, std::span<const uint8_t>) {
      if (client.size() != 2 * address_size + 8) return;
      const std::span<const uint8_t> asked = client.subspan(address_size);
      bool ours;
      if (move.key.is_node_port()) {
        // The address may be any of the node's, but then it is nobody else's.
        FrontendKey other = move.key;
        std::copy_n(asked.begin(), address_size, other.ip.bytes.begin());
        ours = std::ranges::equal(asked.subspan(address_size), target.view().subspan(4)) &&
               !applied_.contains(other);
      } else {
        ours = std::ranges::equal(asked, target.view());
      }
      if (!ours) return;
      NftElement element(NftBytes::Of(client));
      departures.emplace_back(StickySet(move.from), element);
      if (!move.to || move.affinity_seconds == 0) return;
      element.timeout_seconds = move.affinity_seconds;
      arrivals.emplace_back(StickySet(*move.to), element);
    };
    GANTRY_TRY(
        ForEachNftElement(socket, names_.service_table, StickySet(move.from), visit, family_));
  }
  // One at a time: an entry may run out meanwhile, which must not keep the others.
  for (const auto& [set, element] : departures) {
    NftBatch batch(family_);
    batch.DeleteElements(names_.service_table, set, {{element}});
    Status status = batch.Commit(socket);
    if (!status.ok() && status.code() != Code::kNotFound) return status;
  }
  for (const auto& [set, element] : arrivals) {
    NftBatch batch(family_);
    batch.AddElements(names_.service_table, set, {{element}});
    GANTRY_TRY(batch.Commit(socket));
  }
  return Status::Ok();
}

void ServiceRules::ForgetFlows(const Gone& gone, const std::set<FrontendKey>& fresh) const {
  if (gone.empty() && fresh.empty()) return;
  Result<int> forgotten = DeleteFlows(IPPROTO_UDP, [&](const ConntrackFlow& flow) {
    IpAddress every_address;
    every_address.size = flow.destination.size;
    for (const IpAddress& ip : {flow.destination, every_address}) {
      FrontendKey key{ip, IPPROTO_UDP, flow.destination_port};
      auto found = gone.find(key);
      if (found != gone.end()) {
        for (const Backend& backend : found->second) {
          if (backend.ip == flow.replier && backend.port == flow.replier_port) return true;
        }
      }
      if (flow.replier == flow.destination && fresh.contains(key)) return true;
    }
    return false;
  });
  if (!forgotten.ok()) {
    log::Warning("net", "cannot forget UDP flows of removed endpoints",
                 {{"error", forgotten.status().message()}});
  }
}

Status ServiceRules::ForgetUnanswered() {
  forget_due_ = false;
  auto forgotten = DeleteUnansweredFlows([this](const ConntrackFlow& flow) {
    auto found = applied_.find({flow.destination, flow.protocol, flow.destination_port});
    if (found == applied_.end() && flow.replier != flow.destination) {
      IpAddress every_address;
      every_address.size = flow.destination.size;
      found = applied_.find({every_address, flow.protocol, flow.destination_port});
    }
    return found != applied_.end() && !found->second.LeadsTo(flow.replier, flow.replier_port);
  });
  return forgotten.status();
}

}  // namespace gantry::net
