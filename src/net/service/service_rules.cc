#include "net/service/service_rules.h"

#include <netinet/in.h>

#include <algorithm>
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
constexpr uint32_t kAffinityLimit = 1u << 20;
// So many unused chains are kept for the next service of their shape.
constexpr size_t kSpareChains = 64;

constexpr char kReject[] = "reject";
constexpr char kDrop[] = "drop";

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

// `wanted` in an order that leaves those of `before` where they were, as far as there is no hole to fill.
std::vector<Backend> KeepPlaces(const std::vector<Backend>& before, const std::vector<Backend>& wanted) {
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
  void Service(bool add, const FrontendKey& key, uint32_t chain) {
    NftBytes number;
    Elements& elements = add ? added_ : deleted_;
    (key.is_node_port() ? elements.node_ports : elements.services)
        .emplace_back(KeyBytes(key), number.Number(chain));
  }
  void Backends(const FrontendKey& key, uint32_t offset, const std::vector<Backend>& before,
                const std::vector<Backend>& after) {
    for (size_t place = 0; place < std::max(before.size(), after.size()); ++place) {
      const bool was = place < before.size(), is = place < after.size();
      if (was && is && before[place] == after[place]) continue;
      const NftBytes element_key = KeyBytes(key).Number(offset + static_cast<uint32_t>(place));
      if (was) {
        deleted_.endpoints.emplace_back(element_key, EndpointBytes(before[place]));
        --uses_[before[place].ip];
      }
      if (is) {
        added_.endpoints.emplace_back(element_key, EndpointBytes(after[place]));
        ++uses_[after[place].ip];
        if (after[place].on_this_node) here_.insert(after[place].ip);
      }
    }
  }
  // What the kernel remembers of `key` and must forget.
  void Aftercare(const FrontendKey& key, const Applied& before, const Applied& after) {
    std::vector<Backend> gone;
    auto has = [](const Applied& applied, const Backend& backend) {
      return std::find(applied.backends.begin(), applied.backends.end(), backend) != applied.backends.end() ||
             std::find(applied.local.begin(), applied.local.end(), backend) != applied.local.end();
    };
    for (const auto* list : {&before.backends, &before.local}) {
      for (const Backend& backend : *list) {
        if (!has(after, backend)) gone.push_back(backend);
      }
    }
    if (!gone.empty() && before.shape.affinity_seconds > 0) unstick_[key] = gone;
    if (key.protocol != IPPROTO_UDP) return;
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
      write("endpoints", &Elements::endpoints);
      write("self", &Elements::self);
    };
    each([&](const char* set, auto member) { batch.DeleteElements(table, set, deleted_.*member); });
    each([&](const char* set, auto member) { batch.AddElements(table, set, added_.*member); });
  }

  const Gone& unstick() const { return unstick_; }
  const Gone& gone_udp() const { return gone_udp_; }
  const std::set<FrontendKey>& fresh_udp() const { return fresh_udp_; }

 private:
  struct Elements {
    std::vector<NftElement> services, node_ports, endpoints, self;
  };
  Elements deleted_, added_;
  UseCounts uses_;  // changes of the counts
  std::set<IpAddress> here_;
  Gone unstick_, gone_udp_;
  std::set<FrontendKey> fresh_udp_;
};

