#include "api/validation/service.h"

#include <algorithm>
#include <set>

#include "api/core/v1/endpoints.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/validation/meta.h"
#include "api/validation/rules.h"

namespace gantry::api::validation {
namespace {

using core::v1::Endpoints;
using core::v1::Service;
using core::v1::ServicePort;
using core::v1::ServiceSpec;
using discovery::v1::EndpointSlice;

constexpr int32_t kMaxAffinitySeconds = 86400;
constexpr int kMaxSliceEndpoints = 1000;
constexpr int kMaxSlicePorts = 20000;
constexpr int kMaxSliceAddresses = 100;
constexpr char kLoadBalancerOnly[] = "may only be used when `type` is 'LoadBalancer'";
constexpr char kChanged[] = "may not change once set";

bool IsHeadless(const ServiceSpec& spec) {
  return spec.cluster_ips_size() == 1 && spec.cluster_ips(0) == "None";
}
bool IsV6(std::string_view ip) { return ip.find(':') != std::string_view::npos; }

void CheckPort(const Path& path, const ServicePort& port, bool require_name,
               std::set<std::string_view>* names, Errors* errors) {
  if (port.name().empty()) {
    if (require_name) errors->Required(path.Child("name"));
  } else {
    CheckDns1123Label(path.Child("name"), port.name(), errors);
    if (!names->insert(port.name()).second) errors->Duplicate(path.Child("name"), port.name());
  }
  errors->Complain(path.Child("port"), port.port(), IsPortNumber(port.port()));
  CheckEnum(path.Child("protocol"), port.protocol(), {"SCTP", "TCP", "UDP"}, errors);
  CheckPortNumberOrName(path.Child("targetPort"), port.target_port(), errors);
  if (port.has_app_protocol())
    CheckQualifiedName(path.Child("appProtocol"), port.app_protocol(), errors);
}

void CheckExternalName(const Path& path, const ServiceSpec& spec, Errors* errors) {
  constexpr char kNotExternal[] = "may not be set for ExternalName services";
  if (!spec.cluster_ips().empty()) errors->Forbidden(path.Child("clusterIPs"), kNotExternal);
  if (!spec.ip_families().empty()) errors->Forbidden(path.Child("ipFamilies"), kNotExternal);
  if (spec.has_ip_family_policy()) errors->Forbidden(path.Child("ipFamilyPolicy"), kNotExternal);
  std::string_view name = spec.external_name();
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty()) {
    errors->Required(path.Child("externalName"));
  } else {
    CheckDns1123Subdomain(path.Child("externalName"), name, errors);
  }
}

void CheckSessionAffinity(const Path& path, const ServiceSpec& spec, Errors* errors) {
  CheckEnum(path.Child("sessionAffinity"), spec.session_affinity(), {"ClientIP", "None"}, errors);
  Path config = path.Child("sessionAffinityConfig");
  if (spec.session_affinity() == "None" && spec.has_session_affinity_config()) {
    errors->Forbidden(config, "must not be set when session affinity is None");
  }
  if (spec.session_affinity() != "ClientIP") return;
  constexpr char kWhen[] = "when session affinity type is ClientIP";
  if (!spec.has_session_affinity_config()) {
    errors->Required(config, kWhen);
  } else if (!spec.session_affinity_config().has_client_ip()) {
    errors->Required(config.Child("clientIP"), kWhen);
  } else if (!spec.session_affinity_config().client_ip().has_timeout_seconds()) {
    errors->Required(config.Child("clientIP.timeoutSeconds"), kWhen);
  } else {
    int32_t timeout = spec.session_affinity_config().client_ip().timeout_seconds();
    if (timeout <= 0 || timeout > kMaxAffinitySeconds) {
      errors->Invalid(config.Child("clientIP.timeoutSeconds"), timeout,
                      "must be greater than 0 and less than 86400");
    }
  }
}

void CheckPorts(const Path& path, const ServiceSpec& spec, Errors* errors) {
  std::set<std::string_view> names;
  for (int i = 0; i < spec.ports_size(); ++i) {
    CheckPort(path.Index(i), spec.ports(i), spec.ports_size() > 1, &names, errors);
  }
}

void CheckPortsAgainstEachOther(const Path& path, const ServiceSpec& spec, Errors* errors) {
  for (int i = 0; i < spec.ports_size() && spec.type() == "ClusterIP"; ++i) {
    if (spec.ports(i).node_port() == 0) continue;
    Path item = path.Index(i);
    errors->Forbidden(item.Child("nodePort"), "may not be used when `type` is 'ClusterIP'");
  }
  std::set<std::pair<std::string_view, int32_t>> node_ports;
  for (int i = 0; i < spec.ports_size(); ++i) {
    const ServicePort& port = spec.ports(i);
    if (port.node_port() == 0 || node_ports.emplace(port.protocol(), port.node_port()).second)
      continue;
    Path item = path.Index(i);
    errors->Duplicate(item.Child("nodePort"), port.node_port());
  }
  std::set<std::pair<std::string_view, int32_t>> ports;
  for (int i = 0; i < spec.ports_size(); ++i) {
    const ServicePort& port = spec.ports(i);
    if (ports.emplace(port.protocol(), port.port()).second) continue;
    ServicePort key;
    key.set_protocol(port.protocol());
    key.set_port(port.port());
    errors->Duplicate(path.Index(i), key);
  }
}

void CheckTrafficPolicies(const Path& path, const ServiceSpec& spec, Errors* errors) {
  bool node_port = spec.type() == "NodePort";
  bool load_balancer = spec.type() == "LoadBalancer";
  bool cluster_ip = spec.type() == "ClusterIP";
  Path external = path.Child("externalTrafficPolicy");
  if (!node_port && !load_balancer && !(cluster_ip && !spec.external_ips().empty())) {
    if (!spec.external_traffic_policy().empty()) {
      errors->Invalid(external, spec.external_traffic_policy(),
                      "may only be set for externally-accessible services");
    }
  } else {
    CheckEnum(external, spec.external_traffic_policy(), {"Cluster", "Local"}, errors);
  }
  Path health = path.Child("healthCheckNodePort");
  if (!load_balancer || spec.external_traffic_policy() != "Local") {
    if (spec.health_check_node_port() != 0) {
      errors->Invalid(
          health, spec.health_check_node_port(),
          "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
    }
  } else if (spec.health_check_node_port() == 0) {
    errors->Required(health);
  } else {
    errors->Complain(health, spec.health_check_node_port(),
                     IsPortNumber(spec.health_check_node_port()));
  }
  Path internal = path.Child("internalTrafficPolicy");
  if (!spec.has_internal_traffic_policy()) {
    if (node_port || load_balancer || cluster_ip) errors->Required(internal);
  } else if (!IsOneOf(spec.internal_traffic_policy(), {"Cluster", "Local"})) {
    errors->NotSupported(internal, spec.internal_traffic_policy(), {"Cluster", "Local"});
  }
  if (spec.has_traffic_distribution() &&
      !IsOneOf(spec.traffic_distribution(), {"PreferClose", "PreferSameNode", "PreferSameZone"})) {
    errors->NotSupported(path.Child("trafficDistribution"), spec.traffic_distribution(),
                         {"PreferClose", "PreferSameNode", "PreferSameZone"});
  }
}

void CheckLoadBalancer(const Path& path, const ServiceSpec& spec, Errors* errors) {
  bool load_balancer = spec.type() == "LoadBalancer";
  if (!spec.load_balancer_source_ranges().empty()) {
    Path ranges = path.Child("LoadBalancerSourceRanges");
    if (!load_balancer) errors->Forbidden(ranges, kLoadBalancerOnly);
    for (int i = 0; i < spec.load_balancer_source_ranges_size(); ++i) {
      std::string_view range = spec.load_balancer_source_ranges(i);
      while (range.starts_with(' '))
        range.remove_prefix(1);
      while (range.ends_with(' '))
        range.remove_suffix(1);
      CheckCidr(ranges.Index(i), range, errors);
    }
  }
  if (spec.has_allocate_load_balancer_node_ports() && !load_balancer) {
    errors->Forbidden(path.Child("allocateLoadBalancerNodePorts"), kLoadBalancerOnly);
  }
  if (load_balancer && !spec.has_allocate_load_balancer_node_ports()) {
    errors->Required(Path("allocateLoadBalancerNodePorts"));
  }
  if (!spec.has_load_balancer_class()) return;
  if (load_balancer) {
    CheckQualifiedName(path.Child("loadBalancerClass"), spec.load_balancer_class(), errors);
  } else {
    errors->Forbidden(path.Child("loadBalancerClass"), kLoadBalancerOnly);
  }
}

void CheckService(const Service& service, Errors* errors) {
  CheckMeta(service.metadata(), true, NameIsDns1035Label, errors);
  const ServiceSpec& spec = service.spec();
  Path path("spec");
  bool external_name = spec.type() == "ExternalName";
  if (spec.ports().empty() && !IsHeadless(spec) && !external_name)
    errors->Required(path.Child("ports"));
  if (IsHeadless(spec) && IsOneOf(spec.type(), {"LoadBalancer", "NodePort"})) {
    Path ips = path.Child("clusterIPs");
    errors->Invalid(ips.Index(0), "None",
                    "may not be set to 'None' for " + spec.type() + " services");
  }
  if (external_name) CheckExternalName(path, spec, errors);
  CheckPorts(path.Child("ports"), spec, errors);
  CheckLabels(path.Child("selector"), spec.selector(), errors);
  CheckSessionAffinity(path, spec, errors);
  CheckServiceAddresses(path, spec, errors);
  Path external_ips = path.Child("externalIPs");
  for (int i = 0; i < spec.external_ips_size(); ++i) {
    if (IsIp(spec.external_ips(i))) {
      CheckNonSpecialIp(external_ips.Index(i), spec.external_ips(i), errors);
    } else {
      CheckIp(external_ips.Index(i), spec.external_ips(i), errors);
    }
  }
  CheckEnum(path.Child("type"), spec.type(),
            {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"}, errors);
  CheckPortsAgainstEachOther(path.Child("ports"), spec, errors);
  CheckLoadBalancer(path, spec, errors);
  CheckTrafficPolicies(path, spec, errors);
}

// The first address and family of a service stay; a second one may come and go.
void CheckFamilyChange(const Path& path, const Strings& now, const Strings& before,
                       const ServiceSpec& spec, const char* what, Errors* errors) {
  if (now.size() == before.size()) {
    for (int i = 0; i < now.size(); ++i) {
      if (now[i] != before[i]) errors->Invalid(path.Index(i), now, kChanged);
    }
    return;
  }
  if (now.size() < before.size() && now.empty()) {
    errors->Invalid(path.Index(0), now, std::string("primary ") + what + " can not be unset");
  }
  if (!now.empty() && !before.empty() && now[0] != before[0])
    errors->Invalid(path.Index(0), now, kChanged);
  if (now.size() < before.size() && now.size() == 1 && spec.ip_family_policy() != "SingleStack") {
    errors->Invalid(
        Path("spec.ipFamilyPolicy"),
        spec.has_ip_family_policy() ? Bad(spec.ip_family_policy()) : Bad(nullptr),
        std::string("must be set to 'SingleStack' when releasing the secondary ") + what);
  }
}

void UpdateService(const Service& service, const Service& old, Errors* errors) {
  CheckMetaUpdate(service.metadata(), old.metadata(), errors);
  const ServiceSpec& spec = service.spec();
  const ServiceSpec& before = old.spec();
  bool external = spec.type() == "ExternalName" || before.type() == "ExternalName";
  if (!external && !(IsHeadless(spec) && IsHeadless(before))) {
    CheckFamilyChange(Path("spec.clusterIPs"), spec.cluster_ips(), before.cluster_ips(), spec,
                      "clusterIP", errors);
  }
  if (!external && !IsHeadless(spec) && !IsHeadless(before)) {
    CheckFamilyChange(Path("spec.ipFamilies"), spec.ip_families(), before.ip_families(), spec,
                      "ipFamily", errors);
  }
  bool balanced = spec.type() == "LoadBalancer" && before.type() == "LoadBalancer";
  if (balanced && (spec.has_load_balancer_class() != before.has_load_balancer_class() ||
                   spec.load_balancer_class() != before.load_balancer_class())) {
    errors->Invalid(Path("spec.loadBalancerClass"),
                    spec.has_load_balancer_class() ? Bad(spec.load_balancer_class()) : Bad(nullptr),
                    kChanged);
  }
  bool checked = balanced && spec.external_traffic_policy() == "Local" &&
                 before.external_traffic_policy() == "Local";
  if (checked && spec.health_check_node_port() != before.health_check_node_port()) {
    errors->Forbidden(Path("spec.healthCheckNodePort"), kImmutable);
  }
  CheckService(service, errors);
}

void UpdateServiceStatus(const Service& service, const Service& old, Errors* errors) {
  CheckMetaUpdate(service.metadata(), old.metadata(), errors);
  Path path("status.loadBalancer.ingress");
  const auto& ingresses = service.status().load_balancer().ingress();
  if (service.spec().type() != "LoadBalancer" && !ingresses.empty()) {
    errors->Forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'");
    return;
  }
  for (int i = 0; i < ingresses.size(); ++i) {
    const auto& ingress = ingresses[i];
    Path item = path.Index(i);
    if (!ingress.ip().empty()) CheckIp(item.Child("ip"), ingress.ip(), errors);
    if (!ingress.has_ip_mode()) {
      if (!ingress.ip().empty())
        errors->Required(item.Child("ipMode"), "must be specified when `ip` is set");
    } else if (ingress.ip().empty()) {
      errors->Forbidden(item.Child("ipMode"), "may not be specified when `ip` is not set");
    } else if (!IsOneOf(ingress.ip_mode(), {"Proxy", "VIP"})) {
      errors->NotSupported(item.Child("ipMode"), ingress.ip_mode(), {"Proxy", "VIP"});
    }
    if (ingress.hostname().empty()) continue;
    CheckDns1123Subdomain(item.Child("hostname"), ingress.hostname(), errors);
    if (IsIp(ingress.hostname())) {
      errors->Invalid(item.Child("hostname"), ingress.hostname(),
                      "must be a DNS name, not an IP address");
    }
  }
}

void CheckAddresses(const Path& path,
                    const google::protobuf::RepeatedPtrField<core::v1::EndpointAddress>& addresses,
                    Errors* errors) {
  for (int i = 0; i < addresses.size(); ++i) {
    const auto& address = addresses[i];
    Path item = path.Index(i);
    CheckIp(item.Child("ip"), address.ip(), errors);
    if (!address.hostname().empty())
      CheckDns1123Label(item.Child("hostname"), address.hostname(), errors);
    if (address.has_node_name())
      CheckDns1123Subdomain(item.Child("nodeName"), address.node_name(), errors);
    CheckNonSpecialIp(item.Child("ip"), address.ip(), errors);
  }
}

void CreateEndpoints(const Endpoints& endpoints, Errors* errors) {
  CheckMeta(endpoints.metadata(), true, NameIsDns1123Subdomain, errors);
  Path subsets("subsets");
  for (int i = 0; i < endpoints.subsets_size(); ++i) {
    const auto& subset = endpoints.subsets(i);
    Path path = subsets.Index(i);
    if (subset.addresses().empty() && subset.not_ready_addresses().empty()) {
      errors->Required(path, "must specify `addresses` or `notReadyAddresses`");
    }
    CheckAddresses(path.Child("addresses"), subset.addresses(), errors);
    CheckAddresses(path.Child("notReadyAddresses"), subset.not_ready_addresses(), errors);
    Path ports = path.Child("ports");
    for (int p = 0; p < subset.ports_size(); ++p) {
      const auto& port = subset.ports(p);
      Path item = ports.Index(p);
      if (!port.name().empty()) {
        CheckDns1123Label(item.Child("name"), port.name(), errors);
      } else if (subset.ports_size() > 1) {
        errors->Required(item.Child("name"));
      }
      errors->Complain(item.Child("port"), port.port(), IsPortNumber(port.port()));
      CheckEnum(item.Child("protocol"), port.protocol(), {"SCTP", "TCP", "UDP"}, errors);
      if (port.has_app_protocol())
        CheckQualifiedName(item.Child("appProtocol"), port.app_protocol(), errors);
    }
  }
}

void UpdateEndpoints(const Endpoints& endpoints, const Endpoints& old, Errors* errors) {
  CheckMetaUpdate(endpoints.metadata(), old.metadata(), errors);
  CreateEndpoints(endpoints, errors);
}

void CheckSliceEndpoint(const Path& path, const discovery::v1::Endpoint& endpoint,
                        std::string_view type, Errors* errors) {
  Path addresses = path.Child("addresses");
  if (endpoint.addresses().empty()) {
    errors->Required(addresses, "must contain at least 1 address");
  } else if (endpoint.addresses_size() > kMaxSliceAddresses) {
    errors->TooMany(addresses, endpoint.addresses_size(), kMaxSliceAddresses);
  }
  for (int i = 0; i < endpoint.addresses_size(); ++i) {
    const std::string& address = endpoint.addresses(i);
    Path item = addresses.Index(i);
    if (type == "IPv4") {
      if (!IsIpV4(address)) errors->Invalid(item, address, "must be a valid IPv4 address");
      CheckNonSpecialIp(item, address, errors);
    } else if (type == "IPv6") {
      if (!IsIpV6(address)) errors->Invalid(item, address, "must be a valid IPv6 address");
      CheckNonSpecialIp(item, address, errors);
    } else if (type == "FQDN") {
      CheckDns1123Subdomain(item, address, errors);
    }
  }
  if (endpoint.has_node_name())
    CheckDns1123Subdomain(path.Child("nodeName"), endpoint.node_name(), errors);
  if (endpoint.has_hostname())
    CheckDns1123Label(path.Child("hostname"), endpoint.hostname(), errors);
  Path topology = path.Child("deprecatedTopology");
  CheckLabels(topology, endpoint.deprecated_topology(), errors);
}

void CreateSlice(const EndpointSlice& slice, Errors* errors) {
  CheckMeta(slice.metadata(), true, NameIsDns1123Subdomain, errors);
  CheckEnum(Path("addressType"), slice.address_type(), {"FQDN", "IPv4", "IPv6"}, errors);
  Path endpoints("endpoints");
  if (slice.endpoints_size() > kMaxSliceEndpoints) {
    errors->TooMany(endpoints, slice.endpoints_size(), kMaxSliceEndpoints);
  } else {
    for (int i = 0; i < slice.endpoints_size(); ++i) {
      CheckSliceEndpoint(endpoints.Index(i), slice.endpoints(i), slice.address_type(), errors);
    }
  }
  Path ports("ports");
  if (slice.ports_size() > kMaxSlicePorts) {
    errors->TooMany(ports, slice.ports_size(), kMaxSlicePorts);
    return;
  }
  std::set<std::string_view> names;
  for (int i = 0; i < slice.ports_size(); ++i) {
    const auto& port = slice.ports(i);
    Path item = ports.Index(i);
    if (!port.name().empty()) CheckDns1123Label(item.Child("name"), port.name(), errors);
    if (!names.insert(port.name()).second) errors->Duplicate(item.Child("name"), port.name());
    CheckEnum(item.Child("protocol"), port.protocol(), {"SCTP", "TCP", "UDP"}, errors);
    if (port.has_app_protocol())
      CheckQualifiedName(item.Child("appProtocol"), port.app_protocol(), errors);
  }
}

void UpdateSlice(const EndpointSlice& slice, const EndpointSlice& old, Errors* errors) {
  CheckMetaUpdate(slice.metadata(), old.metadata(), errors);
  CreateSlice(slice, errors);
  if (slice.address_type() != old.address_type()) {
    errors->Invalid(Path("addressType"), slice.address_type(), kImmutable);
  }
}

}  // namespace

void CheckServiceAddresses(const Path& path, const ServiceSpec& spec, Errors* errors) {
  if (spec.type() == "ExternalName") return;
  Path ips = path.Child("clusterIPs");
  if (spec.cluster_ip().empty()) {
    if (!spec.cluster_ips().empty()) {
      errors->Invalid(ips, spec.cluster_ips(), "must be empty when `clusterIP` is not specified");
    }
  } else if (spec.cluster_ips().empty()) {
    errors->Required(ips);
  } else if (spec.cluster_ips(0) != spec.cluster_ip()) {
    errors->Invalid(ips, spec.cluster_ips(), "first value must match `clusterIP`");
  }
  Path families = path.Child("ipFamilies");
  std::set<std::string_view> seen;
  for (int i = 0; i < spec.ip_families_size(); ++i) {
    const std::string& family = spec.ip_families(i);
    if (!IsOneOf(family, {"IPv4", "IPv6"}))
      errors->NotSupported(families.Index(i), family, {"IPv4", "IPv6"});
    if (!seen.insert(family).second) errors->Duplicate(families.Index(i), family);
  }
  if (spec.has_ip_family_policy() &&
      !IsOneOf(spec.ip_family_policy(), {"PreferDualStack", "RequireDualStack", "SingleStack"})) {
    errors->NotSupported(path.Child("ipFamilyPolicy"), spec.ip_family_policy(),
                         {"PreferDualStack", "RequireDualStack", "SingleStack"});
  }
  bool valid = true;
  for (int i = 0; i < spec.cluster_ips_size(); ++i) {
    if (i == 0 && spec.cluster_ips(0) == "None") {
      if (spec.cluster_ips_size() == 1) continue;
      valid = false;
      errors->Invalid(ips, spec.cluster_ips(), "'None' must be the first and only value");
      continue;
    }
    valid &= IsIp(spec.cluster_ips(i));
    CheckIp(ips.Index(i), spec.cluster_ips(i), errors);
  }
  if (spec.cluster_ips_size() > 2)
    errors->Invalid(ips, spec.cluster_ips(), "may only hold up to 2 values");
  if (!valid) return;
  if (spec.cluster_ips_size() > 1) {
    int v6 = 0;
    for (const std::string& ip : spec.cluster_ips())
      v6 += IsV6(ip) ? 1 : 0;
    if (v6 != 1 || spec.cluster_ips_size() - v6 != 1) {
      errors->Invalid(ips, spec.cluster_ips(),
                      "may specify no more than one IP for each IP family");
    }
  }
  if (IsHeadless(spec)) return;
  for (int i = 0; i < std::min(spec.cluster_ips_size(), spec.ip_families_size()); ++i) {
    const std::string& family = spec.ip_families(i);
    const std::string& ip = spec.cluster_ips(i);
    if ((family == "IPv4" && IsV6(ip)) || (family == "IPv6" && !IsV6(ip))) {
      errors->Invalid(ips.Index(i), ip,
                      "expected an " + family + " value as indicated by `ipFamilies[" +
                          std::to_string(i) + "]`");
    }
  }
}

std::vector<RuleRow> ServiceRules() {
  return {
      Row<Endpoints, CreateEndpoints, UpdateEndpoints>(),
      Row<EndpointSlice, CreateSlice, UpdateSlice>(),
      Row<Service, CheckService, UpdateService, UpdateServiceStatus>(),
  };
}

}  // namespace gantry::api::validation
