#include "controllers/servicelb/service_lb.h"

#include <algorithm>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "api/core/v1/node.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/duration.h"
#include "api/owners.h"
#include "api/service_families.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Node;
using api::core::v1::Service;
using api::core::v1::ServicePort;
using api::discovery::v1::Endpoint;
using api::discovery::v1::EndpointSlice;
using client::Plan;
using ServiceRef = api::Ref<Service>;

constexpr char kServiceName[] = "kubernetes.io/service-name";
constexpr char kSlicesOfService[] = "load balancer service";
constexpr char kExcluded[] = "node.kubernetes.io/exclude-from-external-load-balancers";
constexpr char kBeingRemoved[] = "ToBeDeletedByClusterAutoscaler";

bool TakesTraffic(const Node& node) {
  if (api::IsBeingDeleted(node.metadata()) || node.metadata().labels().contains(kExcluded))
    return false;
  for (const auto& taint : node.spec().taints()) {
    if (taint.key() == kBeingRemoved) return false;
  }
  return std::ranges::any_of(node.status().conditions(), [](const auto& condition) {
    return condition.type() == "Ready" && condition.status() == "True";
  });
}

// Where the world reaches the node in a family: by its external addresses where it has some, else
// by its internal ones.
std::vector<std::string> AddressesOf(const Node& node, std::string_view family) {
  for (const char* type : {"ExternalIP", "InternalIP"}) {
    std::vector<std::string> addresses;
    for (const auto& address : node.status().addresses()) {
      if (address.type() == type && api::IpFamilyOf(address.address()) == family)
        addresses.push_back(address.address());
    }
    if (!addresses.empty()) return addresses;
  }
  return {};
}

// What of a node this controller looks at.
std::string ShapeOf(const Node& node) {
  std::string shape;
  if (!TakesTraffic(node)) return shape;
  for (const auto& address : node.status().addresses()) {
    shape.append(address.type()).append(" ").append(address.address()).append("\n");
  }
  return shape;
}

using PortKey = std::pair<std::string, int32_t>;  // protocol, number
std::set<PortKey> PortsOf(const Service& service) {
  std::set<PortKey> ports;
  for (const ServicePort& port : service.spec().ports())
    ports.emplace(port.protocol().empty() ? "TCP" : port.protocol(), port.port());
  return ports;
}

std::vector<std::string> IngressOf(const Service& service) {
  std::vector<std::string> addresses;
  for (const auto& ingress : service.status().load_balancer().ingress())
    addresses.push_back(ingress.ip());
  return addresses;
}

// Who of two services that want one port comes first: who has addresses, else the older one.
auto Rank(const Service& service) {
  return std::tuple(service.status().load_balancer().ingress().empty(),
                    service.metadata().creation_timestamp().seconds(),
                    service.metadata().namespace_(), service.metadata().name());
}

class ServiceLbController : public client::Reconciler {
 public:
  explicit ServiceLbController(bool without_class) : without_class_(without_class) {}

