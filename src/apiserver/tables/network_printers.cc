#include <set>
#include <string>

#include "api/core/v1/endpoints.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/networking/v1/ingress.pb.h"
#include "api/networking/v1/ip_address.pb.h"
#include "api/networking/v1/network_policy.pb.h"
#include "apiserver/tables/cell_text.h"
#include "apiserver/tables/printer.h"

namespace gantry::apiserver::tables {
namespace {

namespace core = api::core::v1;
namespace discovery = api::discovery::v1;
namespace networking = api::networking::v1;

// The addresses of a load balancer, sorted, each once.
template <class LoadBalancer>
std::set<std::string> LoadBalancerAddresses(const LoadBalancer& balancer) {
  std::set<std::string> out;
  for (const auto& ingress : balancer.ingress()) {
    const std::string& address = ingress.ip().empty() ? ingress.hostname() : ingress.ip();
    if (!address.empty()) out.insert(address);
  }
  return out;
}

std::string ExternalAddress(const core::Service& service) {
  const core::ServiceSpec& spec = service.spec();
  if (spec.type() == "ClusterIP" || spec.type() == "NodePort")
    return std::string(OrElse(Join(spec.external_ips(), ","), kNone));
  if (spec.type() == "ExternalName") return spec.external_name();
  if (spec.type() != "LoadBalancer") return std::string(kUnknown);
  std::set<std::string> balancer = LoadBalancerAddresses(service.status().load_balancer());
  Strings addresses(balancer.begin(), balancer.end());
  addresses.insert(addresses.end(), spec.external_ips().begin(), spec.external_ips().end());
  return addresses.empty() ? "<pending>" : Join(addresses, ",");
}

constexpr Column kService[] = {
    kName,
    Text("Type", "How the service is reached"),
    Text("Cluster-IP", "Address inside the cluster"),
    Text("External-IP", "Addresses from outside of the cluster"),
    Text("Port(s)", "Ports of the service, with their node ports"),
    kAge,
    Wide("Selector", "Which pods answer"),
};
void ServiceRow(const core::Service& service, Cells& cells) {
  const core::ServiceSpec& spec = service.spec();
  Strings ports;
  for (const core::ServicePort& port : spec.ports()) {
    std::string text = std::to_string(port.port());
    if (port.node_port() > 0) text += ":" + std::to_string(port.node_port());
    ports.push_back(text + "/" + port.protocol());
  }
  cells.Add(service.metadata().name());
  cells.Add(spec.type());
  cells.Add(spec.cluster_ips().empty() ? kNone : std::string_view(spec.cluster_ips(0)));
  cells.Add(ExternalAddress(service));
  cells.Add(OrElse(Join(ports, ","), kNone));
  cells.Age(service.metadata());
  cells.Add(LabelText(spec.selector()));
}

constexpr Column kEndpoints[] = {
    kName,
    Text("Endpoints", "Addresses that answer for the service"),
    kAge,
};
void EndpointsRow(const core::Endpoints& object, Cells& cells) {
  Strings shown;
  size_t count = 0;
  for (const core::EndpointSubset& subset : object.subsets()) {
    for (const core::EndpointPort& port : subset.ports())
      for (const core::EndpointAddress& address : subset.addresses())
        if (++count <= 3) shown.push_back(HostPort(address.ip(), port.port()));
    if (!subset.ports().empty()) continue;
    for (const core::EndpointAddress& address : subset.addresses())
      if (++count <= 3) shown.push_back(address.ip());
  }
  cells.Add(object.metadata().name());
  cells.Add(object.subsets().empty() ? std::string(kNone) : FirstThree(shown, count));
  cells.Age(object.metadata());
}

constexpr Column kEndpointSlice[] = {
    kName,
    Text("AddressType", "Kind of the addresses"),
    Text("Ports", "Ports of every endpoint"),
    Text("Endpoints", "Addresses of the endpoints"),
    kAge,
};
void EndpointSliceRow(const discovery::EndpointSlice& slice, Cells& cells) {
  Strings ports;
  for (const discovery::EndpointPort& port : slice.ports())
    ports.push_back(port.has_port()   ? std::to_string(port.port())
                    : port.has_name() ? port.name()
                                      : "*");
  Strings shown;
  size_t count = 0;
  for (const discovery::Endpoint& endpoint : slice.endpoints())
    for (const std::string& address : endpoint.addresses())
      if (++count <= 3) shown.push_back(address);
  cells.Add(slice.metadata().name());
  cells.Add(slice.address_type());
  cells.Add(ports.empty() ? std::string(kUnset) : FirstThree(ports, ports.size()));
  cells.Add(slice.endpoints().empty() ? std::string(kUnset) : FirstThree(shown, count));
  cells.Age(slice.metadata());
}

constexpr Column kIngress[] = {
    kName,
    Text("Class", "Class of the controller that serves it"),
    Text("Hosts", "Host names that it answers for"),
    Text("Address", "Addresses of the load balancer"),
    Text("Ports", "Ports that it is reached at"),
    kAge,
};
std::string HostsText(const networking::Ingress& ingress) {
  constexpr size_t kShown = 3;
  Strings shown;
  bool more = false;
  for (const networking::IngressRule& rule : ingress.spec().rules()) {
    if (shown.size() == kShown) {
      more = true;
    } else if (!rule.host().empty()) {
      shown.push_back(rule.host());
    }
  }
  if (shown.empty()) return "*";
  std::string out = Join(shown, ",");
  if (more) out += " + " + std::to_string(ingress.spec().rules_size() - kShown) + " more...";
  return out;
}
void IngressRow(const networking::Ingress& ingress, Cells& cells) {
  cells.Add(ingress.metadata().name());
  cells.Add(ingress.spec().has_ingress_class_name()
                ? std::string_view(ingress.spec().ingress_class_name())
                : kNone);
  cells.Add(HostsText(ingress));
  cells.Add(Join(LoadBalancerAddresses(ingress.status().load_balancer()), ","));
  cells.Add(ingress.spec().tls().empty() ? "80" : "80, 443");
  cells.Age(ingress.metadata());
}

constexpr Column kIngressClass[] = {
    kName,
    Text("Controller", "Controller that serves the class"),
    Text("Parameters", "Object with further settings"),
    kAge,
};
void IngressClassRow(const networking::IngressClass& object, Cells& cells) {
  std::string name = object.metadata().name();
  auto found = object.metadata().annotations().find("ingressclass.kubernetes.io/is-default-class");
  if (found != object.metadata().annotations().end() && found->second == "true")
    name += " (default)";
  std::string parameters(kNone);
  if (object.spec().has_parameters()) {
    const networking::IngressClassParametersReference& reference = object.spec().parameters();
    parameters = reference.kind();
    if (reference.has_api_group()) parameters += "." + reference.api_group();
    parameters += "/" + reference.name();
  }
  cells.Add(name);
  cells.Add(object.spec().controller());
  cells.Add(parameters);
  cells.Age(object.metadata());
}

constexpr Column kNetworkPolicy[] = {
    kName,
    Text("Pod-Selector", "Which pods the policy is for"),
    kAge,
};
void NetworkPolicyRow(const networking::NetworkPolicy& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(SelectorText(object.spec().pod_selector()));
  cells.Age(object.metadata());
}

constexpr Column kServiceCidr[] = {
    kName,
    Text("CIDRs", "Ranges that service addresses are taken from"),
    kAge,
};
void ServiceCidrRow(const networking::ServiceCIDR& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(Join(object.spec().cidrs(), ","));
  cells.Age(object.metadata());
}

// The row has a cell more than there are columns, as Kubernetes sends it.
constexpr Column kIpAddress[] = {
    kName,
    Text("ParentRef", "Object that uses the address"),
};
void IpAddressRow(const networking::IPAddress& object, Cells& cells) {
  std::string parent(kNone);
  if (object.spec().has_parent_ref()) {
    const networking::ParentReference& reference = object.spec().parent_ref();
    parent = LowerCase(reference.resource());
    if (!reference.group().empty()) parent += "." + LowerCase(reference.group());
    if (!reference.namespace_().empty()) parent += "/" + reference.namespace_();
    parent += "/" + reference.name();
  }
  cells.Add(object.metadata().name());
  cells.Add(parent);
  cells.Age(object.metadata());
}

}  // namespace

std::span<const Printer> NetworkPrinters() {
  static const Printer printers[] = {
      PrinterOf<core::Endpoints, EndpointsRow>(kEndpoints),
      PrinterOf<core::Service, ServiceRow>(kService),
      PrinterOf<discovery::EndpointSlice, EndpointSliceRow>(kEndpointSlice),
      PrinterOf<networking::IPAddress, IpAddressRow>(kIpAddress),
      PrinterOf<networking::Ingress, IngressRow>(kIngress),
      PrinterOf<networking::IngressClass, IngressClassRow>(kIngressClass),
      PrinterOf<networking::NetworkPolicy, NetworkPolicyRow>(kNetworkPolicy),
      PrinterOf<networking::ServiceCIDR, ServiceCidrRow>(kServiceCidr),
  };
  return printers;
}

}  // namespace gantry::apiserver::tables
