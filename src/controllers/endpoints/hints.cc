#include "controllers/endpoints/hints.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "api/quantity.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Node;
using api::core::v1::Service;
using api::discovery::v1::Endpoint;

constexpr char kTopologyMode[] = "service.kubernetes.io/topology-mode";
constexpr char kOldTopologyHints[] = "service.kubernetes.io/topology-aware-hints";
constexpr char kZone[] = "topology.kubernetes.io/zone";
constexpr const char* kControlPlane[] = {"node-role.kubernetes.io/control-plane",
                                         "node-role.kubernetes.io/master"};
constexpr double kOverload = 0.2;  // so much more than its share an endpoint may get

bool IsReady(const Node& node) {
  for (const auto& condition : node.status().conditions()) {
    if (condition.type() == "Ready") return condition.status() == "True";
  }
  return false;
}

bool IsControlPlane(const Node& node) {
  return std::ranges::any_of(
      kControlPlane, [&](const char* label) { return node.metadata().labels().contains(label); });
}

std::string ZoneOf(const Node& node) {
  auto it = node.metadata().labels().find(kZone);
  return it == node.metadata().labels().end() ? "" : it->second;
}

int64_t MilliCpus(const Node& node) {
  auto it = node.status().allocatable().find("cpu");
  if (it == node.status().allocatable().end()) return 0;
  return api::Quantity::ParseOrZero(it->second.string()).MilliValue();
}

void SetZone(const std::string& zone, Endpoint* endpoint) {
  endpoint->clear_hints();
  endpoint->mutable_hints()->add_for_zones()->set_name(zone);
}

// How many endpoints each zone should have.
struct Allocation {
  std::map<std::string, double> desired;
  std::string problem;
};

Allocation Allocate(const ZoneShares& shares, size_t endpoints) {
  Allocation allocation;
  const std::string numbers =
      " (" + std::to_string(endpoints) + " endpoints, " + std::to_string(shares.size()) + " zones)";
  if (shares.empty()) {
    allocation.problem =
        "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes";
    return allocation;
  }
  if (shares.size() > endpoints) {
    allocation.problem = "Insufficient number of endpoints" + numbers;
    return allocation;
  }
  double left = static_cast<double>(endpoints);
  for (const auto& [zone, share] : shares) {
    const double desired = share * static_cast<double>(endpoints);
    const double least = std::ceil(desired / (1 + kOverload));
    allocation.desired[zone] = std::max(desired, least);
    left -= least;
  }
  if (left < 0) {
    allocation.problem =
        "Unable to allocate minimum required endpoints to each zone without exceeding overload "
        "threshold" +
        numbers;
  }
  return allocation;
}

using Surplus = std::map<std::string, double>;
Surplus::iterator Largest(Surplus& zones) {
  return std::ranges::max_element(zones, {}, [](const auto& zone) { return zone.second; });
}

// Which zones lend how many endpoints, and which take them: whole ones, the largest differences
// first.
struct Transfers {
  std::map<std::string, int> lend;
  std::vector<std::string> take;
};
Transfers TransfersFor(const Allocation& allocation, const std::map<std::string, int>& have) {
  Surplus over, under;
  for (const auto& [zone, desired] : allocation.desired) {
    auto it = have.find(zone);
    const double difference = (it == have.end() ? 0 : it->second) - desired;
    if (difference > 0) over[zone] = difference;
    if (difference < 0) under[zone] = -difference;
  }
  Transfers transfers;
  while (!over.empty() && !under.empty()) {
    auto from = Largest(over), to = Largest(under);
    if (from->second < 0.5 || to->second < 0.5 || (from->second < 1 && to->second < 1)) break;
    ++transfers.lend[from->first];
    transfers.take.push_back(to->first);
    --from->second;
    --to->second;
  }
  return transfers;
}

}  // namespace

bool WantsTopologyHints(const Service& service) {
  const auto& annotations = service.metadata().annotations();
  auto it = annotations.find(kOldTopologyHints);
  if (it == annotations.end()) it = annotations.find(kTopologyMode);
  return it != annotations.end() && (it->second == "Auto" || it->second == "auto");
}

void HintByDistribution(const Service& service, Endpoint* endpoint) {
  const std::string& wish = service.spec().traffic_distribution();
  if (!service.spec().has_traffic_distribution() || !endpoint->conditions().ready()) return;
  const bool by_node = wish == "PreferSameNode";
  if (!by_node && wish != "PreferSameZone" && wish != "PreferClose") return;
  if (endpoint->has_zone()) endpoint->mutable_hints()->add_for_zones()->set_name(endpoint->zone());
  if (by_node && endpoint->has_node_name())
    endpoint->mutable_hints()->add_for_nodes()->set_name(endpoint->node_name());
}

ZoneShares SharesOfZones(std::span<const api::Ref<Node>> nodes) {
  std::map<std::string, int64_t> cpus;
  int64_t total = 0;
  for (const api::Ref<Node>& node : nodes) {
    if (IsControlPlane(*node) || !IsReady(*node)) continue;
    const std::string zone = ZoneOf(*node);
    const int64_t milli = MilliCpus(*node);
    if (zone.empty() || milli == 0) return {};
    cpus[zone] += milli;
    total += milli;
  }
  ZoneShares shares;
  if (cpus.size() < 2) return shares;
  for (const auto& [zone, milli] : cpus)
    shares[zone] = static_cast<double>(milli) / static_cast<double>(total);
  return shares;
}

std::string TopologyOf(const Node& node) {
  if (IsControlPlane(node) || !IsReady(node)) return "";
  return ZoneOf(node) + "/" + std::to_string(MilliCpus(node));
}

std::string SpreadOverZones(const ZoneShares& shares, std::span<Endpoint* const> endpoints) {
  std::vector<Endpoint*> ready;
  std::ranges::copy_if(endpoints, std::back_inserter(ready),
                       [](const Endpoint* endpoint) { return endpoint->conditions().ready(); });
  Allocation allocation = Allocate(shares, ready.size());
  if (!allocation.problem.empty()) return allocation.problem;
  if (std::ranges::any_of(ready, [](const Endpoint* endpoint) { return endpoint->zone().empty(); }))
    return "One or more endpoints do not have a zone specified";
  std::map<std::string, int> have;
  for (Endpoint* endpoint : ready) {
    SetZone(endpoint->zone(), endpoint);
    ++have[endpoint->zone()];
  }
  Transfers transfers = TransfersFor(allocation, have);
  size_t taken = 0;
  for (Endpoint* endpoint : ready) {
    auto lender = transfers.lend.find(endpoint->zone());
    if (taken == transfers.take.size()) break;
    if (lender == transfers.lend.end() || lender->second == 0) continue;
    --lender->second;
    SetZone(transfers.take[taken++], endpoint);
  }
  return "";
}

}  // namespace gantry::controllers