ServiceRules::ServiceRules(InstanceNames names, std::vector<Cidr> cluster_cidrs, std::vector<Cidr> service_cidrs)
    : names_(std::move(names)),
      cluster_cidrs_(std::move(cluster_cidrs)),
      service_cidrs_(std::move(service_cidrs)) {}

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
  batch.AddTable(table);
  batch.DeleteTable(table);
  batch.AddTable(table);

  NftSet services;
  services.name = "services";
  services.key = {NftType::kIp, NftType::kProtocol, NftType::kPort};
  services.data = {NftType::kMark};
  batch.AddSet(table, services);
  services.name = "nodeports";
  services.key[0] = NftType::kAddressType;
  batch.AddSet(table, services);
  NftSet chains;
  chains.name = "chains";
  chains.key = {NftType::kMark};
  chains.verdicts = true;
  batch.AddSet(table, chains);
  NftSet endpoints;
  endpoints.name = "endpoints";
  endpoints.key = {NftType::kIp, NftType::kProtocol, NftType::kPort, NftType::kMark};
  endpoints.data = {NftType::kIp, NftType::kPort};
  batch.AddSet(table, endpoints);
  NftSet affinity;
  affinity.name = "affinity";
  affinity.key = {NftType::kIp, NftType::kIp, NftType::kProtocol, NftType::kPort};
  affinity.data = {NftType::kIp, NftType::kPort};
  affinity.dynamic = true;
  affinity.limit = kAffinityLimit;
  batch.AddSet(table, affinity);
  NftSet self;
  self.name = "self";
  self.key = {NftType::kIp, NftType::kIp};
  batch.AddSet(table, self);

  batch.AddChain(table, kReject);
  NftRule reset;
  reset.ProtocolIs(IPPROTO_TCP).RejectWithReset();
  batch.AddRule(table, kReject, reset);
  NftRule unreachable;
  unreachable.RejectPortUnreachable();
  batch.AddRule(table, kReject, unreachable);
  batch.AddChain(table, kDrop);
  NftRule drop;
  drop.Drop();
  batch.AddRule(table, kDrop, drop);

  batch.AddChain(table, "dispatch");
  NftRule by_address;
  by_address.LoadAddress(Side::kDestination, 0).LoadProtocol(1).LoadDestinationPort(2);
  by_address.Map("services", 0, 4).VerdictMap("chains", 4);
  batch.AddRule(table, "dispatch", by_address);
  for (const Cidr& cidr : service_cidrs_) {
    if (!cidr.address.is_v4()) continue;
    NftRule unused;
    unused.AddressIn(Side::kDestination, cidr).AddressTypeIsLocal(Side::kDestination, false).Goto(kReject);
    batch.AddRule(table, "dispatch", unused);
  }
  NftRule by_node_port;
  by_node_port.LoadAddressType(Side::kDestination, 0).LoadProtocol(1).LoadDestinationPort(2);
  by_node_port.Map("nodeports", 0, 4).VerdictMap("chains", 4);
  batch.AddRule(table, "dispatch", by_node_port);

  for (auto [chain, hook] : {std::pair("prerouting", NftHook::kPrerouting), std::pair("output", NftHook::kOutput)}) {
    batch.AddNatChain(table, chain, hook, kDestinationPriority);
    NftRule jump;
    jump.Jump("dispatch");
    batch.AddRule(table, chain, jump);
  }
  batch.AddNatChain(table, "postrouting", NftHook::kPostrouting, kSourcePriority);
  NftRule marked;
  marked.MarkHas(kMasqueradeMark).ClearMarkBit(kMasqueradeMark).Masquerade();
  batch.AddRule(table, "postrouting", marked);
  NftRule to_self;
  to_self.LoadAddress(Side::kSource, 0).LoadAddress(Side::kDestination, 1).InSet("self", 0).Masquerade();
  batch.AddRule(table, "postrouting", to_self);
}

void ServiceRules::AppendPick(NftRule& rule, const Shape& shape, bool local, bool sticky) const {
  const uint32_t count = local ? shape.local : shape.backends;
  auto load_target = [&](int reg) {
    if (shape.node_port) {
      rule.LoadAddressType(Side::kDestination, reg);
    } else {
      rule.LoadAddress(Side::kDestination, reg);
    }
    rule.LoadProtocol(reg + 1).LoadDestinationPort(reg + 2);
  };
  load_target(0);
  rule.LoadRandom(3, count, local ? kLocalOffset : 0).Map("endpoints", 0, 4);
  if (sticky) {
    rule.LoadAddress(Side::kSource, 8);
    load_target(9);
    // A client that is known keeps its endpoint; the chosen one is for newcomers.
    rule.Remember("affinity", 8, 4, shape.affinity_seconds).Map("affinity", 8, 4);
  }
  rule.Dnat(4, 5);
}