  std::string_view name() const override { return "service-lb"; }
  std::string event_source() const override { return "service-controller"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    services_ = &informers.For<Service>();
    nodes_ = &informers.For<Node>();
    slices_ = &informers.For<EndpointSlice>();
    slices_->AddIndex(kSlicesOfService, [](const api::Object& slice) {
      auto service = slice.meta().labels().find(kServiceName);
      if (service == slice.meta().labels().end()) return std::vector<std::string>();
      return std::vector<std::string>{slice.ns() + "/" + service->second};
    });
    services_->AddHandler(
        [this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
          const bool was = before && IsOurs(before->As<Service>());
          const bool is = after && IsOurs(after->As<Service>());
          // What one gives up is there for the others.
          if (was || is) WakeAll(enqueue);
        });
    nodes_->AddHandler([this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      const std::string was = before ? ShapeOf(before->As<Node>()) : "";
      const std::string is = after ? ShapeOf(after->As<Node>()) : "";
      if (was != is) WakeAll(enqueue);
    });
    slices_->AddHandler([this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      const api::Object& slice = after ? *after : *before;
      auto name = slice.meta().labels().find(kServiceName);
      if (name == slice.meta().labels().end()) return;
      auto service = client::GetFrom<Service>(*services_, slice.ns(), name->second);
      if (service && IsOurs(*service) && service->spec().external_traffic_policy() == "Local")
        enqueue({slice.ns(), name->second});
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    ServiceRef service = client::GetFrom<Service>(*services_, key.ns, key.name);
    if (!service || !IsOurs(*service)) return plan;
    std::vector<std::string> addresses = CandidatesFor(*service);
    if (addresses.empty()) {
      plan.events.push_back(
          {service.object(), "Warning", "UnAvailableLoadBalancer", WhyNoCandidates(*service)});
    }
    DropTaken(service, &addresses, &plan);
    const std::vector<std::string> before = IngressOf(*service);
    if (addresses == before) return plan;
    Service next = *service;
    auto* balancer = next.mutable_status()->mutable_load_balancer();
    balancer->clear_ingress();
    for (std::string& address : addresses) {
      auto* ingress = balancer->add_ingress();
      ingress->set_ip(std::move(address));
      ingress->set_ip_mode("VIP");
    }
    if (before.empty()) {
      plan.events.push_back(
          {service.object(), "Normal", "EnsuredLoadBalancer", "Ensured load balancer"});
    } else {
      plan.events.push_back({service.object(), "Normal", "UpdatedLoadBalancer",
                             "Updated load balancer with new hosts"});
    }
    plan.UpdateStatus(std::move(next));
    return plan;
  }

 private:
  bool IsOurs(const Service& service) const {
    const auto& spec = service.spec();
    return spec.type() == "LoadBalancer" && !api::IsBeingDeleted(service.metadata()) &&
           (spec.has_load_balancer_class() ? spec.load_balancer_class() == kServiceLbClass
                                           : without_class_);
  }

  void WakeAll(const Enqueue& enqueue) const {
    for (const api::ObjectPtr& service : services_->List()) {
      if (IsOurs(service->As<Service>())) enqueue({service->ns(), service->name()});
    }
  }

  // The nodes that have a ready endpoint of the service.
  std::set<std::string> NodesWithEndpoints(const Service& service) const {
    std::set<std::string> nodes;
    const auto& meta = service.metadata();
    for (const auto& slice : client::Typed<EndpointSlice>(
             slices_->ByIndex(kSlicesOfService, meta.namespace_() + "/" + meta.name()))) {
      for (const Endpoint& endpoint : slice->endpoints()) {
        if (!endpoint.conditions().has_ready() || endpoint.conditions().ready())
          nodes.insert(endpoint.node_name());
      }
    }
    return nodes;
  }

  // The addresses that the service would have if no other wanted them: sorted, those of its first
  // family first.
  std::vector<std::string> CandidatesFor(const Service& service) const {
    const auto& spec = service.spec();
    const bool local = spec.external_traffic_policy() == "Local";
    std::set<std::string> with_endpoints;
    if (local) with_endpoints = NodesWithEndpoints(service);
    std::vector<std::string> families(spec.ip_families().begin(), spec.ip_families().end());
    if (families.empty()) families.emplace_back("IPv4");
    std::vector<std::string> addresses;
    for (const std::string& family : families) {
      std::set<std::string> found;
      for (const api::Ref<Node>& node : client::Typed<Node>(nodes_->List())) {
        if (!TakesTraffic(*node) || (local && !with_endpoints.contains(node->metadata().name())))
          continue;
        for (std::string& address : AddressesOf(*node, family)) {
          if (spec.load_balancer_ip().empty() || spec.load_balancer_ip() == address)
            found.insert(std::move(address));
        }
      }
      addresses.insert(addresses.end(), found.begin(), found.end());
    }
    return addresses;
  }

  static std::string WhyNoCandidates(const Service& service) {
    const auto& spec = service.spec();
    if (!spec.load_balancer_ip().empty()) {
      return "No available node has the address " + spec.load_balancer_ip() +
             " that loadBalancerIP asks for";
    }
    if (spec.external_traffic_policy() == "Local") {
      return "There are no available nodes for LoadBalancer: externalTrafficPolicy is Local, and "
             "no "
             "ready node has a ready endpoint";
    }
    return "There are no available nodes for LoadBalancer";
  }

  // Takes out the addresses on which another has one of the ports.
  void DropTaken(const ServiceRef& service, std::vector<std::string>* addresses, Plan* plan) const {
    const std::set<PortKey> ports = PortsOf(*service);
    auto drop = [&](const std::string& who, const PortKey& port,
                    const std::vector<std::string>& theirs) {
      const size_t before = addresses->size();
      std::erase_if(*addresses, [&](const std::string& address) {
        return std::ranges::find(theirs, address) != theirs.end();
      });
      if (addresses->size() == before) return;
      plan->events.push_back({service.object(), "Warning", "PortUnavailable",
                              "port " + std::to_string(port.second) + "/" + port.first + " of " +
                                  std::to_string(before - addresses->size()) +
                                  " addresses is taken by " + who});
    };
    for (const auto& slice :
         client::Typed<EndpointSlice>(slices_->ByIndex(kSlicesOfService, "default/kubernetes"))) {
      std::vector<std::string> servers;
      for (const Endpoint& endpoint : slice->endpoints())
        servers.insert(servers.end(), endpoint.addresses().begin(), endpoint.addresses().end());
      for (const auto& port : slice->ports()) {
        const PortKey key(port.protocol(), port.port());
        if (ports.contains(key)) drop("the API server", key, servers);
      }
    }
    for (const ServiceRef& other : client::Typed<Service>(services_->List())) {
      if (!IsOurs(*other) || Rank(*other) >= Rank(*service)) continue;
      std::set<PortKey> theirs = PortsOf(*other);
      auto shared =
          std::ranges::find_if(theirs, [&](const PortKey& port) { return ports.contains(port); });
      if (shared == theirs.end()) continue;
      std::vector<std::string> held = IngressOf(*other);
      if (held.empty()) held = CandidatesFor(*other);
      drop("service " + other->metadata().namespace_() + "/" + other->metadata().name(), *shared,
           held);
    }
  }

  const bool without_class_;
  client::Informer* services_ = nullptr;
  client::Informer* nodes_ = nullptr;
  client::Informer* slices_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeServiceLbController(bool without_class) {
  return std::make_unique<ServiceLbController>(without_class);
}

}  // namespace gantry::controllers