void ServiceRules::AddChainRules(NftBatch& batch, const Shape& shape) const {
  const std::string& table = names_.service_table;
  const std::string chain = shape.Name();
  if (shape.kind == Kind::kReject || shape.kind == Kind::kDrop) return;  // in the skeleton
  batch.AddChain(table, chain);
  // With affinity a second rule without it follows, for the case that the kernel cannot remember more clients.
  auto add_picks = [&](auto begin, bool local) {
    for (bool sticky : {true, false}) {
      if (sticky && shape.affinity_seconds == 0) continue;
      NftRule rule;
      begin(rule);
      AppendPick(rule, shape, local, sticky);
      batch.AddRule(table, chain, rule);
    }
  };
  auto anybody = [](NftRule&) {};
  auto add_mark = [&](auto begin) {
    NftRule rule;
    begin(rule);
    rule.SetMarkBit(kMasqueradeMark);
    batch.AddRule(table, chain, rule);
  };
  switch (shape.kind) {
    case Kind::kInternal:
      if (!cluster_cidrs_.empty()) {
        add_mark([&](NftRule& rule) {
          for (const Cidr& cidr : cluster_cidrs_) rule.AddressIn(Side::kSource, cidr, false);
        });
      }
      add_picks(anybody, false);
      break;
    case Kind::kExternal:
      add_mark(anybody);
      add_picks(anybody, false);
      break;
    case Kind::kExternalLocal: {
      // Clients inside the cluster use the external address like the cluster address; the node itself like anybody outside,
      // but with all endpoints.
      auto on_node = [](NftRule& rule) { rule.AddressTypeIsLocal(Side::kSource); };
      add_mark(on_node);
      add_picks(on_node, false);
      for (const Cidr& cidr : cluster_cidrs_) {
        add_picks([&](NftRule& rule) { rule.AddressIn(Side::kSource, cidr); }, false);
      }
      if (shape.local > 0) {
        add_picks(anybody, true);
      } else {
        NftRule drop;
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
  for (const Frontend& frontend : frontends) changes.push_back({frontend.key, &frontend});
  applied_.clear();
  chains_.clear();
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

uint32_t ServiceRules::UseChain(NftBatch& batch, const Shape& shape) {
  auto [found, is_new] = chains_.try_emplace(shape);
  Chain& chain = found->second;
  ++chain.users;
  if (is_new) {
    chain.number = next_number_++;
    AddChainRules(batch, shape);
    NftBytes number;
    number.Number(chain.number);
    batch.AddElements(names_.service_table, "chains", {{NftElement(number, shape.Name())}});
  }
  return chain.number;
}

void ServiceRules::DropSpareChains(NftBatch& batch) {
  auto unused = [](const auto& entry) { return entry.second.users == 0; };
  if (static_cast<size_t>(std::count_if(chains_.begin(), chains_.end(), unused)) <= kSpareChains) return;
  for (auto it = chains_.begin(); it != chains_.end();) {
    if (it->second.users > 0) {
      ++it;
      continue;
    }
    NftBytes number;
    number.Number(it->second.number);
    batch.DeleteElements(names_.service_table, "chains", {{NftElement(number)}});
    if (it->first.kind != Kind::kReject && it->first.kind != Kind::kDrop) {
      batch.DeleteChain(names_.service_table, it->first.Name());
    }
    it = chains_.erase(it);
  }
}

Status ServiceRules::Run(std::span<const Change> changes, bool replace) {
  broken_ = true;  // until the kernel has taken it: what is changed below is then no longer what the kernel has
  NftBatch batch;
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
    }
    if (was != is || before.shape != after.shape) {
      if (was) plan.Service(false, change.key, chains_.at(before.shape).number);
      if (is) plan.Service(true, change.key, UseChain(batch, after.shape));
      if (was) --chains_.at(before.shape).users;
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
  GANTRY_ASSIGN(NetlinkSocket socket, OpenNftSocket());
  if (!batch.empty()) GANTRY_TRY(batch.Commit(socket));
  broken_ = false;
  GANTRY_TRY(ForgetAffinity(socket, plan.unstick()));
  {
    absl::MutexLock lock(&uses_mutex_);
    if (replace) {
      uses_.clear();
      here_.clear();
    }
    plan.UpdateUses(&uses_, &here_);
  }
  ForgetFlows(plan.gone_udp(), plan.fresh_udp());
  return Status::Ok();
}

Status ServiceRules::ForgetAffinity(NetlinkSocket& socket, const Gone& gone) const {
  if (gone.empty()) return Status::Ok();
  std::set<std::pair<NftBytes, NftBytes>> doomed;
  for (const auto& [key, backends] : gone) {
    for (const Backend& backend : backends) doomed.emplace(KeyBytes(key), EndpointBytes(backend));
  }
  std::vector<NftElement> stale;
  GANTRY_TRY(ForEachNftElement(socket, names_.service_table, "affinity",
                               [&](std::span<const uint8_t> key, std::span<const uint8_t> data) {
                                 if (key.size() < 16) return;
                                 std::pair<NftBytes, NftBytes> target(NftBytes::Of(key.subspan(4)), NftBytes::Of(data));
                                 if (doomed.contains(target)) stale.emplace_back(NftBytes::Of(key));
                               }));
  // One at a time: an entry may run out meanwhile, which must not keep the others.
  for (const NftElement& element : stale) {
    NftBatch batch;
    batch.DeleteElements(names_.service_table, "affinity", {{element}});
    Status status = batch.Commit(socket);
    if (!status.ok() && status.code() != Code::kNotFound) return status;
  }
  return Status::Ok();
}

void ServiceRules::ForgetFlows(const Gone& gone, const std::set<FrontendKey>& fresh) const {
  if (gone.empty() && fresh.empty()) return;
  Result<int> forgotten = DeleteFlows(IPPROTO_UDP, [&](const ConntrackFlow& flow) {
    for (const IpAddress& ip : {flow.destination, IpAddress()}) {
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
    log::Warning("net", "cannot forget UDP flows of removed endpoints", {{"error", forgotten.status().message()}});
  }
}

}  // namespace gantry::net
